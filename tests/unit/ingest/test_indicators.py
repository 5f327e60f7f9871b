"""Fear & greed and the CBOE's files: clean they equal the facts row for row; with faults nothing is lost or doubled."""

from __future__ import annotations

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.errors import SourceError, SourceUnavailable
from pipelines.ingest import providers
from pipelines.ingest.checks import check
from tests.fixtures.replay import ALL, START, truth

NEW_YORK = ZoneInfo("America/New_York")
NAMES = {"fear_greed": ["fear_greed"], "cboe": ["put_call", "vix"]}
BOTH = pytest.mark.parametrize("name", list(NAMES))


def fetch(name, settings, window=ALL):
    return providers.create(name, settings).fetch(window, [Kind.INDICATORS])


def day_of(name, frame):
    """The day that a value is about, as its publisher writes it."""
    return frame["event_time"].dt.tz_convert(NEW_YORK if name == "cboe" else "UTC").dt.date


def values(name, batch):
    good, bad = check(Kind.INDICATORS, batch.frames[Kind.INDICATORS], name)
    return {(row[0], row[1]): row[2] for row in zip(good["name"], day_of(name, good), good["value"], strict=True)}, bad


def expected(name):
    rows = truth(Kind.INDICATORS)
    rows = rows[rows["name"].isin(NAMES[name])]
    return dict(zip(zip(rows["name"], rows["event_time"].dt.date, strict=True), rows["value"], strict=True))


@BOTH
def test_clean_it_is_the_facts_row_for_row(replay, pointed, name):
    batch = fetch(name, pointed(replay()))
    found, bad = values(name, batch)
    assert found == expected(name)
    assert len(batch.frames[Kind.INDICATORS]) == len(found) == 10 * len(NAMES[name])
    assert not bad
    assert not batch.refused


@BOTH
@pytest.mark.parametrize("faults", ["429,500,cut,truncate", "stall", "truncate", "duplicate,reordered,cut"])
def test_passing_faults_leave_no_trace(replay, pointed, name, faults):
    found, bad = values(name, fetch(name, pointed(replay(faults))))
    assert found == expected(name)
    assert not bad


@BOTH
@pytest.mark.parametrize("fault", ["429!", "500!", "cut!", "truncate!"])
def test_lasting_faults_are_a_clear_error_that_may_pass(replay, pointed, name, fault):
    with pytest.raises(SourceUnavailable, match=rf"{name} \(127.0.0.1/.* failed 2 times"):
        fetch(name, pointed(replay(fault), http={"attempts": 2, "backoff": 0, "timeout": 0.3, "rate": 100}))


@pytest.mark.parametrize("name", ["fear_greed"])
def test_not_a_number_is_refused_and_counted(replay, pointed, name):
    server = replay("nan")
    found, bad = values(name, fetch(name, pointed(server)))
    struck = server.world.struck(Kind.INDICATORS, "nan")
    assert len(bad) == struck["name"].isin(NAMES[name]).sum() > 0
    assert found.items() <= expected(name).items()
    assert len(found) + len(bad) == len(expected(name))


@BOTH
def test_a_day_is_known_at_the_next_midnight_and_in_no_other_window(replay, pointed, name):
    settings = pointed(replay())
    zone = NEW_YORK if name == "cboe" else ZoneInfo("UTC")
    seen = []
    for day in ALL.days():
        frame = fetch(name, settings, day).frames[Kind.INDICATORS]
        assert ((frame["available_at"] >= day.start) & (frame["available_at"] < day.end)).all()
        seen.append(frame)
    together = pd.concat(seen)
    local = together["available_at"].dt.tz_convert(zone)
    assert (local == local.dt.normalize()).all()
    assert (local.dt.date == together["event_time"].dt.tz_convert(zone).dt.date + timedelta(days=1)).all()
    assert len(together) == len(expected(name))


@BOTH
def test_revisions_come_with_the_next_window_as_known_at_its_end(replay, pointed, name):
    server = replay("late,revised", phase=0)
    settings = pointed(server, http={"rate": 100, "overlap_hours": 24 * 12})
    first, second = Window(START, START + timedelta(days=11)), Window(START + timedelta(days=11), ALL.end)
    before, _ = values(name, fetch(name, settings, first))
    server.world.phase = 1
    batch = fetch(name, settings, second)
    after, _ = values(name, batch)
    assert after == expected(name)
    struck = pd.concat([server.world.struck(Kind.INDICATORS, fault) for fault in ("late", "revised")])
    wanted = {(row.label, row.event_time.date()) for row in struck.rename(columns={"name": "label"}).itertuples()
              if row.label in NAMES[name]}
    assert {key for key in after if before.get(key) != after[key]} == wanted
    assert set(batch.frames[Kind.INDICATORS]["available_at"]) == {pd.Timestamp(second.end - timedelta(microseconds=1))}


