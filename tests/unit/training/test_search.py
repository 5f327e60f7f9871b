from __future__ import annotations

import dataclasses
import multiprocessing as mp
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from optuna.trial import TrialState

from pipelines.errors import StoreUnavailable, TrainingError
from pipelines.training import search
from pipelines.training.search import FoldScore, Start, TrialRecord
from pipelines.training.trial import goes_on, is_rung, next_place

FAMILIES = ("logistic_regression", "lightgbm")
NAME = "direction_1h/abc"


@pytest.fixture
def url(new_database: Callable[..., str]) -> str:
    return new_database(migrated=False)


def bowl(family: str, params: Mapping[str, Any]) -> Iterator[FoldScore]:
    """Best at C = 0.1 for one family, at learning_rate = 0.05 for the other; three folds of two blocks."""
    import math

    value = (abs(math.log10(params["C"]) + 1) if family == "logistic_regression"
             else 0.5 + abs(params["learning_rate"] - 0.05))
    for fold in range(3):
        yield FoldScore(value + fold / 100, 10, (value, value + fold / 50), 2 - fold)


def work(url: str, trials: int, seed: int = 1, evaluate: search.Evaluate = bowl, grace: int = 3) -> int:
    return search.run(url, NAME, family_names=FAMILIES, trials=trials, seed=seed, evaluate=evaluate, grace=grace)


def ended(url: str) -> list[str]:
    return ["finished" if trial.state in ("complete", "pruned") else trial.state for trial in search.records(url, NAME)]


def test_one_worker_does_the_budget_and_the_first_trials_are_the_defaults(url: str) -> None:
    search.create(url, NAME, FAMILIES)
    search.create(url, NAME, FAMILIES)  # again: nothing is queued twice
    assert work(url, 8) == 8
    assert work(url, 8) == 0
    found = search.records(url, NAME)
    assert [trial.number for trial in found] == list(range(8))
    assert [(trial.family, trial.params) for trial in found[:2]] == [
        (name, dict(search.families.get(name).defaults)) for name in FAMILIES]
    best = search.best(found)
    assert best.value == min(trial.value for trial in found if trial.value is not None)
    assert best.fold_losses == pytest.approx([best.value - 0.01, best.value, best.value + 0.01])
    assert search.ranked(found)[0] == best
    assert all(trial.seconds is not None and trial.seconds >= 0 for trial in found)


def test_the_same_seed_draws_the_same_trials_and_more_can_be_asked_for_later(
        url: str, new_database: Callable[..., str]) -> None:
    other = new_database(migrated=False)
    for place in (url, other):
        search.create(place, NAME, FAMILIES)
    work(url, 12)
    work(other, 5)
    assert work(other, 12) == 7
    assert ([(trial.state, trial.params) for trial in search.records(url, NAME)]
            == [(trial.state, trial.params) for trial in search.records(other, NAME)])


def test_clearly_worse_trials_are_pruned_and_count(url: str) -> None:
    calls: list[int] = []

    def worse_each_time(family: str, params: Mapping[str, Any]) -> Iterator[FoldScore]:
        calls.append(0)
        trial = len(calls)
        for fold in range(4):
            calls[-1] += 1
            blocks = tuple(float(trial) + fold / 10 + block / 100 for block in range(4))
            yield FoldScore(float(trial), 10, blocks, 3 - fold)

    search.create(url, NAME, FAMILIES)
    assert work(url, 7, evaluate=worse_each_time) == 7
    # The first four have nothing to be compared with.
    assert [trial.state for trial in search.records(url, NAME)] == ["complete"] * 4 + ["pruned"] * 3
    assert calls == [4, 4, 4, 4, 1, 1, 1]  # four paired blocks, all worse: p = 1/16 is enough
    assert search.records(url, NAME)[4].fold_losses == (5.0,)
    assert search.records(url, NAME)[4].value is None


def test_an_error_fails_its_trial_does_not_count_and_is_raised(url: str) -> None:
    search.create(url, NAME, FAMILIES)

    def broken(family: str, params: Mapping[str, Any]) -> Iterator[FoldScore]:
        raise TrainingError("infinite values in ret_1h")
        yield

    with pytest.raises(TrainingError, match="infinite values"):
        work(url, 3, evaluate=broken)
    assert work(url, 3) == 3
    assert ended(url) == ["failed", "finished", "finished", "finished"]


