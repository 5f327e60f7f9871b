"""Windows, counts and exactness of the aggregates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sentiment import aggregate as module
from pipelines.sentiment.aggregate import COLUMNS, MARKET, WINDOW_TICKS, WINDOWS
from pipelines.sentiment.hours import TICKS, full_hour, full_tick
from pipelines.sentiment.universe import Universe

START = datetime(2024, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
TICK = timedelta(minutes=10)


def documents(rows: list[tuple[float, float]]) -> pd.DataFrame:
    """(hours after START, compound)"""
    return pd.DataFrame({
        "available_at": pd.to_datetime([START + at * HOUR for at, _ in rows], utc=True).as_unit("us"),
        "compound": [float(compound) for _, compound in rows]})


def universe(symbols: dict[str, float], first: float, last: float) -> Universe:
    """Symbol → hours after START of its only bar; grid from first to last."""
    bars = pd.DataFrame({"symbol": list(symbols), "available_at": pd.to_datetime(
        [START + at * HOUR for at in symbols.values()], utc=True).as_unit("us")})
    return Universe.of(bars, full_hour(START + first * HOUR), full_hour(START + last * HOUR))


def aggregate(scores: pd.DataFrame, mentions: pd.DataFrame, grid: Universe, coverage: np.ndarray | None = None,
              ) -> pd.DataFrame:
    """At all ticks of the universe's hours, the last one's full hour only."""
    first = grid.first * TICKS
    last = first + max((grid.alive.shape[1] - 1) * TICKS + 1, 0) if grid.alive.shape[1] else first
    return module.aggregate(scores, mentions, grid, first, last, coverage)


def row(frame: pd.DataFrame, symbol: str, window: str, hour: float) -> pd.Series:
    match = frame[(frame["symbol"] == symbol) & (frame["window"] == window)
                  & (frame["at"] == pd.Timestamp(START + hour * HOUR))]
    assert len(match) == 1
    return match.iloc[0]


def test_a_window_is_open_at_its_start_and_closed_at_its_end() -> None:
    scores = documents([(0.0, 0.5), (1.0, -0.5), (1.0 + 1 / 3600, 0.1), (2.0, 0.3)])
    frame = aggregate(scores, scores.assign(symbol="A").iloc[:0], universe({}, 0, 3))
    counts = {(window, hour): row(frame, MARKET, window, hour)["documents"]
              for window in ("1h", "4h") for hour in (0, 1, 2)}
    assert counts == {("1h", 0): 1, ("1h", 1): 1, ("1h", 2): 2, ("4h", 0): 1, ("4h", 1): 2, ("4h", 2): 4}


def test_the_measures() -> None:
    scores = documents([(0.5, 0.8), (0.6, -0.4), (0.7, 0.0499), (0.8, 0.05)])
    one = row(aggregate(scores, scores.assign(symbol="A").iloc[:0], universe({}, 1, 2)), MARKET, "1d", 1)
    values = [0.8, -0.4, 0.0499, 0.05]
    assert one["mean"] == pytest.approx(np.mean(values), abs=1e-15)
    assert one["dispersion"] == pytest.approx(np.std(values), abs=1e-12)
    assert (one["documents"], one["bullish"], one["bearish"], one["neutral"]) == (4, 2, 1, 1)


def test_without_documents_there_is_a_count_but_no_mean() -> None:
    frame = aggregate(documents([]), documents([]).assign(symbol=pd.Series([], dtype=object)), universe({"A": 0}, 1, 3))
    assert list(frame.columns) == list(COLUMNS)
    assert (frame["documents"] == 0).all()
    assert frame[["mean", "dispersion"]].isna().all(axis=None)
    assert len(frame) == (TICKS + 1) * 2 * len(WINDOWS)


def test_a_document_without_a_mention_counts_for_the_market_only() -> None:
    scores = documents([(0.5, 0.8), (0.6, -0.8)])
    frame = aggregate(scores, scores.iloc[:1].assign(symbol="A"), universe({"A": 0}, 1, 2))
    assert row(frame, MARKET, "1h", 1)["documents"] == 2
    assert row(frame, "A", "1h", 1)["documents"] == 1
    assert row(frame, "A", "1h", 1)["mean"] == 0.8


def test_a_symbol_has_rows_from_its_first_bar_until_a_week_after_its_last() -> None:
    grid = universe({"A": 5.5}, 0, 200)
    frame = aggregate(documents([]), documents([]).assign(symbol=pd.Series([], dtype=object)), grid)
    ticks = (frame.loc[(frame["symbol"] == "A") & (frame["window"] == "1h"), "at"] - pd.Timestamp(START)) // TICK
    assert ticks.tolist() == list(range(6 * TICKS, 174 * TICKS))


def test_a_symbol_is_not_known_to_a_document_before_its_first_bar() -> None:
    grid = universe({"A": 5.5}, 0, 24)
    at = pd.Series(pd.to_datetime([START + hour * HOUR for hour in (5.4, 5.9, 6.0, 6.1)], utc=True).as_unit("us"))
    assert grid.knows(pd.Series(["A"] * 4), at).tolist() == [False, False, True, True]
    assert grid.knows(pd.Series(["B"] * 4), at).tolist() == [False] * 4
    assert universe({}, 0, 24).knows(pd.Series(["A"] * 4), at).tolist() == [False] * 4


def test_a_stretch_without_full_ten_minutes_has_no_rows() -> None:
    tick = full_tick(START + 0.2 * HOUR)
    frame = module.aggregate(documents([(0.1, 0.2)]), documents([]).assign(symbol=pd.Series([], dtype=object)),
                             universe({"A": 0}, 0, 1), tick, tick)
    assert frame.empty
    assert list(frame.columns) == list(COLUMNS)


Line = tuple[float, float, str, int, bool]
ROWS = st.lists(st.tuples(st.floats(-200, 60), st.integers(-10_000, 10_000).map(lambda x: x / 10_000),
                          st.sampled_from(["A", "B", ""]), st.integers(1, 8_000), st.booleans()), max_size=60)


def split(rows: list[Line]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(hours after START, compound, symbol or none, weight, copy) as scores and mentions."""
    scores = documents([(row[0], row[1]) for row in rows]).assign(
        weight=np.array([row[3] for row in rows], dtype=np.int64), copy=np.array([row[4] for row in rows], dtype=bool))
    symbol = pd.Series([row[2] for row in rows], dtype=object)
    return scores, scores.assign(symbol=symbol)[(symbol != "").to_numpy()]


