"""Recursive indicators: TA-Lib's from the week's anchor on, nearly TA-Lib's of the whole history, the same to the bit
wherever the array begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features.numerics import anchors, recursive
from pipelines.features.numerics.directional import directional

#: 2024-03-04 00:00 UTC, a Monday, in hours since 1970.
MONDAY = 474_864
WEEK, HOURS = 168, 1500
FIRST = MONDAY - 1000

Prices = tuple[np.ndarray, np.ndarray, np.ndarray]


def prices(hours: int = HOURS, symbols: int = 3, seed: int = 0) -> Prices:
    """High, low and close."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal((hours, symbols)), axis=0))
    before = np.concatenate([close[:1], close[:-1]])
    high = np.maximum(before, close) * (1 + 0.003 * rng.random(close.shape))
    low = np.minimum(before, close) * (1 - 0.003 * rng.random(close.shape))
    return high, low, close


def holed(given: Prices, gone: np.ndarray) -> Prices:
    return tuple(np.where(gone, np.nan, values) for values in given)  # type: ignore[return-value]


@dataclass(frozen=True)
class Kind:
    """An indicator: ours of (high, low, close, first), TA-Lib's of (high, low, close), and what a deviation is a share
    of (an index runs from 0 to 100)."""

    weeks: int
    ours: Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]
    theirs: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    of: str = "price"


def _ema(period: int, weeks: int) -> Kind:
    return Kind(weeks, lambda _, __, close, first: recursive.ema(close, first, period),
                lambda _, __, close: talib.EMA(close, period))


def _macd(place: int) -> Kind:
    return Kind(2, lambda _, __, close, first: recursive.macd(close, first)[place],
                lambda _, __, close: talib.MACD(close)[place])


def _wilder(name: str, of: str) -> Kind:
    return Kind(2, lambda *given: getattr(directional(*given), name),
                lambda *given: getattr(talib, name.upper())(*given, 14), of)


