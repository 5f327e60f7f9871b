"""Reading a window again: what a source corrected since was not known before."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pandas as pd
import pytest

from infra.replay import Replay, World
from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.window import Window
from pipelines.ingest import hindsight, providers
from pipelines.ingest.run import run
from pipelines.store import asof, loads
from tests.fixtures.replay import START, truth

DAYS = list(Window(START, START + timedelta(days=3)).days())
LATER = START + timedelta(days=400)


def known(warehouse, at: datetime, kind: Kind = Kind.BARS) -> pd.DataFrame:
    return asof.read(warehouse, kind, as_of=at, start=START, end=START + timedelta(days=1)).drop(columns="revision")


@pytest.fixture
def world() -> World:
    return World({kind: truth(kind) for kind in (Kind.BARS, Kind.DOCUMENTS, Kind.INDICATORS)})


def test_a_correction_found_at_a_second_reading_is_news_of_that_time(warehouse, world, pointed):
    with Replay(world) as server:
        source = providers.create("exchange", pointed(server))
        for day in DAYS:
            run(warehouse, source, day, at=LATER)
        before = known(warehouse, DAYS[-1].start)
        bars = world.frames[Kind.BARS]
        first = (bars["symbol"] == "BTCUSDT") & (bars["event_time"] == pd.Timestamp(START))
        world.frames[Kind.BARS].loc[first, "volume"] = 123_456.0
        world._made.clear()
        again = run(warehouse, source, DAYS[0], at=LATER)
        assert again.counts[Kind.BARS].revised == 1
        # What was known on any day is what it was; the correction is known from the end of what was loaded by then.
        pd.testing.assert_frame_equal(known(warehouse, DAYS[-1].start), before)
        pd.testing.assert_frame_equal(known(warehouse, DAYS[-1].end - timedelta(microseconds=2)), before)
        after = known(warehouse, DAYS[-1].end - timedelta(microseconds=1))
        assert after.loc[(after["symbol"] == "BTCUSDT"), "volume"].iloc[0] == 123_456.0
        assert run(warehouse, source, DAYS[0], at=LATER).written == 0  # and a third reading has nothing new


@pytest.mark.parametrize("name", ["exchange", "newsapi", "reddit", "x", "fear_greed", "cboe"])
def test_a_second_reading_of_the_same_changes_nothing(warehouse, world, pointed, name):
    with Replay(world) as server:
        source = providers.create(name, pointed(server, http={"overlap_hours": 24, "rate": 1000, "burst": 1000}))
        (kind,) = source.kinds()
        written = [run(warehouse, source, day, at=LATER).written for day in DAYS]
        assert sum(written) > 0
        stored = asof.read(warehouse, kind, as_of=LATER, revisions="all")
        assert [run(warehouse, source, day, at=LATER).written for day in reversed(DAYS)] == [0, 0, 0]
        pd.testing.assert_frame_equal(asof.read(warehouse, kind, as_of=LATER, revisions="all"), stored)


def test_a_symbol_that_was_added_has_its_history_from_the_beginning(warehouse, world, pointed):
    with Replay(world) as server:
        run(warehouse, providers.create("exchange", pointed(server, exchange={"symbols": "BTC/USDT"})), DAYS[0],
            at=LATER)
        both = providers.create("exchange", pointed(server))
        run(warehouse, both, DAYS[0], at=LATER)
    bars = asof.read(warehouse, Kind.BARS, as_of=LATER, revisions="all")
    assert set(bars["symbol"]) == {"BTCUSDT", "ETHUSDT"}
    assert (bars["available_at"] == bars["event_time"] + pd.Timedelta(hours=1)).all()


def test_a_load_that_was_cut_off_is_still_a_first_reading(warehouse, world, pointed, monkeypatch):
    with Replay(world) as server:
        source = providers.create("exchange", pointed(server))
        run(warehouse, source, DAYS[1], at=LATER)

        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("pipelines.store.loads.mark", killed)
            with pytest.raises(KeyboardInterrupt):
                run(warehouse, source, DAYS[0], at=LATER)
        assert run(warehouse, source, DAYS[0], at=LATER).written == 0
    bars = asof.read(warehouse, Kind.BARS, as_of=LATER, revisions="all")
    assert (bars["available_at"] == bars["event_time"] + pd.Timedelta(hours=1)).all()


def test_slices_during_the_day_and_then_the_day_know_what_the_slices_knew(warehouse, world, pointed):
    """A day that was collected every six hours: the reading of the whole day does not make anything known earlier."""
    day = DAYS[0]
    cuts = [day.start + timedelta(hours=hours) for hours in (0, 6, 12, 18, 24)]
    posts = world.frames[Kind.DOCUMENTS]
    posts = posts[posts["kind"] == "post"].assign(event_time=posts["available_at"])
    late = posts[posts["available_at"] < pd.Timestamp(cuts[1])].iloc[3]
    with Replay(world) as server:
        source = providers.create("x", pointed(server, http={"overlap_hours": 24, "rate": 1000, "burst": 1000}))
        for start, end in pairwise(cuts):
            shown = posts if start >= cuts[2] else posts.drop(late.name)
            server.world = World({Kind.DOCUMENTS: shown.reset_index(drop=True)}, upto=pd.Timestamp(end))
            run(warehouse, source, Window(start, end), at=LATER, part=True)
        collected = asof.read(warehouse, Kind.DOCUMENTS, as_of=LATER, revisions="all")
        whole = run(warehouse, source, day, at=LATER)
    stored = collected.set_index("doc_id")["available_at"]
    assert stored[late["doc_id"]] == pd.Timestamp(cuts[3]) - pd.Timedelta(microseconds=1)
    assert len(stored) == (posts["available_at"] < pd.Timestamp(day.end)).sum()
    assert whole.written == 0
    pd.testing.assert_frame_equal(asof.read(warehouse, Kind.DOCUMENTS, as_of=LATER, revisions="all"), collected)
    with warehouse.begin() as connection:
        assert loads.covered(connection, "documents", day)
        assert loads.ranges(connection, ["collected/documents"], day) == [(day.start, day.end)]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_fact_says_what_its_series_are(kind):
    assert set(hindsight.SERIES[kind]) <= set(SCHEMAS[kind].columns)


def test_what_is_read_again_behind_a_window_is_no_sign_of_a_slow_clock(warehouse, world, pointed, tmp_path):
    with Replay(world) as server:
        source = providers.create("exchange", pointed(server, http={"overlap_hours": 48, "rate": 1000, "burst": 1000}))
        days = list(Window(START, START + timedelta(days=7)).days())
        reports = [run(warehouse, source, day, at=LATER, reports=tmp_path) for day in days]
    assert [report.findings for report in reports] == [0] * 7
    assert [report.counts[Kind.BARS].unchanged for report in reports[3:]] == [96] * 4  # two coins, two days again