@given(ROWS)
@settings(max_examples=15)
def test_equals_a_plain_loop(rows: list[Line]) -> None:
    scores, mentions = split(rows)
    grid = universe({"A": 0, "B": 10}, 0, 48)
    rng = np.random.default_rng(len(rows))
    coverage = rng.random((len(WINDOWS), 47 * TICKS + 1))
    frame = aggregate(scores, mentions, grid, coverage)
    for _, line in frame.sample(20, random_state=len(rows)).iterrows():
        source = scores if line["symbol"] == MARKET else mentions[mentions["symbol"] == line["symbol"]]
        begin = line["at"] - pd.Timedelta(hours=WINDOWS[line["window"]])
        inside = source[(source["available_at"] > begin) & (source["available_at"] <= line["at"])]
        counted = inside[~inside["copy"]]
        compound = counted["compound"]
        share = coverage[list(WINDOWS).index(line["window"]), (line["at"] - pd.Timestamp(START)) // TICK]
        assert line["coverage"] == pytest.approx(share, abs=1e-6)
        assert (line["documents"], line["duplicates"]) == (len(counted), len(inside) - len(counted))
        assert line["bullish"] + line["bearish"] + line["neutral"] == line["documents"]
        if not len(counted):
            assert line["confidence"] == 0
            assert np.isnan(line[["mean", "dispersion", "weighted"]].astype(float)).all()
            continue
        assert line["mean"] == pytest.approx(compound.mean(), abs=1e-12)
        assert line["dispersion"] == pytest.approx(compound.std(ddof=0), abs=1e-7)
        assert line["bullish"] == (compound >= 0.05).sum()
        assert line["bearish"] == (compound <= -0.05).sum()
        weight = counted["weight"] * [faded(line["at"] - at, line["window"]) for at in counted["available_at"]]
        assert line["weighted"] == pytest.approx(np.average(compound, weights=weight), abs=2e-6)
        effective = weight.sum()**2 / (weight**2).sum()
        assert line["confidence"] == pytest.approx(
            effective / (effective + 50) * (1 - compound.std(ddof=0)) * share, abs=2e-6)


def faded(age: pd.Timedelta, window: str) -> int:
    """Halved four times within the window, in steps, in hundredths; the age counts in full ten minutes."""
    ticks, steps = WINDOWS[window] * TICKS, min(24, WINDOWS[window] * TICKS)
    step = (age // TICK) // (ticks // steps)
    return round(100 * 2 ** (-4 * (step + 0.5) / steps))


@pytest.mark.parametrize("ticks", list(WINDOW_TICKS.values()))
def test_decay_halves_four_times_in_a_window(ticks: int) -> None:
    weights, step = module.decay(ticks)
    assert len(weights) * step == ticks
    assert (np.diff(weights) <= 0).all()
    assert weights[0] / weights[-1] == pytest.approx(2 ** (4 * (1 - step / ticks)), rel=0.1)


def test_fresh_documents_weigh_more_and_copies_nothing() -> None:
    scores = documents([(0.1, -1.0), (3.9, 1.0), (3.95, -1.0)]).assign(copy=[False, False, True], weight=10)
    one = row(aggregate(scores, scores.assign(symbol="A").iloc[:0], universe({}, 4, 5)), MARKET, "4h", 4)
    assert (one["documents"], one["duplicates"], one["mean"]) == (2, 1, 0.0)
    assert one["weighted"] > 0.7


@pytest.mark.parametrize(("count", "compound", "coverage", "expected"), [
    (50, 0.5, 1.0, 0.5), (50, 0.5, 0.5, 0.25), (950, 0.5, 1.0, 0.95), (1, 0.5, 1.0, 1 / 51), (0, 0.5, 1.0, 0.0)])
def test_confidence_grows_with_documents_and_falls_with_holes(count: int, compound: float, coverage: float,
                                                              expected: float) -> None:
    scores = documents([(0.95, compound)] * count)
    frame = aggregate(scores, scores.assign(symbol="A").iloc[:0], universe({}, 1, 2),
                      np.full((len(WINDOWS), 1), coverage))
    assert row(frame, MARKET, "1h", 1)["confidence"] == pytest.approx(expected, abs=1e-6)


def test_confidence_is_nothing_when_half_say_yes_and_half_no() -> None:
    scores = documents([(0.95, 1.0), (0.95, -1.0)] * 50)
    frame = aggregate(scores, scores.assign(symbol="A").iloc[:0], universe({}, 1, 2))
    assert row(frame, MARKET, "1h", 1)["confidence"] == 0


@given(ROWS, st.integers(1, 47 * TICKS), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_in_parts_and_in_any_order_it_is_the_same_to_the_bit(rows: list[Line], cut: int,
                                                             rng: object) -> None:
    scores, mentions = split(rows)
    symbols = {"A": 0, "B": 10}
    whole = aggregate(scores, mentions, universe(symbols, 0, 48))
    order = list(range(len(scores)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    shuffled = scores.iloc[order]
    first, middle, last = (full_tick(START) + tick for tick in (0, cut, 47 * TICKS + 1))
    parts = pd.concat([
        module.aggregate(shuffled, mentions.iloc[::-1], universe(symbols, 0, 48), first, middle),
        module.aggregate(shuffled, mentions, universe(symbols, cut // TICKS, 48), middle, last)], ignore_index=True)
    pd.testing.assert_frame_equal(whole, parts, check_exact=True)


@given(ROWS, st.integers(1, 47))
@settings(max_examples=25)
def test_the_future_changes_nothing(rows: list[Line], cut: int) -> None:
    scores, mentions = split(rows)
    whole = aggregate(scores, mentions, universe({"A": 0, "B": 10}, 0, 48))
    limit = pd.Timestamp(START + cut * HOUR)
    known = aggregate(scores[scores["available_at"] <= limit], mentions[mentions["available_at"] <= limit],
                      universe({"A": 0, "B": 10} if cut >= 10 else {"A": 0}, 0, cut + 1))
    pd.testing.assert_frame_equal(whole[whole["at"] <= limit].reset_index(drop=True), known, check_exact=True)
