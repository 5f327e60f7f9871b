"""How tasks retry, where they run and when they are late: one place for all DAGs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DeadlineAlert, DeadlineReference, RetryDecision, RetryPolicy, SyncCallback

from tidemark_airflow.alerts import record_lateness
from tidemark_airflow.lines import LineInfo
from tidemark_airflow.notifiers import TidemarkNotifier

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Slots for model fitting and for everything else; `tidemark up` creates the first, Airflow the second.
ML_POOL = "ml"
DEFAULT_POOL = "default_pool"

#: What may pass is given 1.8 hours; what nobody has foreseen, three tries in all.
RETRIES = 8
FIRST_DELAY = timedelta(seconds=2)
DELAY_FACTOR = 3
UNFORESEEN_TRIES = 3


class RetryWhenItHelps(RetryPolicy):
    """Asks the error itself: every ``TidemarkError`` says in ``retryable`` whether the same call may succeed later.

    Retryable: again after 2, 6, 18 s, and so on. Not retryable: the task fails at once, whatever retries are left.
    Errors from elsewhere (a bug, a vendor's) are tried three times. A killed worker leaves no error to ask: it follows
    the task's own ``retries`` and ``retry_delay``.
    """

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int,
                 context: Context | None = None) -> RetryDecision:
        retryable = getattr(exception, "retryable", None)
        name = type(exception).__name__
        if retryable is True:
            delay = FIRST_DELAY * DELAY_FACTOR ** max(try_number - 1, 0)
            return RetryDecision.retry(delay, f"{name} may pass; next try in {delay.total_seconds():.0f} s")
        if retryable is False:
            return RetryDecision.fail(f"{name} will not pass by itself: trying again cannot help")
        if try_number >= UNFORESEEN_TRIES:
            return RetryDecision.fail(f"{name} came {try_number} times")
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        return {"__type": f"{type(self).__module__}.{type(self).__qualname__}"}


def task_defaults(owner: str = "tidemark", pool: str = DEFAULT_POOL) -> dict[str, Any]:
    """``default_args`` of a DAG. The callback also hears of tasks that were killed and could write nothing down."""
    return {"owner": owner, "retries": RETRIES, "retry_delay": FIRST_DELAY, "retry_policy": RetryWhenItHelps(),
            "pool": pool, "on_failure_callback": TidemarkNotifier()}


def dag_defaults(dag_id: str, *, title: str, doc: str | None, tags: set[str], line: LineInfo | None = None,
                 owner: str = "tidemark") -> dict[str, Any]:
    """What every DAG has: one run at a time, no catch-up, a title, its docs, its tags and an owner.

    One run at a time keeps partitions in order; the queue keeps the rest.
    """
    return {
        "dag_id": f"{dag_id}_{line.name}" if line else dag_id,
        "dag_display_name": f"{title} · {line.name}" if line else title,
        "description": f"{title}: {line.title}" if line else title,
        "doc_md": doc, "tags": {"tidemark", *tags, *({f"line:{line.name}"} if line else ())},
        "default_args": task_defaults(line.owner if line else owner),
        "catchup": False, "max_active_runs": 1, "max_consecutive_failed_dag_runs": 0,
    }


def late_after(interval: timedelta) -> DeadlineAlert:
    """A system event when a run has not finished ``interval`` after it was queued."""
    return DeadlineAlert(reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=interval,
                         callback=SyncCallback(record_lateness), name=f"late after {interval}")
