"""The audit: every registered check on one subject."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import pandas as pd

from pipelines.contracts.line import Line
from pipelines.errors import ContractError
from pipelines.features import catalog
from pipelines.validation.audit import (
    availability,
    control,
    execution,
    fitting,
    ladder,
    prefix,
    purging,
    revisions,
    separation,
    sources,
)
from pipelines.validation.audit.report import AuditReport, CheckResult
from pipelines.validation.audit.subject import BAR, Build, Facts, Fitter, Limits, Subject, from_facts
from pipelines.validation.splits import Fold, Plan

Check = Callable[[Subject], CheckResult]
#: Name → check, in the order of the report. A new check is one file and one line here.
CHECKS: dict[str, Check] = {module.NAME: module.check for module in (
    sources,
    availability,
    prefix,
    revisions,
    execution,
    purging,
    fitting,
    separation,
    ladder,
    control,
)}
#: The most that a single honest feature can tell. Nobody calls a market's direction with an AUC of 0.80 from one number
#: (a simulated edge of 1 gives 0.66, one of 2 gives 0.78); volatility persists, and yesterday's says a lot about
#: whether today's is above its median. A lexicon may be nearly right about clear texts.
CEILING = {"direction": 0.80, "volatility": 0.90, "triple_barrier": 0.80, "meta_label": 0.80, "polarity": 0.999,
           "trade_win": 0.80}


def audit(subject: Subject, checks: Iterable[str] | None = None) -> AuditReport:
    """Run the checks (all of ``CHECKS``, or those named) on ``subject``. Same subject, same seed: same report.

    Raises:
        ContractError: an unknown check, or frames the audit cannot read.
    """
    names = list(CHECKS if checks is None else checks)
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        raise ContractError(f"no check called {', '.join(unknown)}; there are: {', '.join(CHECKS)}")
    return AuditReport(subject.name, subject.as_of, subject.seed, tuple(CHECKS[name](subject) for name in names))


def audit_function(function: Callable[[Facts], pd.DataFrame], facts: Facts, *, as_of: datetime, seed: int,
                   name: str = "features", known: str = "available_at", event: str = "event_time",
                   key: tuple[str, ...] = ("symbol", "event_time"), executed: tuple[str, ...] = (),
                   sources: Mapping[str, tuple[str, ...]] | None = None, opens: pd.Timedelta | None = None,
                   limits: Limits | None = None) -> AuditReport:
    """Audit any feature, aggregate or label function of frames.

    Args:
        function: frames of facts → rows with the columns ``key``, ``known`` and ``event``.
        facts: by kind, each with ``available_at`` (UTC), as far as known at ``as_of``; never changed.
        known: the column of the time from which on a row may not change (``label_end`` for labels).
        executed: columns earned by acting on the row, which is decided at ``event`` + one bar.
        sources: column → declared inputs.
        opens: a row may not be known before ``event`` plus this.
    """
    at = pd.Timestamp(as_of)
    seen = {kind: frame[frame["available_at"] <= at].reset_index(drop=True) if "available_at" in frame.columns
            else frame for kind, frame in facts.items()}
    build = from_facts(name, function, seen, known=known, event=event, key=key, executed=executed, opens=opens)
    return audit(Subject(name, at, seed, (build,), sources=sources or {}, limits=limits or Limits()))


def audit_frame(frame: pd.DataFrame, *, as_of: datetime, seed: int, name: str = "frame", horizon: int = 1,
                folds: Sequence[Fold] = (), fitters: Mapping[str, Fitter] | None = None,
                sources: Mapping[str, tuple[str, ...]] | None = None, limits: Limits | None = None) -> AuditReport:
    """Audit a training frame alone: its stamps, its columns, its folds and what is fitted on them.

    Args:
        frame: ``FEATURE_META``, features, ``LABEL_COLUMNS``; one row per (symbol, event_time).
        horizon: bars from a row's decision to its outcome.
    """
    return audit(Subject(name, pd.Timestamp(as_of), seed, frame=frame.reset_index(drop=True), folds=tuple(folds),
                         fitters=fitters or {}, sources=sources or {}, horizon=horizon, limits=limits or Limits()))


def audit_line(line: Line, *, builds: Sequence[Build], frame: pd.DataFrame, plan: Plan,
               fitters: Mapping[str, Fitter], as_of: datetime, seed: int,
               checks: Iterable[str] | None = None) -> AuditReport:
    """Audit a line: its features, labels and aggregates built again, its snapshot, its folds and its families.

    Args:
        builds: features, labels and aggregates, to be built again by the code that training uses.
        frame: the training snapshot.
        plan, fitters: as the training uses them.
        checks: only these of ``CHECKS``.
    """
    declared = {feature.name: feature.inputs for feature in catalog.features(catalog.of(line))}
    limits = Limits(ceiling=CEILING[line.target.kind])
    return audit(Subject(
        line.name, pd.Timestamp(as_of), seed, tuple(builds), frame.reset_index(drop=True),
        (*plan.search, *plan.evidence), plan.evidence_start, fitters, declared, line.target.horizon_bars,
        limits, BAR if line.on_bars else pd.Timedelta(0), line.target.least_bars), checks)
