"""The replay server itself: its faults, its worlds, and that it listens to nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import httpx
import pandas as pd
import pytest

from infra.replay import Faults, Replay, World
from pipelines.config import ROOT, Settings, Simulator
from pipelines.contracts.columns import Kind
from pipelines.errors import ConfigError
from pipelines.ingest import providers
from pipelines.ingest.checks import check
from pipelines.ingest.simulator import SimulatorProvider
from tests.fixtures.replay import ALL, truth


def test_faults_of_the_wire_take_turns_and_let_the_second_try_through():
    faults = Faults.parse("429, 500 ,nan")
    assert [faults.next() for _ in range(7)] == ["429", None, None, "500", None, None, "429"]
    assert faults.struck == {"429": 2, "500": 1}
    assert faults.facts == {"nan"}
    always = Faults.parse("cut!")
    assert [always.next() for _ in range(3)] == ["cut"] * 3
    assert Faults.parse("").next() is None


def test_unknown_faults_are_named():
    with pytest.raises(ConfigError, match="no fault earthquake; there are 429, 500, stall"):
        Faults.parse("429,earthquake")


def test_each_fault_of_the_facts_strikes_other_rows():
    world = World({kind: truth(kind) for kind in (Kind.BARS, Kind.DOCUMENTS)})
    for kind in world.frames:
        struck = [set(world.struck(kind, fault).index)
                  for fault in ("duplicate", "late", "revised", "nan", "huge", "hostile")]
        assert all(struck)
        assert len(set().union(*struck)) == sum(map(len, struck)) < len(world.frames[kind])


def test_only_what_is_known_by_then_is_shown():
    world = World({Kind.BARS: truth(Kind.BARS)}, upto=ALL.start.replace(day=3))
    assert world.rows(Kind.BARS)["available_at"].max() < ALL.start.replace(day=3)
    assert len(world.rows(Kind.INDICATORS)) == 0


def test_at_a_time_each_fact_is_in_its_newest_version_out_by_then():
    at = pd.Timestamp("2024-01-05T00:00Z")
    first = truth(Kind.BARS).iloc[[0]].assign(available_at=at, close=1.0)
    later = first.assign(available_at=at + pd.Timedelta(hours=3), close=2.0)
    world = World({Kind.BARS: pd.concat([first, later], ignore_index=True)})
    closes = []
    for hours in (0, 1, 4):
        world.turn_to(at + pd.Timedelta(hours=hours))
        closes.append(world.rows(Kind.BARS)["close"].tolist())
    world.turn_to(None)
    assert [*closes, world.rows(Kind.BARS)["close"].tolist()] == [[], [1.0], [2.0], [1.0, 2.0]]


def test_with_a_clock_a_feed_mends_its_facts_after_a_day():
    bars = truth(Kind.BARS)
    world = World({Kind.BARS: bars}, frozenset({"late", "revised", "nan"}))
    day = pd.Timestamp("2024-01-05T00:00Z")
    of_day = bars[(bars["available_at"] >= day) & (bars["available_at"] < day + pd.Timedelta(days=1))]

    def seen(upto: pd.Timestamp) -> pd.DataFrame:
        world.turn_to(upto)
        rows = world.rows(Kind.BARS)
        return rows[rows["available_at"].isin(of_day["available_at"])]

    young, old = seen(day + pd.Timedelta(days=1)), seen(day + pd.Timedelta(days=2))
    marks = {fault: len(world.struck(Kind.BARS, fault).index.intersection(of_day.index))
             for fault in ("late", "revised", "nan")}
    assert min(marks.values()) > 0
    assert len(young) == len(of_day) - marks["late"]
    assert young["close"].isna().sum() == marks["nan"]
    assert old["close"].astype(float).tolist() == of_day.sort_values("event_time", kind="stable")["close"].tolist()


def test_a_server_knows_when_it_published_a_text_not_when_it_was_written():
    frame = truth(Kind.DOCUMENTS)
    assert (frame["event_time"] < frame["available_at"]).any()
    told = World({Kind.DOCUMENTS: frame}).published().rows(Kind.DOCUMENTS)
    assert (told["event_time"] == told["available_at"]).all()
    assert set(told["doc_id"]) == set(frame["doc_id"])


def test_its_clock_is_a_file_that_is_read_at_every_request(tmp_path):
    clock = tmp_path / "now"
    with Replay(World({Kind.INDICATORS: truth(Kind.INDICATORS)}), clock=clock) as server:
        def days() -> int:
            return len(httpx.get(f"{server.url}/fng/?limit=0").json()["data"])

        whole = days()
        clock.write_text("2024-01-04T00:10:00+00:00")
        third = days()
        clock.write_text("2024-01-05T00:10:00+00:00\n")
        assert (whole, third, days()) == (10, 3, 4)


def test_no_fault_hides_whether_it_is_well(replay):
    server = replay("500!")
    assert httpx.get(f"{server.url}/fng/").status_code == 500
    assert httpx.get(f"{server.url}/health").text == "well"


def test_it_listens_on_loopback_and_knows_its_paths(replay):
    server = replay()
    assert server.url.startswith("http://127.0.0.1:")
    assert httpx.get(f"{server.url}/else").status_code == 404
    assert httpx.get(f"{server.url}/r/x/new.json").status_code == 403
    assert httpx.get(f"{server.url}/v2/everything").status_code == 401


def test_the_dirt_of_the_simulator_goes_through_every_protocol(pointed):
    provider = SimulatorProvider(Simulator(days=10, symbols=2, dirt=0.3))
    with Replay(World.of(provider, ALL)) as server:
        settings = pointed(server)
        for name in ("exchange", "fear_greed", "cboe", "rss", "newsapi", "reddit", "x", "stocktwits"):
            source = providers.create(name, settings)
            (kind,) = source.kinds()
            batch = source.fetch(ALL, [kind])
            good, bad = check(kind, batch.frames[kind], name)
            assert len(good) > 5
            assert bad or batch.refused


def test_a_directory_of_files_is_a_world_too(tmp_path, pointed):
    (tmp_path / "days.csv").write_text("day,vix\n2024-01-02,13.5\n2024-01-03,14.25\n")
    (tmp_path / "source.toml").write_text(
        'name = "mine"\n[[file]]\npath = "days.csv"\nkind = "indicators"\nconstants = { source = "here" }\n'
        'wide = { vix = "vix" }\ntime = { column = "day", unit = "date" }\navailable = "next_day"\n')
    world = World.of(providers.create("files", Settings(data_dir=tmp_path)))
    with Replay(world) as server:
        frame = providers.create("cboe", pointed(server)).fetch(ALL, [Kind.INDICATORS]).frames[Kind.INDICATORS]
    assert dict(zip(frame["event_time"].dt.strftime("%Y-%m-%d"), frame["value"], strict=True)) == {
        "2024-01-02": "13.5", "2024-01-03": "14.25"}


def test_a_world_needs_a_window(replay, pointed):
    with pytest.raises(ConfigError, match="cboe does not know its span"):
        World.of(providers.create("cboe", pointed(replay())))


def test_it_runs_by_itself_until_it_is_interrupted(tmp_path):
    env = {**os.environ, "TIDEMARK_HOME": str(tmp_path), "TIDEMARK_SIMULATOR__DAYS": "10",
           "TIDEMARK_SIMULATOR__SYMBOLS": "1"}
    command = [sys.executable, "-m", "infra.replay", "--port", "0", "--faults"]
    process = subprocess.Popen([*command, "500"], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().split()[2].rstrip(";")
        assert [httpx.get(f"{url}/fng/").status_code for _ in range(2)] == [500, 200]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        process.stdout.close()
    done = subprocess.run([*command, "earthquake"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "no fault earthquake" in done.stderr
