"""The search over families and their parameters: the only door to Optuna.

Several workers share one study on PostgreSQL. Who may start a trial is decided under an advisory lock, so that the
study ends with exactly its budget of finished (complete or pruned) trials, however many workers there are. A worker's
trial beats like a heart; when the beat stops for ``GRACE`` seconds the trial is failed, and whichever worker looks next
runs its place in the budget again, with the same parameters.

The first places are given: the configuration of an earlier training, if there is one, then each family's defaults. The
others are drawn by multivariate TPE, with the parameters of each family as a group of their own (Bergstra et al. 2011;
Falkner et al. 2018), seeded by the study's seed and the place. Pruner: Wilcoxon's signed-rank test, paired over blocks
of test rows, against the best trial so far; with ``halving`` also by rank, at the first folds. All have seen the places
up to ``ahead`` before the trial's own only (``search_places``), so the same snapshot has the same winner, however many
workers there are.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import optuna
import sqlalchemy as sa
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.storages._heartbeat import get_heartbeat_thread
from optuna.trial import FrozenTrial, TrialState

from pipelines.errors import TrainingError
from pipelines.training import families
from pipelines.training.search_places import FINISHED, PLACE, PlaceSampler, before
from pipelines.training.search_storage import GRACE, note_params
from pipelines.training.search_storage import lock as _lock
from pipelines.training.search_storage import storage as _storage
from pipelines.training.trial import (
    SELECTION,
    Evaluate,
    FoldScore,
    Keep,
    Start,
    TrialRecord,
    best,
    goes_on,
    is_rung,
    next_place,
    ranked,
    worse,
)

__all__ = ["Evaluate", "FoldScore", "Keep", "Start", "TrialRecord", "best", "create", "delete", "importances",
           "ranked", "records", "run"]

#: A trial that killed its worker is started again this often; then another one takes its place.
MAX_RETRIES = 2
#: Trials that may run at once, unless the line says otherwise.
AHEAD = 4
POLL = 0.25
PRUNE_P = 0.1

#: User attributes: of a study its first configurations; of a trial what is noted at its end, or that an error ended
#: it.
_FIRST, _NOTES, _BROKEN = "first", "notes", "broken"

_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
           TrialState.RUNNING: "running", TrialState.WAITING: "waiting"}


def create(url: str, name: str, family_names: Sequence[str], warm: Start | None = None) -> None:
    """Make the study ``name``, which starts with ``warm`` (if its family is one of these) and one default trial of each
    family; a study that exists stays as it is.

    Args:
        url: SQLAlchemy URL of the PostgreSQL database that holds the studies.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    first = [Start(family, families.get(family).defaults) for family in family_names]
    if warm is not None and warm.family in family_names:
        first = [warm, *(start for start in first if start != warm)]
    with _storage(url) as storage, _lock(storage, name):
        try:
            study = optuna.create_study(storage=storage, study_name=name, direction="minimize")
        except optuna.exceptions.DuplicatedStudyError:
            study = optuna.load_study(storage=storage, study_name=name)
        if _FIRST not in study.user_attrs:
            study.set_user_attr(_FIRST, [{"family": start.family, "params": dict(start.params)} for start in first])


def run(url: str, name: str, *, family_names: Sequence[str], trials: int, seed: int, evaluate: Evaluate,
        keep: Keep | None = None, grace: int = GRACE, ahead: int = AHEAD, halving: bool = False,
        selections: Sequence[str] = ()) -> int:
    """Work on the study until it holds ``trials`` finished trials; returns how many of them this worker finished.

    When the rest of the budget is in other workers' hands it waits for them, ready to take over what they drop.

    Args:
        ahead: how many trials may run at once; part of what decides the winner, which the number of workers is not.
        halving: stop the worse half of the trials at each rung (``trial.is_rung``, and any look before the first fold).
        selections: ways to choose columns, for a trial to try as its parameter ``selection``; the only one is always
            taken.

    Raises:
        TrainingError: there is no such study, or every retry of a trial failed.
        StoreUnavailable: the database cannot be reached.
        Exception: whatever ``evaluate`` raises; the trial is marked failed and does not count.
    """
    done = 0
    asked = _Asked(tuple(family_names), tuple(selections), evaluate, keep, halving, seed)
    with _storage(url, grace) as storage:
        study = _load(storage, name)
        first = study.user_attrs.get(_FIRST, [])
        while True:
            with _lock(storage, name) as lock:
                _reclaim(study, storage)
                found = study.get_trials(deepcopy=False)
                finished, running = _held(found, FINISHED), _held(found, (TrialState.RUNNING,))
                if len(finished) >= trials:
                    return done
                place = next_place(finished, running, trials, ahead)
                if place is not None:
                    trial = storage.create_new_trial(study._study_id)
                    storage.set_trial_user_attr(trial, PLACE, place)
                    storage.record_heartbeat(trial)
                    lock.release()
                    seen = before(found, place - ahead)
                    done += _run(storage, trial, asked, _sampler(first, found, seen, place, asked), found, seen)
                    continue
            time.sleep(POLL)


