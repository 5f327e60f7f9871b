"""Rows as they were known: against a plain search through all versions, row by row, to the bit."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ContractError
from pipelines.features import catalog, view
from pipelines.features.declare import Bars
from pipelines.sentiment.hours import HOUR_US, instant
from tests.unit.features.world import DAY, HOUR, PRICES, START, clean, dirty, known, ordered

GROUPS = [catalog.GROUPS[name] for name in ("returns", "trend", "volatility")]
LOOKBACK = catalog.lookback(GROUPS)


def compute(bars: Bars) -> dict[str, np.ndarray]:
    return {name: value for group in GROUPS for name, value in group.on_bars(bars).items()}


def short(bars: Bars) -> dict[str, np.ndarray]:
    """A cheap statistic over 3 bars of look-back that shows every change."""
    total = bars.close.copy()
    for offset in (1, 2, 3):
        total[offset:] += np.where(np.isnan(bars.close[:-offset]), 1e6 * offset, bars.close[:-offset]) / 10**offset
    return {"mix": total}


def evaluate(frame: pd.DataFrame, hours: int, function: view.Compute, lookback: int,
             grace: timedelta | None = view.GRACE) -> tuple[view.History, view.Evaluated]:
    past = view.history(frame, START, START + hours * HOUR)
    return past, view.evaluate(past, function, lookback, grace)


def row_by_row(frame: pd.DataFrame, hours: range, function: view.Compute, lookback: int,
               grace: timedelta | None) -> dict[tuple[str, int], tuple[pd.Timestamp, dict[str, float]]]:
    """What each row should be: its time, then its look-back with the versions of that time, computed alone."""
    never = pd.Timestamp.max.tz_localize("UTC")
    result = {}
    for symbol, own in frame.groupby("symbol"):
        first = own.groupby("event_time")["available_at"].min().to_dict()
        for hour in hours:
            opened = pd.Timestamp(START + hour * HOUR)
            bars = [opened - back * HOUR for back in range(min(lookback, hour) + 1)]
            waited = bars[1:] if grace is None else [opened - back * HOUR for back in range(1, min(24, hour) + 1)]
            waits = [min(first.get(bar, never), never if grace is None else bar + HOUR + grace) for bar in waited]
            at = max([first.get(opened, never), *waits])
            if opened not in first or at == never:
                continue
            seen = own[(own["available_at"] <= at) & (own["event_time"] >= bars[-1]) & (own["event_time"] <= opened)]
            latest = seen.drop_duplicates("event_time", keep="last").set_index("event_time")[PRICES].reindex(bars[::-1])
            with np.errstate(all="ignore"):
                alone = function(Bars(*np.ascontiguousarray(latest.to_numpy(dtype=np.float64).T[:, :, None])))
            result[symbol, hour] = (at, {name: value[-1, 0] for name, value in alone.items()})
    return result


def assert_equal_row_by_row(frame: pd.DataFrame, hours: int, function: view.Compute, lookback: int,
                            grace: timedelta | None, every: int = 1) -> None:
    past, result = evaluate(frame, hours, function, lookback, grace)
    chosen = range(0, hours, every)
    expected = row_by_row(frame, chosen, function, lookback, grace)
    assert {(past.symbols[column], int(row)) for row, column in zip(*np.nonzero(result.time < view.NEVER), strict=True)
            if row in chosen} == set(expected)
    for (symbol, hour), (at, values) in expected.items():
        cell = hour, past.symbols.index(symbol)
        assert result.time[cell] == instant(at.to_pydatetime())
        for name, value in values.items():
            assert np.float64(value).tobytes() == result.values[name][cell].tobytes() or (
                np.isnan(value) and np.isnan(result.values[name][cell])), (symbol, hour, name)


@given(st.integers(0, 10_000), st.floats(0.02, 0.4), st.sampled_from([None, timedelta(0), timedelta(hours=6), DAY]))
@settings(max_examples=6)
def test_equals_row_by_row_with_much_dirt(seed: int, rate: float, grace: timedelta | None) -> None:
    assert_equal_row_by_row(dirty(26, seed=seed, rate=rate), 26, short, 3, grace)


def test_all_bar_features_equal_row_by_row() -> None:
    frame = dirty(230, ("AUSDT",), seed=5, rate=0.03)
    assert_equal_row_by_row(frame, 230, compute, LOOKBACK, view.GRACE, every=7)


def test_where_the_computation_begins_changes_no_bit() -> None:
    frame, hours = dirty(380, seed=9, rate=0.01), 380
    past, whole = evaluate(frame, hours, compute, LOOKBACK)
    for start in (1, 100, 190):
        later = view.history(frame, START + start * HOUR, START + hours * HOUR)
        part = view.evaluate(later, compute, LOOKBACK)
        assert later.symbols == past.symbols
        assert part.time[LOOKBACK:].tobytes() == whole.time[start + LOOKBACK:].tobytes()
        for name, values in part.values.items():
            assert values[LOOKBACK:].tobytes() == whole.values[name][start + LOOKBACK:].tobytes(), name


@given(st.integers(0, 10_000), st.integers(1, 48 * 60))
@settings(max_examples=20)
def test_the_future_changes_nothing(seed: int, minutes: int) -> None:
    frame, cut = dirty(48, seed=seed, rate=0.2), START + timedelta(minutes=minutes)
    past, whole = evaluate(frame, 48, short, 3)
    now, part = evaluate(known(frame, cut), 48, short, 3)
    columns = [past.symbols.index(symbol) for symbol in now.symbols]
    decided = whole.time <= instant(cut)
    others = np.delete(decided, columns, axis=1)
    assert not others.any()
    assert ((part.time <= instant(cut)) == decided[:, columns]).all()
    mine = part.time <= instant(cut)
    assert part.time[mine].tobytes() == whole.time[:, columns][mine].tobytes()
    assert part.values["mix"][mine].tobytes() == whole.values["mix"][:, columns][mine].tobytes()


class TestTimes:
    def test_a_late_bar_makes_the_rows_that_need_it_late(self) -> None:
        frame = clean(8, ("AUSDT",))
        frame.loc[2, "available_at"] += pd.Timedelta(hours=2.5)  # bar 2 at 05:30 instead of 03:00
        _, result = evaluate(frame, 8, short, 3)
        hours = (result.time[:, 0] - instant(START)) / HOUR_US
        assert hours.tolist() == [1, 2, 5.5, 5.5, 5.5, 6, 7, 8]
        _, result = evaluate(frame, 8, short, 3, grace=timedelta(0))
        hours = (result.time[:, 0] - instant(START)) / HOUR_US
        assert hours.tolist() == [1, 2, 5.5, 4, 5, 6, 7, 8]

    def test_rows_do_not_wait_longer_than_the_grace(self) -> None:
        frame = clean(40, ("AUSDT",))
        frame.loc[20, "available_at"] += pd.Timedelta(hours=9)
        _, result = evaluate(frame, 40, short, 3)
        hours = (result.time[:, 0] - instant(START)) / HOUR_US
        assert hours[19:28].tolist() == [20, 30, 27, 27, 27, 27, 27, 27, 28]
        # Bar 20 is a gap to rows 21 to 23, which were decided before it came, and none to itself.
        assert (result.values["mix"][21:24, 0] > 1e3).all()
        assert result.values["mix"][20, 0] < 1e3

    def test_without_a_grace_a_row_waits_and_a_gap_has_no_rows(self) -> None:
        frame = clean(12, ("AUSDT",)).drop(index=5)
        _, result = evaluate(frame, 12, short, 3, grace=None)
        assert np.flatnonzero(result.time[:, 0] == view.NEVER).tolist() == [5, 6, 7, 8]

    def test_a_gap_that_is_no_longer_waited_for(self) -> None:
        frame = clean(40, ("AUSDT",)).drop(index=20)
        _, result = evaluate(frame, 40, short, 3)
        hours = (result.time[:, 0] - instant(START)) / HOUR_US
        assert hours[[19, 21, 22, 23, 24, 26, 27]].tolist() == [20, 27, 27, 27, 27, 27, 28]
        assert result.time[20, 0] == view.NEVER


class TestRevisions:
    def test_only_rows_decided_after_it_see_it(self) -> None:
        frame = clean(10, ("AUSDT",))
        again = frame.iloc[[4]].assign(close=1e4, revision=1, available_at=pd.Timestamp(START + 6.5 * HOUR))
        _, before = evaluate(frame, 10, short, 3, timedelta(0))
        _, after = evaluate(ordered(pd.concat([frame, again])), 10, short, 3, timedelta(0))
        changed = before.values["mix"][:, 0] != after.values["mix"][:, 0]
        assert np.flatnonzero(changed).tolist() == [6, 7]  # decided at 07:00 and 08:00; row 8 no longer looks at it
        assert after.time.tobytes() == before.time.tobytes()

    def test_of_two_revisions_each_row_sees_its_own(self) -> None:
        frame = clean(10, ("AUSDT",))
        news = [frame.iloc[[4]].assign(close=value, revision=number, available_at=pd.Timestamp(START + at * HOUR))
                for number, value, at in ((1, 200.0, 5.5), (2, 300.0, 7.0))]
        _, result = evaluate(ordered(pd.concat([frame, *news])), 10, short, 3, timedelta(0))
        _, plain = evaluate(frame, 10, short, 3, timedelta(0))
        first = frame["close"].iloc[4]
        gain = result.values["mix"][:, 0] - plain.values["mix"][:, 0]
        seen = [(200 - first) / 10, (300 - first) / 100, (300 - first) / 1000]
        assert gain == pytest.approx([0, 0, 0, 0, 0, *seen, 0, 0])


def test_bars_off_the_grid_are_refused() -> None:
    frame = clean(3)
    frame.loc[1, "event_time"] += pd.Timedelta(minutes=17)
    with pytest.raises(ContractError, match="not on a full hour"):
        view.history(frame, START, START + 3 * HOUR)


def test_no_bars() -> None:
    _, result = evaluate(clean(3).iloc[:0], 3, compute, LOOKBACK)
    assert result.time.shape == (3, 0)
    assert set(result.values) == {feature.name for feature in catalog.features(GROUPS)}
