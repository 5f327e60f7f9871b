"""The search over families and their parameters: the only door to Optuna.

Several workers share one study on PostgreSQL. Who may start a trial is decided under an advisory lock, so that the
study ends with exactly its budget of finished (complete or pruned) trials, however many workers there are. A worker's
trial beats like a heart; when the beat stops for ``GRACE`` seconds the trial is failed and queued again with its
parameters, by whichever worker looks next.

Sampler: multivariate TPE, with the parameters of each family as a group of their own (Bergstra et al. 2011; Falkner
et al. 2018). It is seeded by the study's seed and the trial's place in the budget. Pruner: Wilcoxon's signed-rank test,
paired over blocks of test rows, against the best trial so far. Both have seen the rounds before the trial's own only
(``search_rounds``), so the same snapshot has the same winner, however many workers there are.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import optuna
import sqlalchemy as sa
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from pipelines.contracts.ports import FloatArray
from pipelines.errors import StoreUnavailable, TrainingError
from pipelines.training import families
from pipelines.training.search_rounds import ATTRIBUTE, ROUND, RoundPruner, RoundSampler, next_slot

HEARTBEAT = 5
GRACE = 20
#: A trial that killed its worker this often is not started again: another one takes its place.
MAX_RETRIES = 2
POLL = 0.25
PRUNE_P = 0.1

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class FoldScore:
    """One fold of one trial: mean log loss in nats over ``rows`` test rows, and the same for each block of the fold
    (a day, say); the blocks are what the pruner pairs. ``predictions``: P(y = 1) of each test row. ``remaining`` folds
    are still to come."""

    loss: float
    rows: int
    blocks: tuple[float, ...]
    remaining: int
    predictions: FloatArray = field(default_factory=lambda: np.empty(0))


class Keep(Protocol):
    """Stores what a complete trial has predicted, fold after fold, and answers with the digest it is found by."""

    def __call__(self, predictions: FloatArray) -> str: ...


class Evaluate(Protocol):
    """Scores one configuration, fold by fold, in the same order each time."""

    def __call__(self, family: str, params: Mapping[str, Any]) -> Iterator[FoldScore]: ...


@dataclass(frozen=True)
class TrialRecord:
    """One trial as plain data. ``value`` is the mean log loss over all folds (None unless complete); ``state`` is one
    of complete, pruned, failed, running, waiting; ``fold_losses`` as far as it came; ``predictions`` the digest under
    which a complete trial's predictions were kept."""

    number: int
    state: str
    value: float | None
    family: str | None
    params: Mapping[str, Any]
    fold_losses: tuple[float, ...]
    seconds: float | None
    predictions: str | None = None


_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
           TrialState.RUNNING: "running", TrialState.WAITING: "waiting"}


def create(url: str, name: str, family_names: Sequence[str]) -> None:
    """Make the study ``name`` with one default trial queued for each family; a study that exists stays as it is.

    Args:
        url: SQLAlchemy URL of the PostgreSQL database that holds the studies.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    with _storage(url) as storage, _lock(storage, name):
        try:
            study = optuna.create_study(storage=storage, study_name=name, direction="minimize")
        except optuna.exceptions.DuplicatedStudyError:
            study = optuna.load_study(storage=storage, study_name=name)
        fixed = (trial.system_attrs.get("fixed_params", {}) for trial in study.get_trials(deepcopy=False))
        queued = {params.get("family") for params in fixed}
        for family in family_names:
            if family not in queued:
                defaults = families.get(family).defaults
                study.enqueue_trial({"family": family} | {f"{family}.{key}": value for key, value in defaults.items()})


def run(url: str, name: str, *, family_names: Sequence[str], trials: int, seed: int, evaluate: Evaluate,
        keep: Keep | None = None, grace: int = GRACE) -> int:
    """Work on the study until it holds ``trials`` finished trials; returns how many of them this worker finished.

    When the rest of the budget is in other workers' hands it waits for them, ready to take over what they drop.

    Raises:
        TrainingError: there is no such study, or every retry of a trial failed.
        StoreUnavailable: the database cannot be reached.
        Exception: whatever ``evaluate`` raises; the trial is marked failed and does not count.
    """
    done = 0
    with _storage(url, grace) as storage:
        study = _load(storage, name)
        while True:
            with _lock(storage, name) as lock:
                _reclaim(study, storage)
                states = [trial.state for trial in study.get_trials(deepcopy=False)]
                finished = sum(state in _FINISHED for state in states)
                if finished >= trials:
                    return done
                slot = next_slot(states, trials)
                if slot is not None:
                    study.sampler = _sampler(seed, slot, 2 * len(family_names) + 2)
                    study.pruner = _pruner(slot)
                    done += _one_trial(study, storage, slot, family_names, evaluate, keep, lock.release)
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


def best(found: Sequence[TrialRecord]) -> TrialRecord:
    """The complete trial with the lowest loss; the older one when two are equal.

    Raises:
        TrainingError: no trial is complete.
    """
    complete = ranked(found)
    if not complete:
        raise TrainingError(f"none of {len(found)} trials is complete; look at the workers' logs for the reason")
    return complete[0]


def ranked(found: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The complete trials, best first."""
    complete = [record for record in found if record.value is not None]
    return sorted(complete, key=lambda record: (record.value or 0.0, record.number))


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


@dataclass
class _Lock:
    connection: sa.Connection
    key: str
    held: bool = True

    def release(self) -> None:
        if self.held:
            self.held = False
            self.connection.execute(sa.text("SELECT pg_advisory_unlock(hashtextextended(:key, 0))"), {"key": self.key})