def records(url: str, name: str) -> list[TrialRecord]:
    """Every trial of the study in the order of their numbers.

    Raises:
        TrainingError: there is no such study.
        StoreUnavailable: the database cannot be reached.
    """
    with _storage(url) as storage:
        return [_record(trial) for trial in _load(storage, name).get_trials(deepcopy=False)]


def importances(url: str, name: str) -> dict[str, float]:
    """Parameter → share of the variation of the loss among the better half of the trials, adding up to 1, largest
    first; empty when there are fewer than four complete trials or all score alike. PED-ANOVA (Watanabe et al. 2023),
    in Optuna's form for conditional parameters."""
    with _storage(url) as storage:
        study = _load(storage, name)
        complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
        if len(complete) < 4 or len({trial.value for trial in complete}) < 2:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            warnings.filterwarnings("ignore", message="Some regimes for parameter")  # few trials: said in the docstring
            found = optuna.importance.get_param_importances(study, normalize=False)
        total = sum(found.values())
        return {key: value / total for key, value in found.items()} if total > 0 else {}


def delete(url: str, name: str) -> bool:
    """Remove the study; False if there was none."""
    with _storage(url) as storage:
        try:
            optuna.delete_study(study_name=name, storage=storage)
        except KeyError:
            return False
        return True


def _load(storage: RDBStorage, name: str) -> optuna.Study:
    try:
        return optuna.load_study(storage=storage, study_name=name)
    except KeyError as error:
        raise TrainingError(f"there is no study {name!r}; open the training again") from error


