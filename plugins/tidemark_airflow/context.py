"""How a task gets what it works with: settings, warehouse, its line, its days, and the one look at the clock.

A task body is ``with work() as w: ...``. The partition comes from the run; a run without one (by hand, or
``dag.test()``) takes the params ``partition``, or ``start`` and ``end``, instead.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, Param, get_current_context
from airflow.sdk.exceptions import AirflowException

if TYPE_CHECKING:
    from pipelines.config import Settings
    from pipelines.contracts.line import Line
    from pipelines.contracts.window import Window
    from pipelines.store import Warehouse

log = logging.getLogger(__name__)

TASK_FAILED = "task_failed"  # kind of the system event

#: What a task returns. Of a task annotated as a dict, Airflow would push each key as an XCom of its own.
Json = Any


def partition_params() -> dict[str, Param]:
    """Params of every partitioned DAG, for runs by hand."""
    text = {"type": ["null", "string"]}
    return {
        "partition": Param(None, **text, title="Partition", description=(
            "UTC day YYYY-MM-DD. Only for a run by hand that has no partition key.")),
        "start": Param(None, **text, title="Start", description=(
            "First UTC day of a stretch of days (included), instead of one partition.")),
        "end": Param(None, **text, title="End", description="UTC day after the last one of the stretch.")}


@dataclass(frozen=True)
class Work:
    """What one task works with.

    Attributes:
        at: wall clock (UTC), for ``recorded_at`` columns; data time comes from ``days`` or the ledger.
        run: ``dag_id/run_id``: who did it, in the ledger.
        slots: of the pool, taken by this task: as many processes may work for it.
    """

    settings: Settings
    warehouse: Warehouse
    at: datetime
    run: str
    params: Mapping[str, Any]
    partition: str | None
    by_hand: bool
    outlet_events: Any
    slots: int = 1

    def line(self, name: str) -> Line:
        """The full, checked declaration of a line.

        Raises:
            ConfigError: its TOML is refused.
        """
        from pipelines.contracts.line import parse_line

        return parse_line(self.line_text(name), f"{name}.toml")

    def line_text(self, name: str) -> str:
        """The TOML of a line, as it is written."""
        return (self.settings.lines_dir / f"{name}.toml").read_text(encoding="utf-8")

    def lines(self) -> dict[str, Line]:
        """Every line by name.

        Raises:
            ConfigError: a TOML is refused.
        """
        from pipelines.contracts.line import load_lines

        return load_lines(self.settings.lines_dir)

    @cached_property
    def days(self) -> tuple[Window, ...]:
        """The daily windows of this run, in order.

        Raises:
            ConfigError: the run has neither a partition nor params that name one.
        """
        from pipelines import clock
        from pipelines.contracts.window import Window
        from pipelines.errors import ConfigError

        key = self.partition or self.params.get("partition")
        if key:
            return (Window.day(key),)
        start, end = self.params.get("start"), self.params.get("end")
        if not (start and end):
            raise ConfigError(f"{self.run} has no partition; trigger it with a partition key, or with the param "
                              "`partition` (YYYY-MM-DD) or `start` and `end`")
        return tuple(Window(clock.parse(start), clock.parse(end)).days())

    def announce(self, asset: Asset, keys: Sequence[str] | None = None, **extra: Any) -> None:
        """Emit ``asset`` for ``keys`` (default: this run's days) when the task succeeds."""
        accessor = self.outlet_events[asset]
        accessor.add_partitions(list(keys or (day.key for day in self.days)))
        accessor.extra.update(plain(extra))


@contextmanager
def work() -> Iterator[Work]:
    """Open what the running task needs, close it afterwards; a failure leaves a system event with its cause."""
    from pipelines.clock import now
    from pipelines.config import settings
    from pipelines.store import Warehouse

    context = get_current_context()
    run, instance = context["dag_run"], context["ti"]
    warehouse = Warehouse.from_settings(settings())
    w = Work(settings(), warehouse, now(), f"{run.dag_id}/{run.run_id}", dict(context["params"]),
             run.partition_key, str(getattr(run.run_type, "value", run.run_type)) == "manual",
             context["outlet_events"], int(getattr(context.get("task"), "pool_slots", 1)))
    try:
        yield w
    except AirflowException:  # a skip is no failure
        raise
    except Exception as error:
        _record_failure(w, instance.task_id, instance.map_index, instance.try_number, error)
        raise
    finally:
        warehouse.close()


def _record_failure(w: Work, task: str, map_index: int | None, attempt: int, error: Exception) -> None:
    from pipelines.store import events

    detail = {"run": w.run, "task": task, "map_index": map_index, "try": attempt, "error": describe(error),
              "retryable": getattr(error, "retryable", None)}
    try:
        with w.warehouse.begin() as connection:
            events.record(connection, at=w.at, kind=TASK_FAILED, line=None, detail=detail)
    except Exception:  # the first error is the one to show
        log.warning("the failure could not be written to the warehouse", exc_info=True)


def describe(error: BaseException) -> str:
    """``Name: message``, cut to a length that fits a tag."""
    return f"{type(error).__name__}: {error}"[:500]


def plain(value: Any) -> Any:
    """Records as JSON: dataclasses to dicts, times to ISO 8601, enums to their values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):  # a NumPy scalar
        return plain(value.item())
    return value


def tell(title: str, report: Any) -> Any:
    """Log a report under its title and return it as JSON, for XCom."""
    shown = plain(report)
    if isinstance(shown, list) and shown and all(isinstance(item, str) for item in shown):
        log.info("%s:", title)
        for sentence in shown:
            log.info("  %s", sentence)
    else:
        log.info("%s: %s", title, shown)
    return shown