def test_stamps_of_another_hour_are_of_the_same_day(replay, pointed, monkeypatch):
    """As the documentation of alternative.me shows them: 1551157200 is 5 o'clock in UTC."""
    spoil(monkeypatch, lambda body: re.sub(rb'"(17\d{8})"', lambda match: b'"%d"' % (int(match[1]) + 5 * 3600), body))
    batch = fetch("fear_greed", pointed(replay()))
    assert values("fear_greed", batch)[0] == expected("fear_greed")
    known = batch.frames[Kind.INDICATORS]["available_at"]
    assert (known == known.dt.normalize()).all()


@pytest.mark.parametrize(("name", "old", "new", "reason"), [
    ("fear_greed", rb'"value": "\d+"', b'"value": "520"', "value 520 lies outside 0 to 100"),
    ("fear_greed", rb'"value": "\d+"', b'"value": true', "True where a number should be"),
    ("cboe", rb"(\d\d/2024.*),[\d.]+\r\n", rb"\1,-17.79\r\n", "close -17.79 lies outside 0 to 1000"),
])
def test_a_value_that_cannot_be_is_refused(replay, pointed, monkeypatch, name, old, new, reason):
    spoil(monkeypatch, lambda body: re.sub(old, new, body, count=1))
    batch = fetch(name, pointed(replay()))
    assert f"cannot be read: {reason}" in {one.reason for one in batch.refused}
    assert len(batch.refused) == len(NAMES[name])  # one in each file


def test_components_are_kept(replay, pointed):
    frame = fetch("fear_greed", pointed(replay())).frames[Kind.INDICATORS].sort_values("event_time")
    wanted = [item for item in truth(Kind.INDICATORS)["components"] if item]
    assert [{name: value for name, value in item.items() if name != "value_classification"}
            for item in frame["components"]] == wanted


@pytest.mark.parametrize(("name", "old", "new", "match"), [
    ("fear_greed", b'"data"', b'"items"', "fear_greed has changed its shape: data is missing"),
    ("fear_greed", b'"value"', b'"score"', "fear_greed has changed its shape: data.value is missing in all 10 records"),
    ("fear_greed", b'"timestamp"', b'"time"', "shape: data.timestamp is missing in all"),
    ("cboe", b"CLOSE", b"LAST", "cboe vix has changed its shape: CLOSE is no column any more"),
    ("cboe", b"DATE,CALLS", b"DAY,CALLS", "cboe put_call has changed its shape: DATE heads no column"),
])
def test_another_shape_names_provider_and_field(replay, pointed, monkeypatch, name, old, new, match):
    spoil(monkeypatch, lambda body: body.replace(old, new))
    with pytest.raises(SourceError, match=match):
        fetch(name, pointed(replay()))


@pytest.mark.parametrize(("name", "old", "new", "reason"), [
    ("fear_greed", b'"1704412800"', b'"the fifth"', "the fifth"),
    ("fear_greed", b'"1704412800"', b'"1704412800000"', "lies outside|out of range"),
    ("fear_greed", b'"1704412800"', b'"' + b"9" * 400 + b'"', "too large"),
    ("cboe", b"01/05/2024", b"2024-01-05", "does not match format"),
    ("cboe", b"01/05/2024,", b"01/05/2024,1,", "no whole row"),
])
def test_one_unreadable_row_is_refused_with_what_came(replay, pointed, monkeypatch, name, old, new, reason):
    spoil(monkeypatch, lambda body: body.replace(old, new))
    batch = fetch(name, pointed(replay()))
    assert len(batch.refused) == 1
    assert pd.Series([batch.refused[0].reason]).str.contains(reason).all()
    assert new.decode()[1:20].strip('"') in str(batch.refused[0].payload)
    assert len(values(name, batch)[0]) == len(expected(name)) - 1


def spoil(monkeypatch, change):
    """Change what the server says, byte by byte."""
    from infra.replay import server

    real = server.answer

    def answer(request, world):
        status, body, type_ = real(request, world)
        return status, change(body), type_

    monkeypatch.setattr(server, "answer", answer)
