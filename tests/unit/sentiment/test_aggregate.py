"""Windows, counts and exactness of the aggregates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sentiment.aggregate import COLUMNS, MARKET, WINDOWS, aggregate
from pipelines.sentiment.hours import full_hour
from pipelines.sentiment.universe import Universe

START = datetime(2024, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


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
    assert len(frame) == 2 * 2 * len(WINDOWS)


def test_a_document_without_a_mention_counts_for_the_market_only() -> None:
    scores = documents([(0.5, 0.8), (0.6, -0.8)])
    frame = aggregate(scores, scores.iloc[:1].assign(symbol="A"), universe({"A": 0}, 1, 2))
    assert row(frame, MARKET, "1h", 1)["documents"] == 2
    assert row(frame, "A", "1h", 1)["documents"] == 1
    assert row(frame, "A", "1h", 1)["mean"] == 0.8


def test_a_symbol_has_rows_from_its_first_bar_until_a_week_after_its_last() -> None:
    grid = universe({"A": 5.5}, 0, 200)
    frame = aggregate(documents([]), documents([]).assign(symbol=pd.Series([], dtype=object)), grid)
    hours = (frame.loc[(frame["symbol"] == "A") & (frame["window"] == "1h"), "at"] - pd.Timestamp(START)) / HOUR
    assert hours.tolist() == list(range(6, 174))


def test_a_symbol_is_not_known_to_a_document_before_its_first_bar() -> None:
    grid = universe({"A": 5.5}, 0, 24)
    at = pd.Series(pd.to_datetime([START + hour * HOUR for hour in (5.4, 5.9, 6.0, 6.1)], utc=True).as_unit("us"))
    assert grid.knows(pd.Series(["A"] * 4), at).tolist() == [False, False, True, True]
    assert grid.knows(pd.Series(["B"] * 4), at).tolist() == [False] * 4
    assert universe({}, 0, 24).knows(pd.Series(["A"] * 4), at).tolist() == [False] * 4


def test_a_part_of_an_hour_without_a_full_hour_has_no_rows() -> None:
    frame = aggregate(documents([(0.5, 0.2)]), documents([]).assign(symbol=pd.Series([], dtype=object)),
                      universe({"A": 0}, 0.2, 0.8))
    assert frame.empty
    assert list(frame.columns) == list(COLUMNS)


ROWS = st.lists(st.tuples(st.floats(-200, 60), st.integers(-10_000, 10_000).map(lambda x: x / 10_000),
                          st.sampled_from(["A", "B", ""])), max_size=60)


def split(rows: list[tuple[float, float, str]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    scores = documents([(at, compound) for at, compound, _ in rows])
    symbol = pd.Series([name for _, _, name in rows], dtype=object)
    return scores, scores.assign(symbol=symbol)[(symbol != "").to_numpy()]


@given(ROWS)
@settings(max_examples=15)
def test_equals_a_plain_loop(rows: list[tuple[float, float, str]]) -> None:
    scores, mentions = split(rows)
    frame = aggregate(scores, mentions, universe({"A": 0, "B": 10}, 0, 48))
    for _, line in frame.sample(20, random_state=len(rows)).iterrows():
        source = scores if line["symbol"] == MARKET else mentions[mentions["symbol"] == line["symbol"]]
        begin = line["at"] - pd.Timedelta(hours=WINDOWS[line["window"]])
        inside = source.loc[(source["available_at"] > begin) & (source["available_at"] <= line["at"]), "compound"]
        assert line["documents"] == len(inside)
        if len(inside):
            assert line["mean"] == pytest.approx(inside.mean(), abs=1e-12)
            assert line["dispersion"] == pytest.approx(inside.std(ddof=0), abs=1e-7)
            assert line["bullish"] == (inside >= 0.05).sum()
            assert line["bearish"] == (inside <= -0.05).sum()
        assert line["bullish"] + line["bearish"] + line["neutral"] == line["documents"]


@given(ROWS, st.integers(1, 47), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_in_parts_and_in_any_order_it_is_the_same_to_the_bit(rows: list[tuple[float, float, str]], cut: int,
                                                             rng: object) -> None:
    scores, mentions = split(rows)
    symbols = {"A": 0, "B": 10}
    whole = aggregate(scores, mentions, universe(symbols, 0, 48))
    order = list(range(len(scores)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    shuffled = scores.iloc[order]
    parts = pd.concat([aggregate(shuffled, mentions.iloc[::-1], universe(symbols, 0, cut)),
                       aggregate(shuffled, mentions, universe(symbols, cut, 48))], ignore_index=True)
    pd.testing.assert_frame_equal(whole, parts, check_exact=True)


@given(ROWS, st.integers(1, 47))
@settings(max_examples=25)
def test_the_future_changes_nothing(rows: list[tuple[float, float, str]], cut: int) -> None:
    scores, mentions = split(rows)
    whole = aggregate(scores, mentions, universe({"A": 0, "B": 10}, 0, 48))
    limit = pd.Timestamp(START + cut * HOUR)
    known = aggregate(scores[scores["available_at"] <= limit], mentions[mentions["available_at"] <= limit],
                      universe({"A": 0, "B": 10} if cut >= 10 else {"A": 0}, 0, cut + 1))
    pd.testing.assert_frame_equal(whole[whole["at"] <= limit].reset_index(drop=True), known, check_exact=True)
