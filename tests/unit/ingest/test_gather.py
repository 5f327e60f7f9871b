"""What belongs to a window, and what cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.errors import SourceError
from pipelines.ingest.gather import Gather, iso, records, since_epoch

DAY = Window.day("2024-01-02")


def row(record):
    known = since_epoch(record["t"])
    return {"name": "x", "event_time": known, "available_at": known, "value": record["v"], "source": "s"}


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(("time", "known"), [
    ("2024-01-01T12:00:00", None),
    ("2024-01-01T17:59:59", None),
    ("2024-01-01T18:00:00", "2024-01-02T23:59:59.999999"),
    ("2024-01-01T23:59:59", "2024-01-02T23:59:59.999999"),
    ("2024-01-02T00:00:00", "2024-01-02T00:00:00"),
    ("2024-01-02T23:59:59", "2024-01-02T23:59:59"),
    ("2024-01-03T00:00:00", None),
])
def test_edges_of_the_window_and_of_the_overlap(time, known):
    gather = Gather("p", Kind.INDICATORS, DAY, timedelta(hours=6))
    gather.read([{"t": at(time), "v": 1}], row)
    found = gather.frame()["available_at"].tolist()
    assert found == ([] if known is None else [pd.Timestamp(known, tz="UTC")])
    assert gather.refused == []


_VALUE = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.lists(st.integers()))
_RECORD = st.one_of(_VALUE, st.dictionaries(st.sampled_from(["t", "v", "w"]), _VALUE))


@given(st.lists(_RECORD, max_size=20))
def test_every_record_is_a_row_a_refusal_or_of_another_window(found):
    gather = Gather("p", Kind.INDICATORS, DAY)
    elsewhere = 0
    for record in found:
        before = len(gather.refused) + len(gather.frame())
        gather.read([record], row)
        if len(gather.refused) + len(gather.frame()) == before:
            known = row(record)["available_at"]
            elsewhere += 1
            assert not DAY.start <= known < DAY.end
            assert 1980 <= known.year < 2100
    assert len(gather.refused) + len(gather.frame()) + elsewhere == len(found)
    assert all(one.source == "p" and one.reason for one in gather.refused)


@pytest.mark.parametrize(("page", "match"), [
    ([], "p has changed its shape: data is missing"),
    ({"items": []}, "p has changed its shape: data is missing .the page has items"),
    ({"data": {}}, "p has changed its shape: data is dict, not a list"),
    ({"data": [{"a": 1}, {"b": 2}]}, "p has changed its shape: data.t is missing in all 2 records .the first has a"),
    ({"data": ["a"]}, "p has changed its shape: data.t is missing in all 1 records"),
])
def test_a_page_of_another_shape(page, match):
    with pytest.raises(SourceError, match=match):
        records("p", page, "data", needed=("t",))


def test_one_record_without_a_field_is_no_change_of_shape():
    assert len(records("p", {"data": [{"t": 1}, {}, None]}, "data", needed=("t",))) == 3


@pytest.mark.parametrize(("value", "unit", "wanted"), [
    (1704153600, "s", "2024-01-02T00:00:00"), ("1704153600", "s", "2024-01-02T00:00:00"),
    (1704153600000, "ms", "2024-01-02T00:00:00"), (1704153600.5, "s", "2024-01-02T00:00:00.500000")])
def test_numbers_as_times(value, unit, wanted):
    assert since_epoch(value, unit) == datetime.fromisoformat(wanted).replace(tzinfo=UTC)


@pytest.mark.parametrize("value", [None, True, "soon", [], float("nan"), float("inf"), 10**30, "9" * 5000])
def test_no_times(value):
    with pytest.raises((ValueError, OverflowError)):
        since_epoch(value)


def test_texts_as_times():
    assert iso("2024-01-02T02:00:00+02:00") == iso("2024-01-02T00:00:00Z") == DAY.start
    for value in ("2024-01-02T00:00:00", "2024-01-02", "soon", None, 5):
        with pytest.raises(ValueError, match=r"zone|isoformat|not a time"):
            iso(value)
