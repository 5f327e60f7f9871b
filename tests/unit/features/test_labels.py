"""What should have been predicted, by tables small enough to check by hand."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contracts.columns import Kind
from pipelines.features import labels
from pipelines.store import Warehouse, facts
from tests.unit.features.world import DAY, HOUR, START, clean, dirty, known, line, ordered


def bars(closes: list[float | None], opens: list[float] | None = None, symbol: str = "A") -> pd.DataFrame:
    """One bar an hour; None: the bar is missing."""
    opened = pd.date_range(START, periods=len(closes), freq="h", unit="us")
    frame = pd.DataFrame({
        "symbol": symbol, "interval": "1h", "event_time": opened, "available_at": opened + HOUR,
        "open": opens or [close or 0.0 for close in closes], "high": 1e9, "low": 1e-9, "close": closes, "volume": 1.0,
        "source": "t", "revision": 0})
    return frame.dropna(subset="close").astype({"close": float}).reset_index(drop=True)


def table(frame: pd.DataFrame) -> list[list[object]]:
    """(hour of the bar, y, hour of label_end, previous label)"""
    hours = [(frame[name] - pd.Timestamp(START)) / HOUR for name in ("event_time", "label_end")]
    return [[int(bar), int(y), float(end), None if np.isnan(previous) else int(previous)]
            for bar, y, end, previous in zip(hours[0], frame["y"], hours[1], frame["prev_label"], strict=True)]


class TestDirection:
    def test_next_hour(self) -> None:
        frame = labels.label(bars([10, 11, 10, 10, 12]), line())
        assert table(frame) == [[0, 1, 2, None], [1, 0, 3, 1], [2, 0, 4, 0], [3, 1, 5, 0]]

    def test_types(self) -> None:
        frame = labels.label(bars([10, 11, 10]), line())
        assert list(frame.columns) == list(labels.COLUMNS)
        assert frame["y"].dtype == np.int64
        assert str(frame["label_end"].dtype) == "datetime64[us, UTC]"

    def test_the_trade_enters_at_the_next_open(self) -> None:
        frame = labels.label(bars([10, 12, 9], opens=[10, 10.5, 11.5]), line())
        assert frame["forward_return"].tolist() == [12 / 10.5 - 1, 9 / 11.5 - 1]
        frame = labels.label(bars([10, 12, 9], opens=[10, 10.5, 11.5]), line(horizon=2))
        assert frame["forward_return"].tolist() == [9 / 10.5 - 1]

    def test_three_hours(self) -> None:
        frame = labels.label(bars([10, 11, 9, 12, 8, 7, 13]), line(horizon=3))
        # The label of bar 0 is known at 04:00, when bar 3 closes: so is its result to the row of bar 3, no earlier.
        assert table(frame) == [[0, 1, 4, None], [1, 0, 5, None], [2, 0, 6, None], [3, 1, 7, 1]]

    def test_a_row_without_its_outcome_has_no_label(self) -> None:
        frame = labels.label(bars([10, 11, None, 12, 13]), line())
        assert table(frame) == [[0, 1, 2, None], [3, 1, 5, 1]]

    def test_a_late_outcome_is_known_late(self) -> None:
        frame = bars([10, 11, 12, 13, 12])
        frame.loc[2, "available_at"] += pd.Timedelta(hours=1.5)  # at 04:30
        # Row 3 (04:00) does not know yet how row 1 ended, and row 2 ends with bar 3, which needs bar 2.
        assert table(labels.label(frame, line())) == [
            [0, 1, 2, None], [1, 1, 4.5, 1], [2, 1, 4.5, 1], [3, 0, 5, 1]]
        assert labels.label(frame, line())["prev_label"].tolist()[2:] == [1, 1]

    def test_corrections_count_until_the_outcome_is_known(self) -> None:
        frame = bars([10, 11, 12, 13])
        early = frame.iloc[[1]].assign(close=9.0, revision=1, available_at=pd.Timestamp(START + 2 * HOUR))
        late = frame.iloc[[2]].assign(close=5.0, revision=1, available_at=pd.Timestamp(START + 3.5 * HOUR))
        assert labels.label(ordered(pd.concat([frame, early])), line())["y"].tolist() == [0, 1, 1]
        # Bar 2 was corrected after row 1 had ended (03:00) and before row 2 ended (04:00).
        assert labels.label(ordered(pd.concat([frame, late])), line())["y"].tolist() == [1, 1, 1]
        falling = frame.assign(close=[10, 11, 12, 11.5])
        corrected = falling.iloc[[2]].assign(close=5.0, revision=1, available_at=pd.Timestamp(START + 3.5 * HOUR))
        assert labels.label(falling, line())["y"].tolist() == [1, 1, 0]
        assert labels.label(ordered(pd.concat([falling, corrected])), line())["y"].tolist() == [1, 1, 1]

    def test_an_unchanged_price_did_not_rise(self) -> None:
        assert labels.label(bars([10, 10]), line())["y"].tolist() == [0]

    def test_symbols_do_not_mix(self) -> None:
        both = pd.concat([bars([10, 11, 12]), bars([10, 9, 8], symbol="B")])
        frame = labels.label(both, line())
        assert frame[["symbol", "y"]].to_numpy().tolist() == [["A", 1], ["B", 0], ["A", 1], ["B", 0]]

    def test_no_bars(self) -> None:
        frame = labels.label(bars([]), line())
        assert frame.empty
        assert list(frame.columns) == list(labels.COLUMNS)


class TestVolatility:
    def test_against_a_plain_loop(self) -> None:
        frame, horizon, median = clean(160, ("A",)), 6, 48
        result = labels.label(frame, line("volatility", horizon, median)).set_index("event_time")
        close = frame["close"].to_numpy()
        returns = np.log(close[1:] / close[:-1])  # returns[i] belongs to bar i + 1
        volatility = {bar: np.sqrt(np.sum(returns[bar - horizon:bar] ** 2)) for bar in range(horizon, 160)}
        checked = 0
        for bar in range(160):
            at = frame["event_time"].iloc[bar]
            past = [volatility[j] for j in range(bar - median + 1, bar + 1) if j in volatility]
            if len(past) < np.ceil(0.5 * median) or bar + horizon >= 160:
                assert at not in result.index
                continue
            row = result.loc[at]
            assert row["y"] == (volatility[bar + horizon] > np.median(past))
            assert row["label_end"] == frame["available_at"].iloc[bar + horizon]
            assert np.isnan(row["forward_return"])
            earlier = bar - horizon
            if earlier >= 0 and frame["event_time"].iloc[earlier] in result.index:
                assert row["prev_label"] == result.loc[frame["event_time"].iloc[earlier], "y"]
            checked += 1
        assert checked > 90
        assert 0.2 < result["y"].mean() < 0.8

    def test_the_median_is_made_of_what_was_known(self) -> None:
        frame = clean(60, ("A",))
        plain = labels.label(frame, line("volatility", 2, 24)).set_index("event_time")
        late = frame.copy()
        late.loc[30, "available_at"] += pd.Timedelta(hours=20)
        delayed = labels.label(late, line("volatility", 2, 24)).set_index("event_time")
        # Bars 30 to 32 close windows that hold bar 30 or its return: unknown until 51:00.
        assert delayed["label_end"].loc[plain.index[plain.index == pd.Timestamp(START + 29 * HOUR)]].iloc[0] == (
            pd.Timestamp(START + 51 * HOUR))
        assert (delayed["label_end"] >= plain["label_end"].loc[delayed.index]).all()
        # Row 40 does not know the windows that end at bars 30 to 32; row 52 does.
        volatility = pd.Series(np.log(frame["close"]).diff().pow(2).rolling(2).sum().pow(0.5))
        for bar in (40, 52):
            past = volatility.iloc[bar - 23:bar + 1].drop(index=[30, 31, 32] if bar == 40 else [])
            assert delayed["y"].loc[frame["event_time"].iloc[bar]] == (volatility[bar + 2] > past.median())

    def test_a_gap_leaves_no_label_over_it(self) -> None:
        frame = clean(80, ("A",)).drop(index=60)
        result = labels.label(frame, line("volatility", 4, 24))
        hours = set(((result["event_time"] - pd.Timestamp(START)) / HOUR).astype(int))
        assert not hours & {56, 57, 58, 59, 60}
        assert {55, 61, 62} <= hours


@given(st.integers(0, 1000), st.integers(30 * 60, 90 * 60), st.sampled_from([("direction", 1), ("direction", 5),
                                                                            ("volatility", 3)]))
@settings(max_examples=15)
def test_the_future_changes_nothing(seed: int, minutes: int, kind: tuple[str, int]) -> None:
    frame, cut = dirty(90, seed=seed, rate=0.1), pd.Timestamp(START + timedelta(minutes=minutes))
    rules = line(*kind, 24)
    whole = labels.label(frame, rules)
    part = labels.label(known(frame, cut), rules)
    pd.testing.assert_frame_equal(whole[whole["label_end"] <= cut].reset_index(drop=True), part, check_exact=True)


@pytest.mark.parametrize(("kind", "horizon"), [("direction", 1), ("direction", 5), ("volatility", 3)])
def test_where_the_computation_begins_changes_nothing(kind: str, horizon: int) -> None:
    frame, rules = dirty(500, seed=3, rate=0.01), line(kind, horizon, 24)
    start = pd.Timestamp(START) + labels.history(rules) + pd.Timedelta(hours=30)
    whole = labels.label(frame, rules)
    part = labels.label(frame[frame["event_time"] >= start - labels.history(rules)], rules)
    assert (part["event_time"] >= start).sum() > 100
    for both in [(whole, part)]:
        left, right = (one[one["event_time"] >= start].reset_index(drop=True) for one in both)
        pd.testing.assert_frame_equal(left, right, check_exact=True)


def test_read_takes_the_history_it_needs(warehouse: Warehouse) -> None:
    frame, rules = dirty(24 * 14, seed=4, rate=0.02), line("volatility", 3, 24)
    facts.write(warehouse, Kind.BARS, frame.drop(columns="revision"))
    start, end, as_of = START + 11 * DAY, START + 13 * DAY, START + 12.5 * DAY
    part = labels.read(warehouse, rules, start=start, end=end, as_of=as_of)
    whole = labels.label(known(frame, as_of), rules)
    whole = whole[whole["event_time"].between(start, end, inclusive="left")]
    assert len(part) > 50
    pd.testing.assert_frame_equal(part, whole.reset_index(drop=True), check_exact=True)
    assert (part["label_end"] <= pd.Timestamp(as_of)).all()
