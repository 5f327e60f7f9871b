"""What the policy says about a line as of a time, why, and what it is waiting for: a pure reading of the state."""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from pipelines.contracts.line import Line
from pipelines.contracts.records import ColumnDrift, DriftReport
from pipelines.contracts.retraining import Retrain
from pipelines.retrain import state as shell
from pipelines.retrain.memory import PolicyState, budget_frees, cooldown, levels, not_better, spent
from pipelines.retrain.policy import Phase, decide, hold
from pipelines.store import tables


def explain(state: PolicyState, rules: Retrain, report: DriftReport | None, as_of: datetime) -> dict[str, Any]:
    """The policy's answer, and every figure that it hangs on; times are data time, UTC.

    ``state`` is where the line stands: in flight, held by some rule until ``until``, quiet, or about to ask. ``says``
    is what the policy answers to the last check; ``would`` what a new alarm would meet in this moment.
    """
    decision = decide(state, rules, report, as_of)
    held = None if state.open_request else hold(state, rules, as_of)
    in_vain, runs = not_better(state, rules, as_of), spent(state, as_of)
    rest, over = cooldown(rules, in_vain), budget_frees(state, rules, as_of)
    last, phase, until = state.last_training, decision.phase, decision.until
    if phase is Phase.QUIET:
        phase, until = (Phase.IN_FLIGHT, None) if state.open_request else held[:2] if held else (phase, None)
    return {
        "line": state.line, "as_of": as_of, "state": phase.value, "until": until,
        "says": decision.reason_text, "triggers": [reason.value for reason in decision.triggers],
        "would": "joins the open request" if state.open_request else f"{held[0].value}: {held[2]}" if held else "asks",
        "alarms": {reason.value: level for reason, level in levels(report).items()} if report else {},
        "checked": report.as_of if report else None,
        "answered": [{"reason": item.reason.value, "by_version": item.training.version, "until": item.until}
                     for item in decision.answered],
        "open_request": None if state.open_request is None else {
            "request": state.open_request.id, "reason": state.open_request.reason.value,
            "state": state.open_request.state.value, "as_of": state.open_request.as_of},
        "last_training": last, "last_request": state.last_request, "not_better_in_a_row": in_vain,
        "cooldown_days": rest / timedelta(days=1),
        "cooldown_until": None if state.newest is None else state.newest + rest,
        "data_until": None if last is None else last + timedelta(days=rules.min_new_days),
        "schedule_due": last + timedelta(days=rules.every_days)
        if last is not None and rules.every_days is not None and "schedule" in rules.on else None,
        "new_rows": state.new[0] if state.new else None, "new_days": state.new[1] if state.new else None,
        "changed": list(state.changed),
        "budget": {"runs": len(runs), "of_runs": rules.budget_runs,
                   "cpu_hours": sum(run.cpu_seconds for run in runs) / 3600, "of_cpu_hours": rules.budget_cpu_hours,
                   "frees": over[0] if over else None}}


def now(connection: Connection, line: Line, as_of: datetime) -> dict[str, Any]:
    """As :func:`explain`, with what the ledger knows and the newest check at or before ``as_of``."""
    report = last_report(connection, line.name, as_of)
    return explain(shell.read(connection, line, as_of), line.retrain, report, as_of)


def last_report(connection: Connection, line: str, as_of: datetime | None) -> DriftReport | None:
    """The newest stored check at or before a time, without its Evidently summary and the rows to look at."""
    table = tables.drift_reports
    query = select(table).where(table.c.line == line).order_by(table.c.as_of.desc()).limit(1)
    row = connection.execute(query if as_of is None else query.where(table.c.as_of <= as_of)).mappings().one_or_none()
    if row is None:
        return None
    share = math.nan if row["share"] is None else float(row["share"])
    return DriftReport(
        line, row["as_of"], tuple(_column(item) for item in row["columns"]), share, row["data_drift"],
        row["prediction_drift"], row["performance_drift"],
        # Beside figures stands what else was found: whence, rows to look at, the columns that tell.
        {name: math.nan if value is None else float(value) for name, value in row["metrics"].items()
         if value is None or isinstance(value, int | float)},
        row["champion_version"], row["reference_digest"], row["rows"])


def _column(stored: dict[str, Any]) -> ColumnDrift:
    """A stored column: of one that had no figures, score and threshold are null, which is NaN."""
    names = [field.name for field in fields(ColumnDrift) if field.name in stored]
    nan = {name: math.nan for name in ("score", "threshold") if stored.get(name) is None}
    return ColumnDrift(**{name: stored[name] for name in names} | nan)
