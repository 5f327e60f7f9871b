"""System events as notices. A kind that people are to hear of is one function and one line of registration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipelines.contracts.notices import Notice, Severity
from pipelines.notify.wording import House, instant, number

Row = Mapping[str, Any]
#: DAG that sends notices: of its own failures nobody can be told this way, they stand in Airflow.
OWN = "notify"
#: An error that says nothing about retries is final at the third try, one that may pass after the last retry (see
#: ``tidemark_airflow.policies``).
UNFORESEEN_TRIES, LAST_TRY = 3, 9


def of_event(row: Row, house: House) -> list[Notice]:
    """The notice of an event, if it is one that people hear of."""
    told = EVENTS.get(row["kind"])
    made = told(row, row.get("detail") or {}, house) if told else None
    return [] if made is None else [made]


def _stale(row: Row, detail: Row, house: House) -> Notice:
    series = f"{detail.get('kind')} of {detail.get('series')}"
    return Notice("stale", row.get("line"), Severity.WARNING, f"{series} went silent",
                  (f"The newest came {number(detail.get('age_hours'), 1)} hours before the end of what was loaded; "
                   f"{number(detail.get('deadline_hours'), 1)} are allowed.",
                   "Is the source down, its address wrong, or the series delisted? An exception is made with "
                   "TIDEMARK_QUALITY__FRESH_SERIES."), f"event:{row['id']}", row["at"], house.dag("ingest_market"))


def _expired(row: Row, detail: Row, house: House) -> Notice:
    return Notice("retrain", row.get("line"), Severity.WARNING, f"{row.get('line')}: the training died, its request "
                  "waits again", (f"The claim of {detail.get('claimed_by')} on request {detail.get('request')} ran out "
                                  f"(time {detail.get('expiries', 1)}); after the third it is given up.",),
                  f"event:{row['id']}", row["at"], house.dag(f"train_{row.get('line')}"))


def _waiting(row: Row, detail: Row, house: House) -> Notice:
    since, expires = detail.get("requested_at"), detail.get("expires_at")
    left = [f"It expires at {instant(expires)}."] if expires else []
    return Notice("retrain", row.get("line"), Severity.CRITICAL, f"{row.get('line')}: nobody serves a retrain request",
                  (f"Request {detail.get('request')} has been waiting since {instant(since)}.",
                   f"Is the DAG train_{row.get('line')} paused, or its pool full?", *left),
                  f"event:{row['id']}", row["at"], house.dag(f"train_{row.get('line')}"))


def _in_vain(row: Row, detail: Row, house: House) -> Notice | None:
    """The verdict itself is told already; that it came again, and what the policy does then, is news."""
    if not isinstance(detail.get("in_a_row"), int) or detail["in_a_row"] < 2:
        return None
    line = row.get("line")
    return Notice("verdict", line, Severity.INFO, f"{line}: not better for the {detail['in_a_row']}. time in a row",
                  tuple(_rest(detail)), f"event:{row['id']}", row["at"], house.dag(f"promote_{line}"))


def _over_budget(row: Row, detail: Row, house: House) -> Notice:
    line = row.get("line")
    return Notice("retrain", line, Severity.WARNING, f"{line}: the budget for retraining is spent",
                  (*_rest(detail), f"Nothing is trained until {instant(detail.get('until'))}; a person can force it."),
                  f"event:{row['id']}", row["at"], house.dag(f"train_{line}"))


def _late(row: Row, detail: Row, house: House) -> Notice:
    return late(row["at"], detail, house)


def late(at: Any, detail: Row, house: House) -> Notice:
    """A run that has missed its deadline; the same notice, whoever sees it first."""
    dag, run = str(detail.get("dag")), str(detail.get("run") or "")
    partition = f", partition {detail['partition']}" if detail.get("partition") else ""
    return Notice("late", None, Severity.WARNING, f"{dag} is late", (
        f"Run {run}{partition} should have finished by {instant(str(detail.get('deadline') or '') or None)}.",),
        f"late:{dag}/{run}", at, house.dag(dag, run))


def _task_failed(row: Row, detail: Row, house: House) -> Notice | None:
    tries, retryable = int(detail.get("try") or 1), detail.get("retryable")
    final = tries >= LAST_TRY if retryable is True else retryable is False or tries >= UNFORESEEN_TRIES
    dag, _, run = str(detail.get("run")).partition("/")
    if not final or dag == OWN:
        return None
    return failure(dag, run, str(detail.get("task")), detail.get("map_index"), str(detail.get("error")), row["at"],
                   house, tries)


def failure(dag: str, run: str, task: str, map_index: Any, error: str, at: Any, house: House, tries: int) -> Notice:
    """A task that has failed for good; the same notice, whoever sees it first."""
    piece = f"[{map_index}]" if isinstance(map_index, int) and map_index >= 0 else ""
    # The line is in the DAG's name; folding goes by it, so that one broken line hides no other.
    line = next((name for name in house.lines if dag.endswith(f"_{name}")), None)
    return Notice("task_failed", line, Severity.WARNING, f"{dag}: {task}{piece} failed",
                  (error, f"Run {run}, try {tries}. Mend the cause, then clear the task."),
                  # A cleared task that fails again has another number of its try.
                  f"task:{dag}/{run}:{task}{piece}:{tries}", at, house.dag(dag, run))


def _channel(row: Row, detail: Row, house: House) -> Notice:
    down = row["kind"] == "channel_down"
    name = detail.get("channel")
    return Notice("channel", None, Severity.WARNING if down else Severity.INFO,
                  f"notifications by {name} {'do not get through' if down else 'get through again'}",
                  (str(detail.get("error")), "What it has to tell is kept and sent later.") if down else (
                      "What was waiting is being sent.",), f"event:{row['id']}", row["at"])


def _rest(detail: Row) -> list[str]:
    """What else an event of another version says in words."""
    return [str(detail[name]) for name in ("text", "reason") if detail.get(name)]


#: Kind of the event → its notice.
EVENTS: dict[str, Callable[[Row, Row, House], Notice | None]] = {
    "stale": _stale,
    "claim_expired": _expired,
    "request_waiting": _waiting,
    "retrain_not_better": _in_vain,
    "retrain_over_budget": _over_budget,
    "late": _late,
    "task_failed": _task_failed,
    "channel_down": _channel,
    "channel_up": _channel,
}