@contextmanager
def _lock(storage: RDBStorage, name: str) -> Iterator[_Lock]:
    """Hold the study's advisory lock; the server frees it when the holder's connection dies with its process."""
    with storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        lock = _Lock(connection, f"tidemark study {name}")
        connection.execute(sa.text("SELECT pg_advisory_lock(hashtextextended(:key, 0))"), {"key": lock.key})
        try:
            yield lock
        finally:
            lock.release()


@contextmanager
def _storage(url: str, grace: int = GRACE) -> Iterator[RDBStorage]:
    """Open the storage, close its connections, and translate its errors."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            storage = _connect(url, grace)
        yield storage
    except (StorageInternalError, sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        where = sa.make_url(url).render_as_string(hide_password=True)
        raise StoreUnavailable(f"the study database {where} is not available ({error!s:.200}); is it running? "
                               "See `tidemark status` or TIDEMARK_OPTUNA_URL") from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _connect(url: str, grace: int) -> RDBStorage:
    # Optuna compares heartbeats as naive local times of the session: every session has to be in one zone. A trial that
    # a crash of the server takes back is only run again, so no commit waits for the disk.
    options = "-c timezone=utc -c synchronous_commit=off"
    engine_kwargs = {"pool_size": 3, "pool_pre_ping": True, "connect_args": {"options": options}}
    arguments: dict[str, Any] = {
        "engine_kwargs": engine_kwargs, "heartbeat_interval": max(1, min(HEARTBEAT, grace // 3)), "grace_period": grace,
        "heartbeat_stale_trial_callback": RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES)}
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection, connection.begin():
        # Two workers that both find no tables would both create them, and one would fail.
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('tidemark optuna tables', 0))"))
        ready = connection.execute(sa.text("SELECT to_regclass('trial_heartbeats') IS NOT NULL "
                                           "AND to_regclass('alembic_version') IS NOT NULL")).scalar_one()
        if not ready:
            return RDBStorage(url, **arguments)
    return RDBStorage(url, skip_table_creation=True, **arguments)


def _load(storage: RDBStorage, name: str) -> optuna.Study:
    try:
        return optuna.load_study(storage=storage, study_name=name)
    except KeyError as error:
        raise TrainingError(f"there is no study {name!r}; open the training again") from error


def _sampler(seed: int, slot: int, start: int) -> RoundSampler:
    state = int(np.random.SeedSequence([seed, slot]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RoundSampler(slot // ROUND, seed=state, multivariate=True, group=True, n_startup_trials=start)


def _pruner(slot: int) -> RoundPruner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RoundPruner(slot // ROUND, p_threshold=PRUNE_P)


def _reclaim(study: optuna.Study, storage: RDBStorage) -> None:
    """Fail and queue again the trials of dead workers. Call it with the lock held."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        fail_stale_trials(study)
    # A worker gives the lock back only after its trial's first heartbeat. We hold it, so whoever has none is dead.
    query = sa.text("SELECT t.number FROM trials t JOIN studies s USING (study_id) LEFT JOIN trial_heartbeats h "
                    "USING (trial_id) WHERE s.study_name = :name AND t.state = 'RUNNING' AND h.trial_id IS NULL")
    with storage.engine.connect() as connection:
        orphans = connection.execute(query, {"name": study.study_name}).scalars().all()
    retry = storage.get_heartbeat_stale_trial_callback()
    for number in orphans:
        failed = study.tell(number, state=TrialState.FAIL)
        if retry is not None:
            retry(study, failed)


def _one_trial(study: optuna.Study, storage: RDBStorage, slot: int, family_names: Sequence[str], evaluate: Evaluate,
               keep: Keep | None, started: Callable[[], None]) -> int:
    """Run one trial; 1 if it finished, 0 if it was taken from us because our heart stood still for too long."""
    ours: list[int] = []
    failures: list[Exception] = []

    def objective(trial: optuna.Trial) -> float:
        ours.append(trial.number)
        storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr(ATTRIBUTE, slot // ROUND)
        started()
        family = trial.suggest_categorical("family", list(family_names))
        params = families.get(family).space(_Prefixed(trial, family))
        scores: list[FoldScore] = []
        pruned = False
        for score in _noting(evaluate(family, params), failures):
            first = sum(len(earlier.blocks) for earlier in scores)
            for step, value in enumerate(score.blocks, start=first):
                trial.report(value, step)
            scores.append(score)
            pruned = score.remaining > 0 and trial.should_prune()  # the last fold is paid for: keep its result
            if pruned:
                break
        trial.set_user_attr("fold_losses", [score.loss for score in scores])
        if pruned:
            raise optuna.TrialPruned
        if keep is not None:
            trial.set_user_attr("predictions", keep(np.concatenate([score.predictions for score in scores])))
        return sum(score.loss * score.rows for score in scores) / sum(score.rows for score in scores)

    try:
        study.optimize(objective, n_trials=1)
    except (UpdateFinishedTrialError, ValueError, AssertionError):
        # Optuna meets a trial that somebody else has failed with one of these three.
        if failures or not ours or study.get_trials(deepcopy=False)[ours[0]].state != TrialState.FAIL:
            raise
        return 0
    return 1


def _noting(scores: Iterator[FoldScore], failures: list[Exception]) -> Iterator[FoldScore]:
    """Pass the scores on and keep the error that ends them, to tell it from Optuna's own."""
    try:
        yield from scores
    except Exception as error:
        failures.append(error)
        raise


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
    return TrialRecord(trial.number, _STATES[trial.state], value, family, params,
                       tuple(trial.user_attrs.get("fold_losses", ())), seconds, trial.user_attrs.get("predictions"))
