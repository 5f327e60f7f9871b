"""Facts as of a time, against a naive oracle over random histories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.records import WriteCounts
from pipelines.contracts.window import Window
from pipelines.errors import ContractError, StoreError
from pipelines.store import Warehouse, asof, facts

T0 = datetime(2024, 1, 31, 20, tzinfo=UTC)  # near the end of a month, so that histories span two partitions
HOUR = timedelta(hours=1)

#: (bar number, hours until it was known, close)
Row = tuple[int, int, float]
rows_of = st.lists(
    st.tuples(st.integers(0, 7), st.integers(1, 5), st.sampled_from([1.0, 2.0, 3.0])), min_size=1, max_size=12)


def frame(rows: list[Row]) -> pd.DataFrame:
    opened = [T0 + bar * HOUR for bar, _, _ in rows]
    known = [at + row[1] * HOUR for at, row in zip(opened, rows, strict=True)]
    return pd.DataFrame({
        "symbol": "BTC", "interval": "1h", "event_time": pd.DatetimeIndex(opened).as_unit("us"),
        "available_at": pd.DatetimeIndex(known).as_unit("us"),
        "open": 1.0, "high": 9.0, "low": 0.0, "close": [value for _, _, value in rows], "volume": 1.0,
        "source": "test"})


class Oracle:
    """The rule of ``facts.write`` row by row, in plain Python."""

    def __init__(self) -> None:
        self.revisions: dict[int, list[tuple[int, int, float]]] = {}  # bar → (known after, revision, close)

    def write(self, rows: list[Row]) -> WriteCounts:
        inserted = revised = 0
        for bar, known, value in sorted(rows, key=lambda row: row[1]):
            history = self.revisions.setdefault(bar, [])
            before = max((version for version in history if version[0] < known), default=None)
            exact = any(version[0] == known and version[2] == value for version in history)
            if exact or (before is not None and before[2] == value):
                continue
            history.append((known, len(history) + 1, value))
            inserted, revised = inserted + (len(history) == 1), revised + (len(history) > 1)
        return WriteCounts(inserted, revised, len(rows) - inserted - revised)

    def read(self, as_of: datetime, pick: str) -> list[tuple[int, int, int, float]]:
        found = []
        for bar, history in sorted(self.revisions.items()):
            known = sorted(version for version in history if T0 + (bar + version[0]) * HOUR <= as_of)
            chosen = {"latest": known[-1:], "first": known[:1], "all": known}[pick]
            found += [(bar, *version) for version in chosen]
        return found


def empty(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        connection.exec_driver_sql("TRUNCATE bars")


def seen(read: pd.DataFrame) -> list[tuple[int, int, int, float]]:
    return [(round((row.event_time - T0) / HOUR), round((row.available_at - row.event_time) / HOUR), row.revision,
             row.close) for row in read.itertuples()]


@pytest.mark.no_cover
@hypothesis_settings(max_examples=15)
@given(st.lists(rows_of, min_size=1, max_size=4))
def test_reading_as_of_any_time_equals_the_oracle(shared_warehouse: Warehouse, batches: list[list[Row]]) -> None:
    empty(shared_warehouse)
    oracle = Oracle()
    for batch in batches:  # any order of arrival
        assert facts.write(shared_warehouse, Kind.BARS, frame(batch)) == oracle.write(batch)
        assert facts.write(shared_warehouse, Kind.BARS, frame(batch)) == WriteCounts(unchanged=len(batch))
    for hours in (2, 6, 13):
        as_of = T0 + hours * HOUR
        for pick in ("latest", "first", "all"):
            expected = oracle.read(as_of, pick)
            read = asof.read(shared_warehouse, Kind.BARS, as_of=as_of, revisions=pick)
            assert seen(read) == expected
            start, end = T0 + 4 * HOUR, T0 + 7 * HOUR
            by_event = asof.read(shared_warehouse, Kind.BARS, as_of=as_of, revisions=pick, start=start, end=end)
            assert seen(by_event) == [row for row in expected if 4 <= row[0] < 7]
            by_known = asof.read(shared_warehouse, Kind.BARS, as_of=as_of, revisions=pick, start=start, end=end,
                                 by="available_at")
            assert seen(by_known) == [row for row in expected if 4 <= row[0] + row[1] < 7]


@hypothesis_settings(max_examples=15)
@given(rows_of, st.data())
def test_partitions_in_order_can_be_rewritten_whole_or_in_part(shared_warehouse: Warehouse, rows: list[Row],
                                                               data: st.DataObject) -> None:
    empty(shared_warehouse)
    rows = sorted(rows, key=lambda row: row[0] + row[1])
    cut = data.draw(st.integers(0, len(rows)))
    for part in (rows[:cut], rows[cut:]):
        facts.write(shared_warehouse, Kind.BARS, frame(part))
    before = asof.read(shared_warehouse, Kind.BARS, as_of=T0 + 99 * HOUR, revisions="all")
    again = data.draw(st.lists(st.sampled_from(rows), min_size=1))
    if {(row[0], row[1]) for row in again} == {row[:2] for row in again}:
        assert facts.write(shared_warehouse, Kind.BARS, frame(again)) == WriteCounts(unchanged=len(again))
    pd.testing.assert_frame_equal(asof.read(shared_warehouse, Kind.BARS, as_of=T0 + 99 * HOUR, revisions="all"), before)


@hypothesis_settings(max_examples=10)
@given(st.permutations([(bar, known, float(10 * bar + known)) for bar in (0, 6) for known in (1, 2, 4)]),
       st.integers(0, 6))
def test_the_order_of_arrival_does_not_change_what_was_known(shared_warehouse: Warehouse, rows: list[Row],
                                                            cut: int) -> None:
    empty(shared_warehouse)
    for part in (rows[:cut], rows[cut:]):
        facts.write(shared_warehouse, Kind.BARS, frame(part))
    read = asof.read(shared_warehouse, Kind.BARS, as_of=T0 + 3 * HOUR)
    assert [row[:2] + row[3:] for row in seen(read)] == [(0, 2, 2.0)]
    read = asof.read(shared_warehouse, Kind.BARS, as_of=T0 + 9 * HOUR)
    assert [row[:2] + row[3:] for row in seen(read)] == [(0, 4, 4.0), (6, 2, 62.0)]


def test_the_same_values_known_later_are_no_news(warehouse: Warehouse) -> None:
    assert facts.write(warehouse, Kind.BARS, frame([(0, 1, 5.0)])) == WriteCounts(inserted=1)
    assert facts.write(warehouse, Kind.BARS, frame([(0, 4, 5.0)])) == WriteCounts(unchanged=1)
    assert facts.write(warehouse, Kind.BARS, frame([(0, 4, 6.0), (0, 5, 5.0)])) == WriteCounts(revised=2)
    read = asof.read(warehouse, Kind.BARS, as_of=T0 + 9 * HOUR, revisions="all")
    assert seen(read) == [(0, 1, 1, 5.0), (0, 4, 2, 6.0), (0, 5, 3, 5.0)]


def test_frames_come_back_with_the_contract_types(warehouse: Warehouse) -> None:
    when = pd.Timestamp("2024-03-01T05:00Z").as_unit("us")
    indicators = pd.DataFrame({"name": ["vix", "fear"], "event_time": when, "available_at": when + HOUR,
                               "value": [1.5, float("inf")], "source": "x", "components": [{"a": [1, None]}, None]})
    facts.write(warehouse, Kind.INDICATORS, indicators)
    read = asof.read(warehouse, Kind.INDICATORS, as_of=when + HOUR)
    assert list(read.columns) == [*SCHEMAS[Kind.INDICATORS].columns, "revision"]
    assert read["name"].tolist() == ["fear", "vix"]
    assert read["components"].tolist() == [None, {"a": [1, None]}]
    assert read["value"].tolist() == [float("inf"), 1.5]
    assert str(read["event_time"].dtype) == "datetime64[us, UTC]"
    assert asof.read(warehouse, Kind.INDICATORS, as_of=when + HOUR, names=["vix"])["name"].tolist() == ["vix"]

    text = 'two\nlines, "quoted" ünïcode'
    documents = pd.DataFrame({"source": "s", "doc_id": ["1", "2"], "event_time": when, "available_at": when,
                              "kind": "news", "title": [None, ""], "text": [text, ""]})
    facts.write(warehouse, Kind.DOCUMENTS, documents)
    read = asof.read(warehouse, Kind.DOCUMENTS, as_of=when)
    assert read["text"].tolist() == [text, ""]
    assert read["title"].isna().tolist() == [True, False]
    assert read["engagement"].isna().all()
    assert read["engagement"].dtype == float

    nothing = asof.read(warehouse, Kind.TRADES, as_of=when, symbols=["BTC"])
    assert nothing.empty
    assert str(nothing["closed_at"].dtype) == "datetime64[us, UTC]"
    assert nothing["entry_price"].dtype == float


@pytest.mark.parametrize(("change", "words"), [
    (lambda bars: bars.assign(colour="red"), "no columns \\['colour'\\]"),
    (lambda bars: bars.drop(columns="close"), "lacks the column 'close'"),
    (lambda bars: bars.assign(close=None), "empty values"),
    (lambda bars: bars.assign(close="dear"), "cannot be read as double"),
    (lambda bars: bars.assign(event_time=bars["event_time"].dt.tz_localize(None)), "no time zone"),
    (lambda bars: bars.assign(event_time="yesterday"), "holds .*string, not times"),
    (lambda bars: bars.assign(symbol=pd.Series(["\ud800"], dtype=object)), "cannot be read as string"),
    (lambda bars: bars.assign(available_at=bars["available_at"] + timedelta(days=9)), "outside the partition"),
])
def test_frames_against_the_contract_are_refused(shared_warehouse: Warehouse, change, words: str) -> None:
    empty(shared_warehouse)
    wrong, partition = change(frame([(0, 1, 5.0)])), Window(T0, T0 + 3 * HOUR)
    with pytest.raises(ContractError, match=words):
        facts.write(shared_warehouse, Kind.BARS, wrong, source_partition=partition)
    assert asof.read(shared_warehouse, Kind.BARS, as_of=T0 + 999 * HOUR).empty


@pytest.mark.parametrize(("change", "rule"), [
    ({"low": 10.0}, "bars_low_high"),
    ({"available_at": pd.Timestamp(T0 - HOUR)}, "bars_known_after_event"),
    ({"source": "nul \x00"}, "0x00"),
])
def test_rows_that_cannot_be_true_are_refused_whole(shared_warehouse: Warehouse, change: dict, rule: str) -> None:
    empty(shared_warehouse)
    with pytest.raises(StoreError, match=rule):
        facts.write(shared_warehouse, Kind.BARS, frame([(0, 1, 5.0), (1, 1, 5.0)]).assign(**change))
    assert asof.read(shared_warehouse, Kind.BARS, as_of=T0 + 999 * HOUR).empty


def test_questions_that_make_no_sense_are_refused(shared_warehouse: Warehouse) -> None:
    with pytest.raises(ContractError, match="no time zone"):
        asof.read(shared_warehouse, Kind.BARS, as_of=datetime(2024, 1, 1))
    with pytest.raises(ContractError, match="not per symbol"):
        asof.read(shared_warehouse, Kind.DOCUMENTS, as_of=T0, symbols=["BTC"])
    with pytest.raises(ContractError, match="have no names"):
        asof.read(shared_warehouse, Kind.BARS, as_of=T0, names=["BTC"])


def test_what_came_in_a_window_of_events_before_another_time(warehouse: Warehouse) -> None:
    facts.write(warehouse, Kind.BARS, frame([(0, 9, 1.0), (1, 8, 1.0), (2, 7, 1.0), (2, 8, 2.0), (3, 1, 1.0)]))
    found = asof.read(warehouse, Kind.BARS, as_of=T0 + 99 * HOUR, start=T0 + 9 * HOUR, end=T0 + 99 * HOUR,
                      by="available_at", before=T0 + 2 * HOUR, revisions="all")
    assert found["event_time"].tolist() == [T0, T0 + HOUR]


def test_a_partition_ends_before_its_end() -> None:
    assert asof.just_before(T0) == datetime(2024, 1, 31, 19, 59, 59, 999999, tzinfo=UTC)


def test_arrivals_and_first_arrivals(warehouse: Warehouse) -> None:
    def posts(*rows: tuple[str, str, float, str]) -> pd.DataFrame:
        """(source, id, minutes after T0 when available, text)"""
        known = pd.to_datetime([T0 + timedelta(minutes=row[2]) for row in rows], utc=True).as_unit("us")
        return pd.DataFrame({
            "source": [row[0] for row in rows], "doc_id": [row[1] for row in rows],
            "event_time": pd.DatetimeIndex([T0 - HOUR] * len(rows)).as_unit("us"), "available_at": known,
            "kind": "post", "title": None, "text": [row[3] for row in rows], "url": None, "engagement": 1.0})

    facts.write(warehouse, Kind.DOCUMENTS, posts(
        ("a", "1", 0, "x"), ("a", "2", 10, "x"), ("a", "3", 10 + 1 / 60, "x"), ("b", "4", 19, "x"),
        ("b", "5", 40, "x")))
    facts.write(warehouse, Kind.DOCUMENTS, posts(("a", "1", 25, "edited")))
    span = {"start": T0, "end": T0 + HOUR}
    first = int(T0.timestamp()) // 600
    found = asof.arrivals(warehouse, as_of=T0 + timedelta(minutes=30), step=timedelta(minutes=10), **span)
    assert found.to_numpy().tolist() == [
        ["a", first, 1], ["a", first + 1, 1], ["a", first + 2, 1], ["a", first + 3, 1], ["b", first + 2, 1]]
    assert asof.count(warehouse, Kind.DOCUMENTS, as_of=T0 + timedelta(minutes=30), **span) == 4
    later = {"start": T0 + timedelta(minutes=20), "end": T0 + HOUR}
    assert asof.count(warehouse, Kind.DOCUMENTS, as_of=T0 + HOUR, **later) == 1  # an edit is no first arrival