def _sampler(first: Sequence[Mapping[str, Any]], found: Sequence[FrozenTrial], seen: Sequence[FrozenTrial],
             place: int, asked: _Asked) -> PlaceSampler:
    """What draws for a place, the same each time: a given configuration, or TPE. When the place has failed by an error,
    or has killed its workers too often, something else is drawn."""
    failed = [trial for trial in found if trial.state == TrialState.FAIL and trial.user_attrs.get(PLACE) == place]
    broken = sum(_BROKEN in trial.user_attrs for trial in failed)
    turn = broken + (len(failed) - broken) // (MAX_RETRIES + 1)
    given = None
    if place < len(first) and not turn:
        family, params = first[place]["family"], first[place]["params"]
        given = {"family": family} | {
            key if key == SELECTION else f"{family}.{key}": value for key, value in params.items()}
    state = int(np.random.SeedSequence([asked.seed, place, *([turn] if turn else [])]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return PlaceSampler(seen, given, seed=state, multivariate=True, group=True,
                            n_startup_trials=2 * len(asked.families) + 2)


def _held(found: Sequence[FrozenTrial], states: Sequence[TrialState]) -> set[int]:
    """The places of the trials in these states."""
    return {int(trial.user_attrs[PLACE]) for trial in found if trial.state in states and PLACE in trial.user_attrs}


def _reclaim(study: optuna.Study, storage: RDBStorage) -> None:
    """Fail the trials of dead workers. Call it with the lock held."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        fail_stale_trials(study)
    # A worker gives the lock back only after its trial's first heartbeat. We hold it, so whoever has none is dead.
    query = sa.text("SELECT t.number FROM trials t JOIN studies s USING (study_id) LEFT JOIN trial_heartbeats h "
                    "USING (trial_id) WHERE s.study_name = :name AND t.state = 'RUNNING' AND h.trial_id IS NULL")
    with storage.engine.connect() as connection:
        orphans = connection.execute(query, {"name": study.study_name}).scalars().all()
    for number in orphans:
        study.tell(number, state=TrialState.FAIL)


@dataclass(frozen=True)
class _Asked:
    """What a search is asked for, the same for all of its trials."""

    families: tuple[str, ...]
    selections: tuple[str, ...]
    evaluate: Evaluate
    keep: Keep | None
    halving: bool
    seed: int


def _run(storage: RDBStorage, trial: int, asked: _Asked, sampler: PlaceSampler, found: Sequence[FrozenTrial],
         seen: Sequence[FrozenTrial]) -> int:
    """Run the trial of this id; 1 if it finished, 0 if it was taken from us because our heart stood still for too
    long."""
    try:
        with get_heartbeat_thread(trial, storage):
            try:
                family, params = _draw(storage, trial, asked, sampler, found)
                scores, notes, stopped = _scored(asked.evaluate(family, params), asked.halving, seen)
                if asked.keep is not None and not stopped:
                    notes["predictions"] = asked.keep(np.concatenate([score.predictions for score in scores]))
            except BaseException as error:
                with suppress(UpdateFinishedTrialError):
                    if isinstance(error, Exception):
                        storage.set_trial_user_attr(trial, _BROKEN, True)
                    storage.set_trial_state_values(trial, TrialState.FAIL)
                raise
        value = sum(score.loss * score.rows for score in scores) / max(1, sum(score.rows for score in scores))
        storage.set_trial_user_attr(trial, _NOTES, notes)
        if stopped and scores:  # by how far they came, and by what: the order in which TPE takes the pruned ones
            storage.set_trial_intermediate_value(trial, len(scores), value)
        return int(storage.set_trial_state_values(
            trial, TrialState.PRUNED if stopped else TrialState.COMPLETE, None if stopped else [value]))
    except UpdateFinishedTrialError:
        return 0


def _draw(storage: RDBStorage, trial: int, asked: _Asked, sampler: PlaceSampler,
          found: Sequence[FrozenTrial]) -> tuple[str, dict[str, Any]]:
    """A configuration for a trial, and a note of it. It is drawn in memory: a study asks its database each time."""
    draft = optuna.create_study(sampler=sampler, direction="minimize").ask()
    family = draft.suggest_categorical("family", list(asked.families))
    params = families.get(family).space(_Prefixed(draft, family))
    if asked.selections:
        params[SELECTION] = draft.suggest_categorical(SELECTION, list(asked.selections))
    note_params(storage, trial, draft.params, draft.distributions, found)
    return family, params


def _scored(coming: Iterator[FoldScore], halving: bool,
            seen: Sequence[FrozenTrial]) -> tuple[list[FoldScore], dict[str, Any], bool]:
    """Every fold of a trial as far as it gets, what to note of it, and whether it was stopped before its end."""
    complete = [other for other in seen if other.value is not None and other.state == TrialState.COMPLETE]
    best_blocks = min(complete, key=lambda other: cast(float, other.value)).user_attrs[_NOTES]["blocks"] if complete \
        else []
    reached = [other.user_attrs.get(_NOTES, {}).get("rungs", []) for other in seen]
    scores: list[FoldScore] = []
    blocks: list[float] = []
    rungs: list[float] = []
    stopped = False
    for score in coming:
        whole = score.history >= 1
        if whole:
            scores.append(score)
            blocks += score.blocks
        if score.remaining == 0:  # the last fold is paid for: keep its result
            break
        stopped = whole and bool(best_blocks) and worse(blocks, best_blocks, PRUNE_P)
        if halving and (not whole or is_rung(len(scores))):
            judged = scores if whole else [score]
            rungs.append(sum(one.loss * one.rows for one in judged) / sum(one.rows for one in judged))
            at = len(rungs) - 1
            stopped = stopped or not goes_on(rungs[at], [other[at] for other in reached if len(other) > at])
        if stopped:
            break
    notes: dict[str, Any] = {"fold_losses": [score.loss for score in scores], "blocks": blocks, "rungs": rungs,
                             "columns": [score.columns for score in scores if score.columns is not None],
                             "rounds": [score.rounds for score in scores if score.rounds is not None]}
    return scores, notes, stopped


class _Prefixed:
    """A trial whose parameter names carry the family, so that two families' ``rounds`` do not mix."""

    def __init__(self, trial: optuna.Trial, prefix: str) -> None:
        self._trial, self._prefix = trial, prefix

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None,
                      log: bool = False) -> float:
        return self._trial.suggest_float(f"{self._prefix}.{name}", low, high, step=step, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self._trial.suggest_int(f"{self._prefix}.{name}", low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._trial.suggest_categorical(f"{self._prefix}.{name}", choices)


def _record(trial: FrozenTrial) -> TrialRecord:
    family = trial.params.get("family")
    params = {key.removeprefix(f"{family}."): value for key, value in trial.params.items() if key != "family"}
    seconds = trial.duration.total_seconds() if trial.duration is not None else None
    value = trial.value if trial.state == TrialState.COMPLETE else None
    notes = trial.user_attrs.get(_NOTES, {})
    return TrialRecord(trial.number, _STATES[trial.state], value, family, params, tuple(notes.get("fold_losses", ())),
                       seconds, notes.get("predictions"), trial.user_attrs.get(PLACE), tuple(notes.get("rungs", ())),
                       tuple(notes.get("columns", ())), tuple(notes.get("rounds", ())))
