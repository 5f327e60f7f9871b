"""The retrain policy: a pure state machine over what the ledger knows and what monitoring found.

The whole table is in ``docs/retraining.md``; the tests hold both together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pipelines.contracts.records import DriftReport, Reason, RetrainRequest
from pipelines.contracts.retraining import Retrain
from pipelines.retrain.memory import (
    Answered,
    Check,
    PolicyState,
    answered,
    budget_frees,
    cooldown,
    levels,
    not_better,
)

REQUESTED_BY = "policy"
_TIME = "%Y-%m-%d %H:%M UTC"


class Phase(StrEnum):
    """What the policy is doing about a line."""

    QUIET = "quiet"
    ANSWERED = "answered"
    IN_FLIGHT = "in_flight"
    ASKED_ALREADY = "asked_already"
    COOLING = "cooling"
    WAITING_FOR_DATA = "waiting_for_data"
    OVER_BUDGET = "over_budget"
    ASKS = "asks"


@dataclass(frozen=True)
class Decision:
    """The policy's answer: a request or none, and in both cases why, as one sentence.

    Attributes:
        request: to be put into the ledger.
        phase: which rule gave the answer.
        until: data time (UTC) at which this rule lets go, where that is known.
        triggers: what spoke for a training, the strongest first, those that are answered left out.
        answered: alarms that ring on but have been answered by a training.
        joins: what is to be entered into the evidence of the open request.
    """

    request: RetrainRequest | None
    reason_text: str
    phase: Phase = Phase.QUIET
    until: datetime | None = None
    triggers: tuple[Reason, ...] = ()
    answered: tuple[Answered, ...] = ()
    joins: tuple[RetrainRequest, ...] = ()


def decide(state: PolicyState, rules: Retrain, report: DriftReport | None, as_of: datetime) -> Decision:
    """Ask for a training of ``state.line`` as of ``as_of``, or say why not.

    Args:
        state: what the ledger knows.
        rules: the line's ``[retrain]`` table.
        report: what monitoring found as of ``as_of``; None when there was no check.
        as_of: data time of the decision (UTC).
    """
    found = _triggers(state, rules, report, as_of)
    now = Check(as_of, report.champion_version, levels(report)) if report is not None else None
    old = tuple(item for reason in found if now is not None and reason in now.levels
                and (item := answered(state, rules, now, reason)) is not None)
    triggers = tuple(reason for reason in found if reason not in {item.reason for item in old})
    if not triggers:
        return _nothing(rules, report, old)
    names = ", ".join(trigger.value for trigger in triggers)
    evidence = {"last_training": state.last_training and state.last_training.isoformat(),
                **(_evidence(report) if report else {}),
                **({"new_rows": state.new[0], "new_days": state.new[1]} if state.new else {}),
                **({"changed": list(state.changed)} if Reason.CODE_CHANGE in triggers else {})}
    if state.open_request is not None:
        joins = tuple(RetrainRequest(state.line, trigger, as_of, REQUESTED_BY, evidence) for trigger in triggers)
        return Decision(None, f"{names}: {_joined(state.open_request)}", Phase.IN_FLIGHT, triggers=triggers,
                        answered=old, joins=joins)
    held = hold(state, rules, as_of)
    if held is not None:
        phase, until, why = held
        return Decision(None, f"{names}: {why}", phase, until, triggers, old)
    request = RetrainRequest(line=state.line, reason=triggers[0], as_of=as_of, requested_by=REQUESTED_BY,
                             evidence={"triggers": [trigger.value for trigger in triggers], **evidence})
    return Decision(request, f"{names}: a training as of {as_of:{_TIME}} is asked for.", Phase.ASKS,
                    triggers=triggers, answered=old)


def ask(state: PolicyState, rules: Retrain, as_of: datetime, *, by: str, words: str, force: bool = False,
        reason: Reason = Reason.MANUAL) -> Decision:
    """A person asks. ``force`` passes the cool-down, the wait for data and the budget, and the request says who passed
    what, and why; it does not pass an open request, which is joined.

    Args:
        by: who asks.
        words: why.
    """
    evidence: dict[str, Any] = {"words": words} if words else {}
    if state.open_request is not None:
        return Decision(None, f"{reason.value}: {_joined(state.open_request)}", Phase.IN_FLIGHT, triggers=(reason,),
                        joins=(RetrainRequest(state.line, reason, as_of, by, evidence),))
    held = hold(state, rules, as_of)
    if held is not None and not force:
        phase, until, why = held
        return Decision(None, f"{reason.value}: {why} Force it, with a name and a reason, if it cannot wait.", phase,
                        until, (reason,))
    if held is not None:
        evidence["forced"] = {"by": by, "reason": words, "past": held[2]}
    return Decision(RetrainRequest(state.line, reason, as_of, by, evidence),
                    f"{reason.value}: a training as of {as_of:{_TIME}} is asked for.", Phase.ASKS, triggers=(reason,))


def hold(state: PolicyState, rules: Retrain, as_of: datetime) -> tuple[Phase, datetime | None, str] | None:
    """What stands between a trigger and a request when none is open: the phase, until when, and a sentence."""
    newest = state.newest
    if newest is not None and newest >= as_of:
        return Phase.ASKED_ALREADY, None, f"a training as of {newest:{_TIME}} was asked for already."
    in_vain = not_better(state, rules, as_of)
    rest = cooldown(rules, in_vain)
    if newest is not None and as_of - newest < rest:
        vain = f" ({rest / timedelta(days=1):g} days, as the last {in_vain} brought nothing better)" if in_vain else ""
        return Phase.COOLING, newest + rest, f"cooling down until {newest + rest:{_TIME}}{vain}."
    if state.last_training is not None and as_of - state.last_training < (new := timedelta(days=rules.min_new_days)):
        until = state.last_training + new
        return (Phase.WAITING_FOR_DATA, until,
                f"waiting for {rules.min_new_days} new days of data, until {until:{_TIME}}.")
    if state.last_training is not None and state.new is not None and state.new[0] < rules.min_new_rows:
        return (Phase.WAITING_FOR_DATA, None,
                f"waiting for {rules.min_new_rows} new rows of data, there are {state.new[0]}.")
    if (over := budget_frees(state, rules, as_of)) is not None:
        return Phase.OVER_BUDGET, over[0], f"the budget is spent ({over[1]}); it frees at {over[0]:{_TIME}}."
    return None


def _triggers(state: PolicyState, rules: Retrain, report: DriftReport | None, as_of: datetime) -> list[Reason]:
    """What speaks for a training, the strongest first: lost performance is the harm itself, drift only a sign."""
    ringing = levels(report) if report is not None else {}
    signs = (Reason.PERFORMANCE, Reason.DATA_DRIFT, Reason.PREDICTION_DRIFT)
    found: list[Reason] = [reason for reason in signs if reason in ringing and reason.value in rules.on]
    if "code_change" in rules.on and state.changed:
        found.append(Reason.CODE_CHANGE)
    if "schedule" in rules.on and rules.every_days is not None:
        if state.last_training is None:
            found.append(Reason.BOOTSTRAP)
        elif as_of - state.last_training >= timedelta(days=rules.every_days):
            found.append(Reason.SCHEDULE)
    if "new_data" in rules.on and state.last_training is not None and state.new is not None:
        limits = (rules.new_rows, rules.new_days)
        if any(limit is not None and new >= limit for new, limit in zip(state.new, limits, strict=True)):
            found.append(Reason.NEW_DATA)
    return found


def _nothing(rules: Retrain, report: DriftReport | None, old: Sequence[Answered]) -> Decision:
    if not old:
        return Decision(None, _quiet(rules, report))
    first = old[0]
    was = {True: "was promoted", False: "brought nothing better", None: "has no verdict yet"}[first.training.better]
    return Decision(
        None, f"{', '.join(item.reason.value for item in old)}: answered by the training as of "
              f"{first.training.as_of:{_TIME}} (version {first.training.version}), which {was}; asks again after "
              f"{rules.quiet_days} quiet days, when it is {rules.worse:g} times as loud, or at {first.until:{_TIME}}.",
        Phase.ANSWERED, min(item.until for item in old), answered=tuple(old))


def _quiet(rules: Retrain, report: DriftReport | None) -> str:
    if report is None:
        return "No check, and no schedule is due."
    if report.alarm:
        return (f"{', '.join(reason.value for reason in levels(report))}: the line does not retrain on it "
                f"(retrain.on = {', '.join(rules.on)}).")
    if report.champion_version is None:
        return "There is no champion to watch; train the line by hand."
    return f"Nothing to do: {report.share:.0%} of the columns have drifted, performance is as promised."


def _joined(request: RetrainRequest) -> str:
    return f"joined to open request {request.id} ({request.reason.value}, {request.state.value})."


def _evidence(report: DriftReport) -> dict[str, Any]:
    """What of the report goes into the ledger: JSON-friendly, a few lines."""
    worst = sorted((column for column in report.columns if column.drifted),
                   key=lambda column: -column.score / max(column.threshold, 1e-12))
    return {"share": report.share, "champion_version": report.champion_version, "rows": report.rows,
            "drifted": [column.column for column in worst[:10]],
            "levels": {reason.value: level for reason, level in levels(report).items() if math.isfinite(level)},
            "metrics": {name: value for name, value in report.metrics.items() if math.isfinite(value)}}
