"""The groups `oscillators` and `regime`: what they make of the indicators, at edges and in their look-backs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import talib

from pipelines.features import catalog, view
from pipelines.features.declare import Bars
from pipelines.features.numerics.directional import directional
from pipelines.features.view import FIELDS
from tests.unit.features.test_recursive import MONDAY, prices
from tests.unit.features.world import HOUR, START, dirty

HOURS = 1100
GROUPS = [catalog.GROUPS[name] for name in ("oscillators", "regime")]
NAMES = [feature.name for group in GROUPS for feature in group.features]


def world(seed: int = 0, symbols: int = 2) -> dict[str, np.ndarray]:
    high, low, close = prices(HOURS, symbols, seed)
    opened = np.concatenate([close[:1], close[:-1]])
    return {"open": opened, "high": high, "low": low, "close": close, "volume": np.ones_like(close)}


def computed(values: dict[str, np.ndarray], first: int = MONDAY) -> dict[str, np.ndarray]:
    with np.errstate(all="ignore"):
        return {name: value for group in GROUPS for name, value in group.on_bars(Bars(**values, first=first)).items()}


DATA = world()
OURS = computed(DATA)


def talibs() -> dict[str, np.ndarray]:
    """The features from TA-Lib run on the whole of symbol 0."""
    high, low, close = (np.ascontiguousarray(DATA[field][:, 0]) for field in ("high", "low", "close"))
    line, signal, histogram = talib.MACD(close)
    upper, middle, lower = talib.BBANDS(close, 20)
    plus, minus = talib.PLUS_DI(high, low, close, 14), talib.MINUS_DI(high, low, close, 14)
    adx, atr = talib.ADX(high, low, close, 14), talib.ATR(high, low, close, 14)
    swell = atr / close / pd.Series(atr / close).rolling(168).mean().to_numpy()
    return {
        **{f"sma_distance_{hours}h": np.log(close / talib.SMA(close, hours)) for hours in (20, 50)},
        **{f"ema_distance_{hours}h": np.log(close / talib.EMA(close, hours)) for hours in (12, 26, 50)},
        "rsi_wilder_14h": talib.RSI(close, 14),
        "macd_12_26h": line / close, "macd_signal_9h": signal / close, "macd_histogram": histogram / close,
        "bollinger_percent_b_20h": (close - lower) / (upper - lower), "bollinger_width_20h": (upper - lower) / middle,
        "atr_wilder_14h": atr / close, "adx_14h": adx, "plus_di_14h": plus, "minus_di_14h": minus,
        "regime_trending": adx > 25, "regime_ranging": adx < 20, "regime_volatile": swell > 1.5,
        "regime_trend_strength": adx / 25, "regime_trend_direction": (plus - minus) / (plus + minus),
        "regime_volatility_strength": np.log(swell),
    }


THEIRS = talibs()


def test_every_feature_has_an_oracle() -> None:
    assert set(NAMES) - set(THEIRS) == {"regime_hmm_turbulent", "regime_hmm_volatility"}  # see test_hmm


@pytest.mark.parametrize("name", THEIRS)
def test_equals_talib(name: str) -> None:
    np.testing.assert_allclose(OURS[name][840:, 0], THEIRS[name][840:].astype(float), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("feature", [feature for group in GROUPS for feature in group.features],
                         ids=lambda feature: feature.name)
def test_the_declared_look_back_is_enough_and_used_on_sundays(feature: object) -> None:
    name, reach = feature.name, feature.lookback  # type: ignore[attr-defined]
    usual = OURS[name]
    assert np.isfinite(usual[reach:]).all()
    row = 6 * 168 - 1  # a Sunday, 23:00
    for back, heard in ((reach // 2, True), (reach + 1, False)):
        other = {field: values.copy() for field, values in DATA.items()}
        for values in other.values():
            values[:row - back + 1, 0] *= np.linspace(1, 3, row - back + 1)
        changed = computed(other)[name]
        assert changed[row + 1:, 1].tobytes() == usual[row + 1:, 1].tobytes()
        if not heard:
            assert changed[row, 0] == usual[row, 0]
        elif feature.unit != "0 or 1":  # type: ignore[attr-defined]
            assert changed[row, 0] != usual[row, 0]


def test_a_frozen_price_is_neutral() -> None:
    flat = computed({**{field: np.full((HOURS, 1), 5.0) for field in FIELDS}, "volume": np.zeros((HOURS, 1))})
    last = {name: value[-1, 0] for name, value in flat.items()}
    assert all(np.isfinite(value) for value in last.values())
    assert {name: round(value, 9) for name, value in last.items() if abs(value) > 1e-5} == {
        "bollinger_percent_b_20h": 0.5, "regime_ranging": 1.0, "regime_hmm_turbulent": 0.5}


def test_a_trend_and_a_burst_are_told() -> None:
    rising = np.exp(0.01 * np.arange(HOURS))[:, None]
    trend = computed({"open": rising, "high": rising * 1.002, "low": rising * 0.998, "close": rising,
                      "volume": np.ones_like(rising)})
    assert trend["regime_trending"][-1, 0] == 1
    assert trend["regime_trend_direction"][-1, 0] == pytest.approx(1)
    assert trend["regime_volatile"][-1, 0] == 0
    wild = world(seed=2)
    middle = (wild["high"] + wild["low"]) / 2
    for field in ("high", "low"):
        wild[field][-20:] += 6 * (wild[field] - middle)[-20:]
    assert (computed(wild)["regime_volatile"][-1] == 1).all()
    assert (computed(wild)["regime_hmm_turbulent"][-1] > 0.5).all()


def test_flags_exclude_each_other_and_are_absent_with_their_indicator() -> None:
    values = {field: array.copy() for field, array in DATA.items()}
    for array in values.values():
        array[700, 0] = np.nan
    holed = computed(values)
    assert [name for name in NAMES if not np.isnan(holed[name][700, 0])] == ["bollinger_width_20h"]  # a window
    assert all(np.isfinite(holed[name][840:]).all() for name in NAMES)
    trending, ranging = OURS["regime_trending"][671:], OURS["regime_ranging"][671:]
    assert set(np.unique(trending)) == set(np.unique(ranging)) == {0.0, 1.0}
    assert not (trending * ranging).any()
    adx = directional(DATA["high"], DATA["low"], DATA["close"], MONDAY).adx[671:]
    assert ((adx > 25) == (trending == 1)).all()


def test_rows_as_they_were_known_do_not_depend_on_where_the_computation_begins() -> None:
    frame, hours, reach = dirty(1000, ("AUSDT",), seed=9, rate=0.004), 1000, catalog.lookback(GROUPS)

    def evaluated(start: int) -> view.Evaluated:
        past = view.history(frame, START + start * HOUR, START + hours * HOUR)
        return view.evaluate(past, lambda bars: {
            name: value for group in GROUPS for name, value in group.on_bars(bars).items()}, reach)

    whole = evaluated(0)
    assert len(frame) > hours  # revisions
    for start in (1, 100):
        part = evaluated(start)
        for name, values in part.values.items():
            assert values[reach:].tobytes() == whole.values[name][start + reach:].tobytes(), name
            assert np.isfinite(values[reach:]).mean() > 0.95
