"""Real features of the simulator's market, and of bars that stand for real ones."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.calibration.drift import coins, select
from pipelines.calibration.drift.coins import RealMarket
from pipelines.calibration.drift.market import SLOW, USUAL, bars, features, track
from pipelines.calibration.drift.outcome import OURS, measure
from pipelines.calibration.drift.track import HOURS, START
from pipelines.config import Settings, Simulator
from pipelines.errors import ConfigError, ContractError
from pipelines.features import catalog
from pipelines.ingest.simulator import Market

DATA = Path(os.environ.get("TIDEMARK_TEST_DATA", Path(__file__).parents[5] / "shared" / "data"))
MANIFEST = Path(__file__).parents[3] / "data" / "shared.toml"


def test_bars_are_those_of_the_simulator() -> None:
    settings = Simulator(seed=5, start=START, days=12, symbols=2)
    found, truth = bars(settings), Market(settings).truth.bars
    assert np.array_equal(found.close.ravel(), truth["close"].to_numpy())
    assert np.array_equal(found.volume.ravel(), truth["volume"].to_numpy())
    assert found.first * 3600 == START.timestamp()


def test_features_are_those_of_the_groups_from_a_midnight_on() -> None:
    market = bars(Simulator(seed=5, start=START, days=12, symbols=2))
    names, values = features(market, ("returns", "volatility.atr_14h"))
    group = catalog.GROUPS["returns"].on_bars(market)
    lead = -(-catalog.lookback(catalog.select(("returns", "volatility.atr_14h"))) // HOURS) * HOURS
    assert values.shape == ((12 * HOURS - lead) * 2, len(names))
    assert np.array_equal(values[:, names.index("return_24h")], group["return_24h"][lead:].ravel())
    assert np.isfinite(values).all()


@pytest.mark.parametrize(("wanted", "columns"), [(USUAL, 50), (SLOW, 16)])
def test_lines_have_as_many_columns_as_they_say(wanted: tuple[str, ...], columns: int) -> None:
    assert len(catalog.features(catalog.select(wanted))) == columns


def test_the_market_shifts_on_its_day() -> None:
    found = track(1, ("volatility.realised_volatility_6h",), 20, 10)
    level = found.values[:, 0].reshape(found.days, -1).mean(axis=1)
    turn = found.reference_days + 10
    assert found.onset == 10
    # twice as wild; the climate's spells leave the mean of ten days a third or so of uncertainty
    assert level[turn + 1:].mean() / level[:turn].mean() > 1.3


def _market(days: int = 300, symbols: tuple[str, ...] = ("AUSDT",)) -> RealMarket:
    """Coins from October 2020 on, three times as loud from July 2021 on."""
    rng = np.random.default_rng(4)
    hours = pd.date_range("2020-10-23", periods=days * HOURS, freq="h", tz="UTC")
    loud = np.where(hours < pd.Timestamp("2021-07-01", tz="UTC"), 0.005, 0.015)
    frames = []
    for symbol in symbols:
        close = 100 * np.exp(np.cumsum(0.1 * loud * rng.standard_normal(len(hours))))
        opened = np.concatenate([[100.0], close[:-1]])
        high, low = (side(opened, close) * np.exp(sign * loud * rng.random(len(hours)))
                     for side, sign in ((np.maximum, 1), (np.minimum, -1)))
        frames.append(pd.DataFrame({
            "symbol": symbol, "interval": "1h", "event_time": hours, "open": opened, "high": high, "low": low,
            "close": close, "volume": 1 + rng.random(len(hours))}))
    return RealMarket(pd.concat(frames, ignore_index=True))


def test_days_of_real_bars() -> None:
    found = _market(30, ("AUSDT", "BUSDT")).features(("volatility",))
    assert (found.start.hour, found.symbols) == (0, 2)
    rows = found.days(found.start + timedelta(days=2), found.start + timedelta(days=5))
    assert rows.shape == (3, 48, 9)
    assert np.array_equal(rows[0].ravel(), found.values[96:144].ravel())
    with pytest.raises(ContractError, match="name longer files"):
        found.days(found.start - timedelta(days=1), found.start)


def test_a_market_that_changed_rings_and_says_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coins, "UNTIL", datetime(2021, 8, 15, tzinfo=UTC))
    chosen = select(["coins_2021_2022"])[0]
    found = measure(chosen, 1, 0, _market())
    assert (found.rate, found.kind) == (1.0, "alternative")
    assert found.delay_days > 50  # trainings end before May; nothing changes until July


def test_real_coins_need_real_bars(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="need real bars"):
        measure(select(["coins_halves"])[0], 1, 0)
    with pytest.raises(ConfigError, match="TIDEMARK_DATA_DIR"):
        coins.read(Settings(data_dir=None))


@pytest.mark.skipif(not (DATA / "crypto_hourly_perp").is_dir(),
                    reason=f"no real bars at {DATA}; set TIDEMARK_TEST_DATA")
def test_real_volatility_rings_between_early_2021_and_mid_2022() -> None:
    market = coins.read(Settings(data_dir=DATA, manifest=MANIFEST))
    outcome = coins.years(market, np.random.default_rng(0))
    assert outcome.rules[OURS].hit