def slow_bowl(family: str, params: Mapping[str, Any]) -> Iterator[FoldScore]:
    for score in bowl(family, params):
        time.sleep(0.02)
        yield score


def start(target: Callable[..., Any], *arguments: Any) -> Any:
    process = mp.get_context("fork").Process(target=target, args=arguments)
    process.start()
    return process


def count(url: str, trials: int, out: Any) -> None:
    out.put(work(url, trials, evaluate=slow_bowl))


@pytest.mark.parametrize("trials", [9])
def test_two_processes_do_exactly_the_budget_between_them(url: str, trials: int) -> None:
    out = mp.get_context("fork").Queue()
    search.create(url, NAME, FAMILIES)
    workers = [start(count, url, trials, out) for _ in range(2)]
    done = [out.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(20)
    assert sum(done) == trials
    assert ended(url) == ["finished"] * trials


def uneven(url: str, pace: float, out: Any) -> None:
    def bumpy(family: str, params: Mapping[str, Any]) -> Iterator[FoldScore]:
        for score in bowl(family, params):
            time.sleep(pace * (1 + hash(str(sorted(params.items()))) % 5))
            yield score

    out.put(search.run(url, NAME, family_names=FAMILIES, trials=15, seed=1, evaluate=bumpy, grace=30, ahead=6,
                       halving=True))


def test_the_same_trials_win_however_many_workers_there_are_and_how_quick(new_database: Callable[..., str]) -> None:
    """1, 2, 3 and 8 workers, each at its own pace."""
    found = []
    for paces in ((0.0,), (0.0, 0.03), (0.02, 0.001, 0.01), (0.0, 0.02, 0.001, 0.01, 0.005, 0.0, 0.03, 0.002)):
        url = new_database(migrated=False)
        search.create(url, NAME, FAMILIES, Start("lightgbm", {
            **dict(search.families.get("lightgbm").defaults), "learning_rate": 0.07}))
        out = mp.get_context("fork").Queue()
        workers = [start(uneven, url, pace, out) for pace in paces]
        assert sum(out.get(timeout=60) for _ in workers) == 15
        for worker in workers:
            worker.join(20)
        found.append(sorted((trial.place, trial.family, str(trial.params), trial.state, trial.value, trial.rungs)
                            for trial in search.records(url, NAME)))
    assert found[0] == found[1] == found[2] == found[3]
    assert len({trial[2] for trial in found[0]}) > 12  # it went on searching
    assert {trial[3] for trial in found[0]} == {"complete", "pruned"}


@pytest.mark.parametrize(("held", "ahead", "place"), [
    ("", 4, 0), ("R", 4, 1), ("RRR", 4, 3), ("RRRR", 4, None), ("CRRR", 4, 4), ("RCCC", 4, None), ("RRRR", 8, 4),
    ("C-RR", 4, 1), ("-RRR", 4, 0), ("CCCC-R", 4, 4), ("CCCCCCCCC", 4, 9), ("CCCCCCCCCC", 4, None), ("R", 1, None),
    ("C", 1, 1)])
def test_a_trial_starts_when_all_that_it_learns_from_has_finished(held: str, ahead: int, place: int | None) -> None:
    finished, running = ({at for at, state in enumerate(held) if state == which} for which in "CR")
    assert next_place(finished, running, 10, ahead) == place


def test_the_better_half_goes_on() -> None:
    assert goes_on(9.0, [])
    assert [goes_on(0.5, others) for others in ([0.4], [0.4, 0.6], [0.4, 0.45], [0.4, 0.45, 0.6], [0.5])] == [
        False, True, False, False, True]
    assert [folds for folds in range(1, 20) if is_rung(folds)] == [1, 2, 4, 8, 16]


def test_the_worse_half_stops_at_each_rung_and_a_look_at_a_part_counts_for_nothing_else(url: str) -> None:
    """Trial n loses n mod 4: the 0 goes on to the end, a 1 as far as the 0s are less than half of those it meets."""
    started: list[int] = []

    def ladder(family: str, params: Mapping[str, Any]) -> Iterator[FoldScore]:
        loss = float(len(started) % 4)
        started.append(0)
        yield FoldScore(100 + loss, 5, (100 + loss,), 4, history=0.25)
        for fold in range(4):
            started[-1] += 1
            yield FoldScore(loss + fold / 10, 10, (loss + fold / 10,), 3 - fold)

    search.create(url, NAME, FAMILIES)
    search.run(url, NAME, family_names=FAMILIES, trials=8, seed=1, evaluate=ladder, halving=True, ahead=1)
    found = search.records(url, NAME)
    assert [trial.state for trial in found] == ["complete", *["pruned"] * 3] * 2
    assert started == [4, 0, 0, 0, 4, 1, 0, 0]
    assert [len(trial.rungs) for trial in found] == [3, 1, 1, 1, 3, 2, 1, 1]
    assert found[4].rungs == (100.0, 0.0, 0.05)
    assert found[4].value == pytest.approx(0.15)
    assert found[6].fold_losses == ()


def test_a_search_starts_with_what_an_earlier_one_has_found(url: str) -> None:
    warm = Start("lightgbm", {**dict(search.families.get("lightgbm").defaults), "learning_rate": 0.123})
    search.create(url, NAME, FAMILIES, warm)
    search.create(url, NAME, FAMILIES)  # again: it stays as it is
    work(url, 4)
    found = search.records(url, NAME)
    assert (found[0].family, found[0].params) == (warm.family, warm.params)
    assert [trial.family for trial in found[1:3]] == list(FAMILIES)
    assert [trial.place for trial in found] == [0, 1, 2, 3]


@pytest.mark.parametrize("warm", [
    Start("oracle", {"depth": 3}),  # a family that the line no longer has
    Start("lightgbm", dict(search.families.get("lightgbm").defaults))])  # the defaults
def test_a_start_that_adds_nothing_takes_no_place(url: str, warm: Start) -> None:
    search.create(url, NAME, FAMILIES, warm)
    work(url, 2)
    assert {trial.family for trial in search.records(url, NAME)} == set(FAMILIES)
    assert all(trial.params == search.families.get(str(trial.family)).defaults for trial in search.records(url, NAME))


def test_a_value_that_left_the_space_is_drawn_anew_and_the_others_stay(url: str) -> None:
    params = {**dict(search.families.get("lightgbm").defaults), "rounds": 10_000, "num_leaves": "many"}
    search.create(url, NAME, FAMILIES, Start("lightgbm", params))
    work(url, 1)
    found, = search.records(url, NAME)
    assert 20 <= found.params["rounds"] <= 200
    assert found.params["learning_rate"] == params["learning_rate"]
    assert isinstance(found.params["num_leaves"], int)


def test_a_trial_may_choose_how_its_columns_are_chosen(url: str) -> None:
    said: list[str] = []

    def listening(family: str, params: Mapping[str, Any]) -> Iterator[FoldScore]:
        said.append(params["selection"])
        for score in bowl(family, params):
            yield dataclasses.replace(score, columns=3)

    search.create(url, NAME, FAMILIES)
    search.run(url, NAME, family_names=FAMILIES, trials=6, seed=1, evaluate=listening,
               selections=("none", "stability"))
    found = search.records(url, NAME)
    assert [trial.params["selection"] for trial in found] == said
    assert set(said) == {"none", "stability"}
    assert found[0].columns == (3, 3, 3)


def test_a_place_that_kills_its_workers_is_given_to_another_trial(url: str) -> None:
    search.create(url, NAME, FAMILIES)
    with search._storage(url) as storage:
        study = search._load(storage, NAME)
        for _ in range(search.MAX_RETRIES + 1):
            trial = study.ask()
            trial.set_user_attr("place", 0)
            study.tell(trial, state=TrialState.FAIL)
    work(url, 2)
    first, second = (trial for trial in search.records(url, NAME) if trial.state == "complete")
    assert (first.place, second.place) == (0, 1)
    assert first.params != search.families.get(str(first.family)).defaults
    assert second.params == search.families.get("lightgbm").defaults


def hang(url: str, marker: str) -> None:
    def never(family: str, params: Mapping[str, Any]) -> Iterator[FoldScore]:
        Path(marker).write_text(repr((family, dict(params))))
        time.sleep(600)
        yield FoldScore(0.0, 1, (0.0,), 0)

    work(url, 5, evaluate=never)


def test_the_trial_of_a_killed_worker_is_taken_over_with_its_parameters(
        url: str, new_database: Callable[..., str], tmp_path: Path) -> None:
    search.create(url, NAME, FAMILIES)
    marker = tmp_path / "started"
    victim = start(hang, url, str(marker))
    end = time.monotonic() + 60
    while not marker.exists() and time.monotonic() < end:
        time.sleep(0.05)
    os.kill(victim.pid, signal.SIGKILL)
    victim.join(10)
    assert work(url, 5) == 5
    assert sorted(ended(url)) == ["failed", *["finished"] * 5]
    found = search.records(url, NAME)
    lost, = (trial for trial in found if trial.state == "failed")
    again = [trial for trial in found if trial.params == lost.params and trial.family == lost.family]
    assert len(again) == 2
    assert marker.read_text() == repr((lost.family, dict(lost.params)))
    undisturbed = new_database(migrated=False)
    search.create(undisturbed, NAME, FAMILIES)
    work(undisturbed, 5)
    whole = [(trial.place, trial.params, trial.value) for trial in search.records(undisturbed, NAME)]
    assert sorted(((trial.place, trial.params, trial.value) for trial in found if trial.state != "failed"),
                  key=lambda trial: trial[0] or 0) == whole


def test_a_trial_without_a_heartbeat_is_an_orphan_and_taken_over_at_once(url: str) -> None:
    """Killed between asking for a trial and its first beat: Optuna alone would leave it running for ever."""
    search.create(url, NAME, FAMILIES)
    with search._storage(url) as storage:
        search._load(storage, NAME).ask()
    started = time.monotonic()
    assert work(url, 2, grace=600) == 2
    assert time.monotonic() - started < 30
    assert ended(url) == ["failed", "finished", "finished"]


def test_a_worker_that_was_only_slow_loses_its_trial_and_goes_on(url: str) -> None:
    search.create(url, NAME, FAMILIES)
    stolen: list[int] = []

    def robbed_once(family: str, params: Mapping[str, Any]) -> Iterator[FoldScore]:
        if not stolen:
            stolen.append(1)
            dsn = url.replace("+psycopg2", "")
            with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
                cursor.execute("UPDATE trials SET state = 'FAIL' WHERE state = 'RUNNING'")
        yield from bowl(family, params)

    assert work(url, 3, evaluate=robbed_once) == 3
    assert ended(url) == ["failed", "finished", "finished", "finished"]


def test_parameter_importance_adds_up_to_one_and_needs_trials(url: str) -> None:
    search.create(url, NAME, FAMILIES)
    work(url, 2)
    assert search.importances(url, NAME) == {}
    work(url, 16)
    shares = search.importances(url, NAME)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert "family" in shares or "logistic_regression.C" in shares


def test_a_deleted_study_is_gone(url: str) -> None:
    search.create(url, NAME, FAMILIES)
    assert search.delete(url, NAME) is True
    assert search.delete(url, NAME) is False
    with pytest.raises(TrainingError, match="no study 'direction_1h/abc'; open the training again"):
        search.records(url, NAME)


def test_a_database_that_is_down_can_be_tried_again() -> None:
    with pytest.raises(StoreUnavailable, match="TIDEMARK_OPTUNA_URL") as caught:
        search.records("postgresql+psycopg2://postgres:secret@127.0.0.1:1/optuna", NAME)
    assert caught.value.retryable
    assert "secret" not in str(caught.value)


def test_the_best_of_nothing_is_refused() -> None:
    pruned = TrialRecord(0, "pruned", None, "xgboost", {}, (0.7,), 1.0)
    with pytest.raises(TrainingError, match="none of 1 trials is complete"):
        search.best([pruned])
    tied = [TrialRecord(number, "complete", 0.5, "xgboost", {}, (), 1.0) for number in (4, 2)]
    assert search.best(tied).number == 2
