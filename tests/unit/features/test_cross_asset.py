"""The market of each symbol against pandas, and each row against what was known of all symbols at its time."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features import across, view
from pipelines.features.declare import Bars
from pipelines.features.groups import cross_asset
from pipelines.features.view import FIELDS
from tests.unit.features.world import HOUR, PRICES, START, clean, dirty, known

SYMBOLS = ("AUSDT", "BUSDT", "CUSDT", "DUSDT")
HOURS = 420


def bars(frame: pd.DataFrame) -> Bars:
    return Bars(*(np.ascontiguousarray(frame.pivot(index="event_time", columns="symbol", values=field).to_numpy())
                  for field in FIELDS))


def computed(given_bars: Bars) -> dict[str, np.ndarray]:
    with np.errstate(all="ignore"):
        return cross_asset.GROUP.on_bars(given_bars)


FRAME = clean(HOURS, SYMBOLS)
CLOSE = FRAME.pivot(index="event_time", columns="symbol", values="close")
RETURNS, DAY = np.log(CLOSE / CLOSE.shift()), np.log(CLOSE / CLOSE.shift(24))


def others(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({name: table.drop(columns=name).mean(axis=1) for name in table})


def paired(one: pd.DataFrame, other: pd.DataFrame, how: str) -> pd.DataFrame:
    return pd.DataFrame({name: getattr(one[name].rolling(168), how)(other[name]) for name in one})


MARKET = others(RETURNS)
ORACLES = {
    "market_return_1h": MARKET,
    "market_return_24h": others(DAY),
    "market_volatility_24h": np.sqrt((MARKET**2).rolling(24).mean()),
    "market_dispersion_24h": pd.DataFrame(dict.fromkeys(SYMBOLS, DAY.std(axis=1, ddof=0))),
    "market_breadth_24h": others((DAY > 0).astype(float)),
    "relative_return_24h": DAY - others(DAY),
    "return_rank_24h": (DAY.rank(axis=1) - 1) / 3,
    "market_beta_168h": paired(RETURNS, MARKET, "cov") / (MARKET.rolling(168).var()),
    "market_correlation_168h": paired(RETURNS, MARKET, "corr"),
    "market_leads_168h": paired(RETURNS, MARKET.shift(), "corr"),
    "market_follows_168h": paired(RETURNS.shift(), MARKET, "corr"),
}


@pytest.mark.parametrize("name", [feature.name for feature in cross_asset.GROUP.features])
def test_equals_pandas(name: str) -> None:
    ours = computed(bars(FRAME))[name][200:]
    assert np.isfinite(ours).all()
    np.testing.assert_allclose(ours, ORACLES[name].to_numpy()[200:], rtol=1e-9, atol=1e-12)


def test_a_planted_leader_leads() -> None:
    """B does an hour later what A does; C and D do what they like."""
    rng = np.random.default_rng(5)
    news = 0.01 * rng.standard_normal((HOURS, 4))
    news[1:, 1] = news[:-1, 0]
    close = 100 * np.exp(np.cumsum(news, axis=0))
    found = computed(Bars(close, close, close, close, np.ones_like(close)))
    follows, leads = found["market_follows_168h"][-1], found["market_leads_168h"][-1]
    assert follows.argmax() == 0
    assert leads.argmax() == 1
    assert follows[0] > 0.4
    assert leads[1] > 0.4


@pytest.mark.parametrize("symbols", [("AUSDT",), ()])
def test_without_others_there_is_no_market(symbols: tuple[str, ...]) -> None:
    alone = np.full((40, len(symbols)), 100.0)
    for name, value in computed(Bars(alone, alone, alone, alone, alone)).items():
        assert value.shape == alone.shape
        assert np.isnan(value).all(), name


def test_a_market_that_stands_still_has_neither_beta_nor_correlation() -> None:
    still = np.full((200, 3), 100.0)
    found = computed(Bars(still, still, still, still, still))
    assert np.isnan(found["market_beta_168h"][-1]).all()
    assert np.isnan(found["market_correlation_168h"][-1]).all()
    assert (found["return_rank_24h"][-1] == 0.5).all()


def sums(given_bars: Bars) -> dict[str, np.ndarray]:
    """A statistic over 3 bars of look-back of all symbols that shows every change of any of them."""
    prices = np.where(np.isnan(given_bars.close), -7.0, given_bars.close)
    weighted = (prices * np.arange(1, prices.shape[1] + 1)).sum(axis=1, keepdims=True)
    total = np.zeros_like(weighted)
    for offset in range(4):
        total[offset:] += weighted[:len(weighted) - offset] / 10**offset
    return {"sum": np.broadcast_to(total, prices.shape).copy()}


@pytest.mark.no_cover
@given(st.integers(0, 10_000), st.sampled_from([0.02, 0.2]))
@settings(max_examples=5, deadline=None)
def test_a_row_knows_of_the_others_what_was_there(seed: int, rate: float) -> None:
    frame, lookback = dirty(40, SYMBOLS[:3], seed=seed, rate=rate), 3
    past = view.history(frame, START, START + 40 * HOUR)
    time = view.evaluate(past, lambda given_bars: {}, lookback).time
    ours = across.evaluate(past, sums, lookback, time)["sum"]
    seen = 0
    for row, column in zip(*np.nonzero(time < view.NEVER), strict=True):
        if row < lookback:
            continue
        at = pd.Timestamp(int(time[row, column]), unit="us", tz="UTC")
        latest = known(frame, at).drop_duplicates(["symbol", "event_time"], keep="last")
        hours = [pd.Timestamp(START + (row - back) * timedelta(hours=1)) for back in range(lookback, -1, -1)]
        tables = [latest.pivot(index="event_time", columns="symbol", values=field).reindex(
            index=hours, columns=list(past.symbols)).to_numpy(dtype=np.float64) for field in PRICES]
        assert ours[row, column] == sums(Bars(*tables))["sum"][-1, 0]
        seen += 1
    assert seen > 50