KINDS = {
    "ema_12": _ema(12, 1), "ema_26": _ema(26, 2), "ema_50": _ema(50, 3),
    "macd": _macd(0), "macd_signal": _macd(1), "macd_histogram": _macd(2),
    "rsi": Kind(2, lambda _, __, close, first: recursive.rsi(close, first), lambda _, __, close: talib.RSI(close, 14),
                "index"),
    "atr": _wilder("atr", "itself"), "plus_di": _wilder("plus_di", "index"), "minus_di": _wilder("minus_di", "index"),
    "adx": _wilder("adx", "index"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def from_the_anchor(kind: str, given: Prices, first: int, symbol: int) -> np.ndarray:
    """TA-Lib, row by week, on the bars that are present from the week's anchor on; NaN where there is no anchor."""
    weeks, theirs = KINDS[kind].weeks, KINDS[kind].theirs
    column = [np.ascontiguousarray(values[:, symbol]) for values in given]
    expected = np.full(len(column[0]), np.nan)
    for monday in range((MONDAY - first) % WEEK, len(expected), WEEK):
        begin, end = monday - weeks * WEEK, min(monday + WEEK, len(expected))
        if begin < 0:
            continue
        rows = begin + np.flatnonzero(~np.isnan(column[2][begin:end]))
        values = theirs(*(part[rows] for part in column)) if len(rows) > 2 else np.full(len(rows), np.nan)
        passed = np.arange(1, len(rows) + 1) >= 0.9 * (rows - begin + 1)
        shown = (rows >= monday) & passed
        expected[rows[shown]] = values[shown]
    return expected


def scale(kind: str, given: Prices, symbol: int, of: np.ndarray) -> np.ndarray:
    against = KINDS[kind].of
    return given[2][:, symbol] if against == "price" else np.full_like(of, 100.0) if against == "index" else of


@every_kind
@pytest.mark.parametrize("holes", [0.0, 0.04])
def test_equals_talib_from_the_anchor_on(kind: str, holes: float) -> None:
    rng = np.random.default_rng(5)
    gone = rng.random((HOURS, 3)) < holes
    if holes:
        gone[900:930, 0] = True  # longer than any seed
        gone[600 - 40:600 + 40, 1] = True
        gone[(MONDAY - FIRST) % WEEK::WEEK, 2] = True  # every bar that a recursion would begin with
    given = holed(prices(), gone)
    ours = KINDS[kind].ours(*given, FIRST)
    for symbol in range(3):
        expected = from_the_anchor(kind, given, FIRST, symbol)
        gap = np.abs(ours[:, symbol] - expected) / scale(kind, given, symbol, expected)
        assert (np.isnan(ours[:, symbol]) == np.isnan(expected)).all()
        assert np.isfinite(expected).sum() > (300 if holes else 800)
        assert np.nanmax(gap) < 1e-10


@every_kind
def test_equals_talib_on_coarse_ticks(kind: str) -> None:
    """Prices of few digits: moves up and down that are equal, hours without any."""
    given: Prices = tuple(np.round(values / 2) * 2 for values in prices(seed=4))  # type: ignore[assignment]
    ours = KINDS[kind].ours(*given, FIRST)
    for symbol in range(3):
        expected = from_the_anchor(kind, given, FIRST, symbol)
        there = np.isfinite(expected)
        np.testing.assert_allclose(ours[there, symbol], expected[there], rtol=1e-9, atol=1e-9)


@every_kind
def test_is_nearly_talib_of_the_whole_history(kind: str) -> None:
    given = prices(5000, 2, seed=3)
    ours = KINDS[kind].ours(*given, FIRST)
    for symbol in range(2):
        whole = KINDS[kind].theirs(*(np.ascontiguousarray(values[:, symbol]) for values in given))
        gap = np.abs(ours[:, symbol] - whole) / scale(kind, given, symbol, whole)
        assert 0 < np.nanmax(gap[672:]) < 1e-6
        assert np.isfinite(ours[671:]).all()


@every_kind
@given(data=st.data())
@settings(max_examples=6)
def test_the_start_does_not_matter(kind: str, data: st.DataObject) -> None:
    seed, start = data.draw(st.integers(0, 99)), data.draw(st.integers(1, 400))
    first = FIRST + data.draw(st.integers(0, WEEK))
    given = holed(prices(seed=seed), np.random.default_rng(seed).random((HOURS, 3)) < data.draw(st.floats(0, 0.12)))
    compute = KINDS[kind].ours
    whole, back = compute(*given, first), anchors.lookback(KINDS[kind].weeks * WEEK)
    later = compute(*(values[start:].copy() for values in given), first + start)
    earlier = compute(*(values[:-start].copy() for values in given), first)
    alone = compute(*(np.ascontiguousarray(values[:, 1:2]) for values in given), first)
    assert later[back:].tobytes() == whole[start + back:].tobytes()
    assert earlier.tobytes() == whole[:-start].tobytes()
    assert alone.tobytes() == whole[:, 1:2].tobytes()


@every_kind
@pytest.mark.parametrize("power", [-30, 12])
def test_the_unit_of_the_price_does_not_matter(kind: str, power: int) -> None:
    given, factor = prices(900), 2.0 ** power
    plain = KINDS[kind].ours(*given, FIRST)
    scaled = KINDS[kind].ours(*(values * factor for values in given), FIRST)
    assert (scaled / (1.0 if KINDS[kind].of == "index" else factor)).tobytes() == plain.tobytes()


@every_kind
@pytest.mark.parametrize("still", ["always", "at last"])
def test_a_frozen_price_is_talibs(kind: str, still: str) -> None:
    given = prices(700, 1)
    for values in given:
        values[0 if still == "always" else 640:] = 5.0
    ours = KINDS[kind].ours
    shown = ours(*given, MONDAY)[-1, 0]
    assert shown == pytest.approx(from_the_anchor(kind, given, MONDAY, 0)[-1], rel=1e-9, abs=1e-9)
    if still == "always":
        assert shown == (5.0 if kind.startswith("ema") else 0.0)


def test_a_rsi_at_its_ends() -> None:
    rising = 500 + np.arange(700.0)[:, None]
    assert recursive.rsi(rising, MONDAY)[-1, 0] == 100
    assert recursive.rsi(rising[::-1].copy(), MONDAY)[-1, 0] == 0


def test_a_long_gap_blinds_until_nine_tenths_are_there_again_and_spreads_no_further() -> None:
    close = prices(1400, 1)[2]
    close[700:760] = np.nan
    shown = np.isfinite(recursive.ema(close, MONDAY, 26)[:, 0])
    # The week of rows 672 to 839 began with row 336 and has 60 of at most 504 hours missing: never again enough. The
    # next began with row 504 and has enough from its 600th hour on: never. The one that began with row 672 again is
    # blind until its 600th hour, too; the one of row 840 knows nothing of the gap.
    assert [row for row in range(336, 1400) if not shown[row]] == list(range(700, 1176))


def test_a_symbol_that_has_never_traded_is_absent() -> None:
    nothing = np.full((900, 2), np.nan)
    for kind in KINDS.values():
        assert np.isnan(kind.ours(nothing, nothing, nothing, FIRST)).all()


def test_monday() -> None:
    assert pd.Timestamp(MONDAY, unit="h").day_name() == "Monday"


@pytest.mark.parametrize(("first", "warmup", "expected"), [
    (MONDAY, 168, [168, 336]), (MONDAY + 1, 168, [335]), (MONDAY - 1, 168, [169, 337]), (MONDAY - 1, 0, [1, 169, 337]),
    (0, 168, [264, 432]), (MONDAY, 169, [336]), (MONDAY, 672, [])])
def test_mondays(first: int, warmup: int, expected: list[int]) -> None:
    assert anchors.mondays(first, 450, warmup).tolist() == expected


@pytest.mark.parametrize(("seed", "factor", "weeks"), [
    (12, 2 / 13, 1), (26, 2 / 27, 2), (50, 2 / 51, 3), (28, 1 / 14, 2)])
def test_warm_ups(seed: int, factor: float, weeks: int) -> None:
    assert anchors.warmup(seed, factor) == weeks * WEEK
    assert (1 - factor) ** (weeks * WEEK - seed) < 1e-7


def test_one_column_is_refused() -> None:
    with pytest.raises(ValueError, match=r"need \(hours, symbols\)"):
        recursive.ema(np.ones(900), 0, 12)
