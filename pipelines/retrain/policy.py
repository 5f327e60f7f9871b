"""The retrain policy: a pure state machine over what the ledger knows and what monitoring found.

The whole table is in ``docs/retraining.md``; the tests hold both together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pipelines.contracts.line import Retrain
from pipelines.contracts.records import DriftReport, Reason, RetrainRequest

REQUESTED_BY = "policy"


@dataclass(frozen=True)
class PolicyState:
    """What the ledger knows about a line. All times are data time, UTC.

    Attributes:
        line: name of the line.
        last_training: ``as_of`` of the newest candidate; None when the line was never trained.
        last_request: ``as_of`` of the newest request, whatever became of it.
        open_request: the pending or claimed one.
    """

    line: str
    last_training: datetime | None = None
    last_request: datetime | None = None
    open_request: RetrainRequest | None = None


@dataclass(frozen=True)
class Decision:
    """The policy's answer: a request or none, and in both cases why, as one sentence."""

    request: RetrainRequest | None
    reason_text: str


def decide(state: PolicyState, rules: Retrain, report: DriftReport | None, as_of: datetime) -> Decision:
    """Ask for a training of ``state.line`` as of ``as_of``, or say why not.

    Args:
        state: what the ledger knows.
        rules: the line's ``[retrain]`` table.
        report: what monitoring found as of ``as_of``; None when there was no check.
        as_of: data time of the decision (UTC).
    """
    triggers = _triggers(state, rules, report, as_of)
    if not triggers:
        return Decision(None, _quiet(rules, report))
    names = ", ".join(trigger.value for trigger in triggers)
    if state.open_request is not None:
        return Decision(None, f"{names}: joined to open request {state.open_request.id} "
                              f"({state.open_request.reason.value}, {state.open_request.state.value}).")
    newest = max((time for time in (state.last_training, state.last_request) if time is not None), default=None)
    if newest is not None and newest >= as_of:
        return Decision(None, f"{names}: a training as of {newest:%Y-%m-%d %H:%M} UTC was asked for already.")
    if newest is not None and as_of - newest < (rest := timedelta(days=rules.cooldown_days)):
        return Decision(None, f"{names}: cooling down until {newest + rest:%Y-%m-%d %H:%M} UTC.")
    if state.last_training is not None and as_of - state.last_training < (new := timedelta(days=rules.min_new_days)):
        return Decision(None, f"{names}: waiting for {rules.min_new_days} new days of data, until "
                              f"{state.last_training + new:%Y-%m-%d %H:%M} UTC.")
    request = RetrainRequest(line=state.line, reason=triggers[0], as_of=as_of, requested_by=REQUESTED_BY,
                             evidence={"triggers": [trigger.value for trigger in triggers],
                                       "last_training": state.last_training and state.last_training.isoformat(),
                                       **(_evidence(report) if report else {})})
    return Decision(request, f"{names}: a training as of {as_of:%Y-%m-%d %H:%M} UTC is asked for.")


def _triggers(state: PolicyState, rules: Retrain, report: DriftReport | None, as_of: datetime) -> list[Reason]:
    """What speaks for a training, the strongest first: lost performance is the harm itself, drift only a sign."""
    fired = {
        Reason.PERFORMANCE: report is not None and report.performance_drift,
        Reason.DATA_DRIFT: report is not None and report.data_drift,
        Reason.PREDICTION_DRIFT: report is not None and report.prediction_drift,
    }
    found = [reason for reason, on in fired.items() if on and reason.value in rules.on]
    if "schedule" in rules.on and rules.every_days is not None:
        if state.last_training is None:
            found.append(Reason.BOOTSTRAP)
        elif as_of - state.last_training >= timedelta(days=rules.every_days):
            found.append(Reason.SCHEDULE)
    return found


def _quiet(rules: Retrain, report: DriftReport | None) -> str:
    if report is None:
        return "No check, and no schedule is due."
    if report.alarm:
        kinds = {"data_drift": report.data_drift, "prediction_drift": report.prediction_drift,
                 "performance": report.performance_drift}
        return (f"{', '.join(kind for kind, on in kinds.items() if on)}: the line does not retrain on it "
                f"(retrain.on = {', '.join(rules.on)}).")
    if report.champion_version is None:
        return "There is no champion to watch; train the line by hand."
    return f"Nothing to do: {report.share:.0%} of the columns have drifted, performance is as promised."


def _evidence(report: DriftReport) -> dict[str, Any]:
    """What of the report goes into the ledger: JSON-friendly, a few lines."""
    worst = sorted((column for column in report.columns if column.drifted),
                   key=lambda column: -column.score / max(column.threshold, 1e-12))
    return {"share": report.share, "champion_version": report.champion_version, "rows": report.rows,
            "drifted": [column.column for column in worst[:10]],
            "metrics": {name: value for name, value in report.metrics.items() if math.isfinite(value)}}
