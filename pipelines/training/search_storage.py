"""The database of the studies: how it is opened, locked, and written to in few round trips."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial

from pipelines.errors import StoreUnavailable

HEARTBEAT = 5
GRACE = 20
#: Databases whose tables this process has found to be of this Optuna's version.
_COMPATIBLE: set[str] = set()


@dataclass
class Lock:
    """An advisory lock of PostgreSQL that a connection holds."""

    connection: sa.Connection
    key: str
    held: bool = True

    def release(self) -> None:
        if self.held:
            self.held = False
            self.connection.execute(sa.text("SELECT pg_advisory_unlock(hashtextextended(:key, 0))"), {"key": self.key})


@contextmanager
def lock(opened: RDBStorage, name: str) -> Iterator[Lock]:
    """Hold the study's advisory lock; the server frees it when the holder's connection dies with its process."""
    with opened.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        held = Lock(connection, f"tidemark study {name}")
        connection.execute(sa.text("SELECT pg_advisory_lock(hashtextextended(:key, 0))"), {"key": held.key})
        try:
            yield held
        finally:
            held.release()


@contextmanager
def storage(url: str, grace: int = GRACE) -> Iterator[RDBStorage]:
    """Open the storage, close its connections, and translate its errors."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    opened = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            opened = _connect(url, grace)
        yield opened
    except (StorageInternalError, sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        where = sa.make_url(url).render_as_string(hide_password=True)
        raise StoreUnavailable(f"the study database {where} is not available ({error!s:.200}); is it running? "
                               "See `tidemark status` or TIDEMARK_OPTUNA_URL") from error
    finally:
        if opened is not None:
            opened.remove_session()
            opened.engine.dispose()


def _connect(url: str, grace: int) -> RDBStorage:
    # Optuna compares heartbeats as naive local times of the session: every session has to be in one zone. A trial that
    # a crash of the server takes back is only run again, so no commit waits for the disk.
    options = "-c timezone=utc -c synchronous_commit=off"
    engine_kwargs = {"pool_size": 3, "pool_pre_ping": True, "connect_args": {"options": options}}
    arguments: dict[str, Any] = {
        "engine_kwargs": engine_kwargs, "heartbeat_interval": max(1, min(HEARTBEAT, grace // 3)),
        "grace_period": grace}
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection, connection.begin():
        # Two workers that both find no tables would both create them, and one would fail.
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('tidemark optuna tables', 0))"))
        ready = connection.execute(sa.text("SELECT to_regclass('trial_heartbeats') IS NOT NULL "
                                           "AND to_regclass('alembic_version') IS NOT NULL")).scalar_one()
        if not ready:
            return RDBStorage(url, **arguments)
    # The check reads all of Optuna's migrations, as dear as half a fold: once a process is enough, for neither Optuna
    # nor (but by an upgrade, which stops the trainings) the tables change under it.
    found = RDBStorage(url, skip_table_creation=True, skip_compatibility_check=url in _COMPATIBLE, **arguments)
    _COMPATIBLE.add(url)
    return found


def note_params(opened: RDBStorage, trial: int, values: Mapping[str, Any], spaces: Mapping[str, BaseDistribution],
                found: Sequence[FrozenTrial]) -> None:
    """Write a running trial's parameters at once; Optuna's own way is four statements and a commit for each of them.

    Args:
        trial: its id; values: parameter -> value; spaces: parameter -> what it was drawn from.
        found: the study's trials: a parameter keeps its kind, and a choice its choices, for as long as a study lives.

    Raises:
        ValueError: the space has changed under the study.
        UpdateFinishedTrialError: the trial was taken from us.
    """
    for name, space in spaces.items():
        before = next((other.distributions[name] for other in found if name in other.distributions), space)
        check_distribution_compatibility(before, space)
    with _create_scoped_session(opened.scoped_session) as session:
        state: Any = models.TrialModel.find_or_raise_by_id(trial, session).state
        opened.check_trial_is_updatable(trial, state)
        session.execute(sa.insert(models.TrialParamModel), [
            {"trial_id": trial, "param_name": name, "param_value": space.to_internal_repr(values[name]),
             "distribution_json": distribution_to_json(space)} for name, space in spaces.items()])
