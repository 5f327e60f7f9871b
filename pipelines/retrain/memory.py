"""What the policy remembers of a line, and the pure rules over it: hysteresis, back-off, budget."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pipelines.contracts.records import DriftReport, Reason, RetrainRequest
from pipelines.contracts.retraining import MONTH, Retrain

#: Alarms: what speaks against the champion itself.
SIGNS = frozenset({Reason.PERFORMANCE, Reason.DATA_DRIFT, Reason.PREDICTION_DRIFT})


@dataclass(frozen=True)
class Check:
    """A look at the line: which alarms rang as of a time, about which champion, and how loud each was."""

    as_of: datetime
    champion: int | None
    levels: Mapping[Reason, float]


@dataclass(frozen=True)
class Training:
    """A training that made a version. ``better``: it is or was champion, or the gate would have it so; None while there
    is no verdict. ``triggers``: what it was asked for."""

    as_of: datetime
    version: int
    better: bool | None = None
    triggers: Collection[Reason] = ()


@dataclass(frozen=True)
class Run:
    """A training that counts towards the budget, whatever came of it."""

    as_of: datetime
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class PolicyState:
    """What the ledger knows about a line. All times are data time, UTC.

    Attributes:
        line: name of the line.
        last_training: ``as_of`` of the newest candidate; None when the line was never trained.
        last_request: ``as_of`` of the newest request, whatever became of it.
        open_request: the pending or claimed one.
        trainings: the newest ones that made a version, the oldest first.
        checks: since before the oldest of them, the oldest first, without the one that is decided about.
        runs: those of the last month and later, in any order.
        new: rows that became known since the last training, and the days they are of; None when no rule asks.
        changed: parts of the recipe (configuration, features, code) in which the champion, and all that was trained
            since, differ from what a training would be made by now.
    """

    line: str
    last_training: datetime | None = None
    last_request: datetime | None = None
    open_request: RetrainRequest | None = None
    trainings: Sequence[Training] = ()
    checks: Sequence[Check] = ()
    runs: Sequence[Run] = ()
    new: tuple[int, int] | None = None
    changed: Sequence[str] = field(default=())

    @property
    def newest(self) -> datetime | None:
        """The last training or request, whichever is later."""
        return max((time for time in (self.last_training, self.last_request) if time is not None), default=None)


@dataclass(frozen=True)
class Answered:
    """An alarm that a training has answered: it does not ask again until it was quiet, or worsens, or ``until``."""

    reason: Reason
    training: Training
    until: datetime


def levels(report: DriftReport) -> dict[Reason, float]:
    """The alarms of a report and how loud they are: the share of drifted columns; the rise of the loss (nats); the
    largest move of the level or the confidence of the probabilities. NaN where the figures do not say."""
    return loudness({Reason.PERFORMANCE: report.performance_drift, Reason.DATA_DRIFT: report.data_drift,
                     Reason.PREDICTION_DRIFT: report.prediction_drift}, report.share, report.metrics)


def loudness(ringing: Mapping[Reason, bool], share: float | None, metrics: Mapping[str, Any]) -> dict[Reason, float]:
    """As :func:`levels`, from the columns of ``ai_trading.drift_reports``."""
    def figure(name: str) -> float:
        value = metrics.get(name)
        return math.nan if value is None else float(value)

    moved = [abs(figure(name.removesuffix("_reference")) - figure(name)) for name in metrics
             if name.startswith("prediction_") and name.endswith("_reference")]
    found = {Reason.PERFORMANCE: figure("loss_current") - figure("loss_reference"),
             Reason.DATA_DRIFT: math.nan if share is None else float(share),
             Reason.PREDICTION_DRIFT: max((move for move in moved if math.isfinite(move)), default=math.nan)}
    return {reason: found[reason] for reason, on in ringing.items() if on}


def was_quiet(checks: Sequence[Check], start: datetime, rest: timedelta, reason: Reason | None = None) -> bool:
    """Whether, after ``start``, checks of some champion went without this alarm (or any) for at least ``rest``.

    Silence counts from ``start`` or the last ringing check to a check that is quiet: no check, no evidence of quiet.
    """
    since = start
    for check in checks:
        if check.as_of <= start or check.champion is None:
            continue
        if (reason in check.levels) if reason is not None else check.levels:
            since = check.as_of
        elif check.as_of - since >= rest:
            return True
    return False


def too_early(state: PolicyState, rules: Retrain, training: Training) -> bool:
    """Whether the alarms that a training was asked for had rung for less than ``ripe_days`` by then.

    What it learned, and the days it was judged on, were then still of the world before: that it was refused says
    little, and must not put the next one off.
    """
    seen = [check for check in state.checks if check.as_of <= training.as_of]
    asked = SIGNS & set(training.triggers)
    if not seen or (training.triggers and not asked):
        return False
    rest, champion = timedelta(days=rules.quiet_days), seen[-1].champion
    began: datetime | None = None
    for check in reversed(seen):
        if check.champion != champion or (began is not None and began - check.as_of > rest):
            break
        if asked & set(check.levels) if asked else check.levels:
            began = check.as_of
    return began is not None and training.as_of - began < timedelta(days=rules.ripe_days)


def answered(state: PolicyState, rules: Retrain, now: Check, reason: Reason) -> Answered | None:
    """The training that has answered this alarm of ``now``, if it still holds.

    A training answers the alarms that rang when it was asked for, about the champion of that time: after a promotion
    the same alarm is about another model. One that was refused because it came too early answers nothing.
    """
    again, quiet = timedelta(days=rules.again_days), timedelta(days=rules.quiet_days)
    for training in reversed(state.trainings):
        if not timedelta() < now.as_of - training.as_of < again:
            continue
        before = next((check for check in reversed(state.checks)
                       if timedelta() <= training.as_of - check.as_of < quiet), None)
        loud = before.levels.get(reason, math.nan) if before is not None else math.nan
        rang = reason in training.triggers or (before is not None and reason in before.levels)
        if not rang:
            continue
        level = now.levels[reason]
        released = (training.better or (training.better is False and too_early(state, rules, training))
                    or (before is not None and before.champion != now.champion)
                    or was_quiet([*state.checks, now], training.as_of, quiet, reason)
                    or (level > loud and level >= rules.worse * loud))
        return None if released else Answered(reason, training, training.as_of + again)
    return None


def not_better(state: PolicyState, rules: Retrain, as_of: datetime) -> int:
    """How many trainings in a row have brought nothing better, since the last promotion or quiet spell.

    Those count that an alarm asked for, and not too early: that a healthy champion stays in spite of a schedule is as
    it should be, and no reason to be slow when it falls ill.
    """
    count, quiet = 0, timedelta(days=rules.quiet_days)
    for training in reversed(state.trainings):
        if training.as_of > as_of or training.better is None:
            continue
        if training.better or was_quiet([check for check in state.checks if check.as_of <= as_of], training.as_of,
                                        quiet):
            break
        by_alarm = not training.triggers or bool(SIGNS & set(training.triggers))
        count += by_alarm and not too_early(state, rules, training)
    return count


def cooldown(rules: Retrain, in_vain: int) -> timedelta:
    """The rest after a training or request: doubled with each training in vain, up to the limit."""
    limit = max(rules.cooldown_days, rules.cooldown_limit_days)
    return timedelta(days=min(rules.cooldown_days * 2.0 ** min(in_vain, 30), limit))


def spent(state: PolicyState, as_of: datetime) -> list[Run]:
    """The runs of the month before ``as_of``, the oldest first."""
    return sorted((run for run in state.runs if as_of - MONTH < run.as_of <= as_of), key=lambda run: run.as_of)


def budget_frees(state: PolicyState, rules: Retrain, as_of: datetime) -> tuple[datetime, str] | None:
    """When an exceeded budget frees again, and which it is; None while there is room."""
    runs = spent(state, as_of)
    found: list[tuple[datetime, str]] = []
    if len(runs) >= rules.budget_runs:
        found.append((runs[len(runs) - rules.budget_runs].as_of + MONTH,
                      f"{len(runs)} of {rules.budget_runs} runs in {MONTH.days} days"))
    if rules.budget_cpu_hours is not None:
        total, rest = sum(run.cpu_seconds for run in runs) / 3600, list(runs)
        while rest and sum(run.cpu_seconds for run in rest) / 3600 >= rules.budget_cpu_hours:
            frees = rest.pop(0).as_of + MONTH
        if len(rest) < len(runs):
            found.append((frees, f"{total:.2f} of {rules.budget_cpu_hours:g} CPU hours in {MONTH.days} days"))
    return max(found, default=None)
