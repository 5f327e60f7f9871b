"""The digest of a day against counts by hand, its words, and that it goes out once a day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from pipelines.config import Settings
from pipelines.contracts.records import Action, Outcome, Reason, RequestState
from pipelines.contracts.window import Window
from pipelines.notify import digest, digest_text, render, tell
from pipelines.store import Warehouse, ledger, loads, tables, upsert
from tests.unit.notify.conftest import DAY, L, Memory, Scene

#: The digest is of 2026-03-09; rows are hourly bars of two symbols, predicted by v1 (champion) and v2 beside it.
AS_OF = datetime(2026, 3, 10, tzinfo=UTC)
FIRST = AS_OF - 9 * DAY
SYMBOLS = ("BTC", "ETH")


def rows() -> pd.DataFrame:
    """Ten days of predictions, half a day of them after ``AS_OF``, and what came of them."""
    rng = np.random.default_rng(7)
    known = pd.date_range(FIRST, AS_OF + DAY / 2, freq="h", unit="us").repeat(len(SYMBOLS))
    return pd.DataFrame({
        "line": L, "symbol": np.tile(SYMBOLS, len(known) // len(SYMBOLS)), "event_time": known - timedelta(hours=1),
        "available_at": known, "label_end": known + timedelta(hours=1), "feature_digest": "f",
        "probability": rng.uniform(0.05, 0.95, len(known)), "y": rng.integers(0, 2, len(known)),
        "forward_return": 0.0, "matured_at": known + timedelta(hours=1)})


@pytest.fixture(scope="module")
def lived(shared_warehouse: Warehouse) -> Scene:
    scene, frame = Scene(shared_warehouse, approval="human"), rows()
    scene.at = AS_OF + timedelta(hours=7)
    scene.candidate(1, FIRST)
    scene.verdict(1, Outcome.PROMOTE, as_of=FIRST)
    scene.promote(1, effective_at=FIRST)
    number = scene.request(Reason.DATA_DRIFT, AS_OF - DAY / 2)
    scene.candidate(2, AS_OF - DAY / 2, request=number)
    scene.candidate(3, AS_OF - DAY / 4)
    with shared_warehouse.begin() as connection:
        ledger.finish_request(connection, number, RequestState.SERVED, at=scene.at)
        for version, role in ((1, "champion"), (2, "challenger")):
            upsert.upsert(connection, tables.predictions, frame.assign(version=version, role=role).drop(
                columns=["y", "forward_return", "matured_at"]))
        matured = frame[frame["matured_at"] <= AS_OF + DAY]
        upsert.upsert(connection, tables.outcomes, matured[
            ["line", "symbol", "event_time", "y", "forward_return", "label_end", "matured_at"]])
        loads.mark(connection, "bars", Window(FIRST, AS_OF + timedelta(hours=7)), rows=1, at=scene.at)
    scene.verdict(2, Outcome.INCONCLUSIVE, champion=1, as_of=AS_OF - DAY / 2)
    scene.verdict(3, Outcome.PROMOTE, champion=1, as_of=AS_OF - DAY / 4)
    scene.report(AS_OF - DAY)
    scene.report(AS_OF, data_drift=True, share=0.4, columns=[
        {"column": "rsi", "method": "ks", "score": 0.5, "threshold": 0.1, "drifted": True},
        {"column": "ret", "method": "ks", "score": 0.1, "threshold": 0.1, "drifted": False}])
    scene.report(AS_OF + DAY)  # not known yet
    scene.at = AS_OF - timedelta(hours=1)
    scene.stale(1)
    scene.at = AS_OF + timedelta(hours=7)
    return scene


@pytest.fixture(scope="module")
def made(lived: Scene) -> digest.Digest:
    return digest.collect(lived.warehouse, [lived.line], AS_OF)


def test_the_figures_are_those_of_a_second_library(made: digest.Digest) -> None:
    (line,) = made.lines
    frame = rows()
    assert line.predictions == 24 * len(SYMBOLS)
    for scores, start in ((line.day, AS_OF - DAY), (line.week, AS_OF - 7 * DAY)):
        mine = frame[(frame["matured_at"] > start) & (frame["matured_at"] <= AS_OF)]
        assert scores.n == len(mine) > 0
        assert scores.auc == pytest.approx(roc_auc_score(mine["y"], mine["probability"]))
        assert scores.log_loss == pytest.approx(log_loss(mine["y"], mine["probability"]))
        assert scores.accuracy == pytest.approx(accuracy_score(mine["y"], mine["probability"] > 0.5))


def test_who_stands_where_and_what_happened(made: digest.Digest) -> None:
    (line,) = made.lines
    assert (line.champion, line.since, line.challenger, line.awaiting) == (1, FIRST, 2, (3,))
    assert line.checked == digest.Checked(AS_OF, 0.4, ("rsi",), ("data drift alarm",))
    assert line.alarm_days == 1
    (request,) = line.retraining
    assert (request.reason, request.state, request.version) == ("data_drift", "served", 2)
    assert [(item.version, item.outcome, item.against) for item in line.verdicts] == [
        (2, "inconclusive", 1), (3, "promote", 1)]
    assert line.changes == ()
    assert made.troubles == ("bars of S1 went silent",)


def test_a_former_day_is_told_as_it_was(lived: Scene) -> None:
    (line,) = digest.collect(lived.warehouse, [lived.line], FIRST + DAY).lines
    assert (line.champion, line.challenger, line.checked) == (1, None, None)
    assert (line.verdicts, line.retraining) == ((), ())
    (first,) = digest.collect(lived.warehouse, [lived.line], FIRST).lines
    assert first.changes == (digest.Change(1, None, "promote", "gate", FIRST),)
    (none,) = digest.collect(lived.warehouse, [lived.line], FIRST - DAY).lines
    assert (none.champion, none.predictions, none.day, none.week) == (None, 0, digest.Scores(), digest.Scores())


def test_its_words(made: digest.Digest) -> None:
    notice = digest_text.notice(made, "digest:x")
    assert notice.title == "The day to 2026-03-10 00:00 UTC"
    plain = "\n".join(notice.body)
    for words in ("champion v1 since 2026-03-01, challenger v2", "48 predictions made", "drift: 40% of columns (rsi), "
                  "data drift alarm; 1 check of the week rang", "retraining 1 (data_drift) gave v2",
                  "gate: v2 inconclusive against champion v1 (0.01000 nats", "tidemark approve direction_1h 3",
                  "bars of S1 went silent"):
        assert words in plain
    assert notice.brief[0].startswith("direction_1h (v1): 48 predictions, day accuracy 0.")
    assert len(notice.brief) < len(notice.body)
    page = render.html(notice)
    assert page.count("<tr>") == 2
    assert "<td" in page
    assert "tidemark approve direction_1h 3" in page
    slack = render.slack(notice)
    assert 3 <= len(slack["blocks"]) <= 6


def test_a_quiet_house_has_a_short_digest(lived: Scene) -> None:
    quiet = digest_text.notice(digest.collect(lived.warehouse, [lived.line], FIRST - 30 * DAY), "digest:x")
    assert quiet.brief == ("1 line had a day without predictions or events.", "")
    assert "direction_1h: Sign of the next hour's return" in quiet.body
    assert "nothing matured" in " ".join(quiet.body)


def test_nothing_in_it_is_markup(made: digest.Digest) -> None:
    from dataclasses import replace

    evil = "<script>alert(1)</script> <!channel>"
    (line,) = made.lines
    checked = digest.Checked(AS_OF, 0.4, (evil,), ())
    notice = digest_text.notice(replace(made, lines=(replace(line, checked=checked),), troubles=(evil,)), "k")
    assert "<script" not in render.html(notice)
    assert "<!channel" not in str(render.slack(notice))


def test_data_time_is_the_last_whole_day_of_data(lived: Scene) -> None:
    assert digest.data_time(lived.warehouse, at=AS_OF + 700 * DAY) == AS_OF  # a replay of history
    assert digest.data_time(lived.warehouse, at=AS_OF - timedelta(minutes=1)) == AS_OF - DAY


def test_it_goes_out_once_a_day_after_its_hour(lived: Scene) -> None:
    post = Memory()
    lines, settings = {lived.line.name: lived.line}, Settings(notify={"digest_hour": 6, "mute": "stale"})

    def rounds(at: datetime, channels: dict[str, Any]) -> None:
        tell.tell(lived.warehouse, settings, lines, at=at, through=channels)

    def told() -> list[str]:
        return [notice.key for notice in post.told if notice.kind == "digest"]

    rounds(AS_OF + timedelta(hours=5, minutes=55), {"memory": post})
    rounds(AS_OF + timedelta(hours=6), {})
    assert told() == []
    for minute in (1, 6, 300):
        rounds(AS_OF + timedelta(hours=6, minutes=minute), {"memory": post})
    assert told() == ["digest:2026-03-10"]
    rounds(AS_OF + timedelta(days=1, hours=6), {"memory": post})
    assert told() == ["digest:2026-03-10", "digest:2026-03-11"]
    assert post.closed == 5
    off = Settings(notify={"digest": False})
    tell.tell(lived.warehouse, off, lines, at=AS_OF + timedelta(days=2, hours=6), through={"memory": post})
    assert len(told()) == 2


def test_a_rollback_is_in_the_digest_of_its_day(scenes: Callable[..., Scene]) -> None:
    scene = scenes()
    for version in (1, 2):
        scene.candidate(version)
    scene.promote(1)
    scene.promote(2, 1)
    scene.promote(1, 2, Action.ROLLBACK, effective_at=AS_OF, actor="gate")
    (line,) = digest.collect(scene.warehouse, [scene.line], AS_OF).lines
    assert line.champion == 1
    assert "rolled back to v1 after v2, by gate" in "\n".join(digest_text.notice(
        digest.collect(scene.warehouse, [scene.line], AS_OF), "k").body)
