"""(b) Availability: stamps that can be true, and no row that used a fact from after its own time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.contracts.columns import Kind
from pipelines.validation.audit.compare import changed
from pipelines.validation.audit.report import CheckResult, Looked, conclude, skipped
from pipelines.validation.audit.subject import BAR, US, Build, Facts, Subject, rows_of

NAME = "availability"
_DROPPED = 12
Found = dict[str, tuple[pd.Timestamp | None, str]]


def check(subject: Subject) -> CheckResult:
    """Stamps of facts, of built rows and of the training frame; then facts left out one by one."""
    if not subject.builds and subject.frame is None:
        return skipped(NAME, "no row and no fact to look at")
    found: Found = {}
    looked = Looked()
    for build in subject.builds:
        whole = subject.whole(build)
        if build.facts is not None:
            looked += _facts(build.facts, found)
        if build.opens is not None:
            _first(found, build.known, whole, whole[build.known] < whole[build.event] + build.opens, build.event,
                   f"{build.name}: the row of {{}} says it was known before its own bar had closed; stamp it with the "
                   "close")
        looked += Looked(0, 1, len(whole)) + _drop(subject, build, found)
    if subject.frame is not None:
        looked += _frame(subject, subject.frame, found)
    return conclude(NAME, found, looked)


def _facts(facts: Facts, found: Found) -> Looked:
    rows = 0
    for kind, frame in facts.items():
        if "event_time" not in frame.columns:
            continue
        rows += len(frame)
        happened = frame["event_time"]
        if kind == Kind.BARS:
            lasts = pd.to_timedelta(frame["interval"], errors="coerce") if "interval" in frame.columns else BAR
            happened = happened + lasts
        _first(found, f"{kind}.available_at", frame, frame["available_at"] < happened, "event_time",
               f"the {kind} row of {{}} says it was known before it had happened; a wrong zone or the opening for the "
               "close: correct available_at at the source")
    return Looked(0, len(facts), rows)


def _frame(subject: Subject, frame: pd.DataFrame, found: Found) -> Looked:
    if "available_at" in frame.columns:
        _first(found, "available_at", frame, frame["available_at"] < frame["event_time"] + subject.bar, "event_time",
               "the row of {} is decided before its own bar has closed; stamp it with the close")
    if "label_end" in frame.columns:
        least = subject.horizon if subject.least is None else subject.least
        closes = frame["event_time"] + subject.bar * (1 + least)
        _first(found, "label_end", frame, frame["label_end"] < closes, "event_time",
               f"the label of {{}} is said to be known before the bar {least} after it has closed, so the "
               "purge keeps rows that it has to drop; use the time its last bar was there")
        if "available_at" in frame.columns:
            _first(found, "label_end", frame, frame["label_end"] <= frame["available_at"], "event_time",
                   "the row of {} is decided when its outcome is known already; drop it")
    return Looked(0, 2, len(frame))


def _drop(subject: Subject, build: Build, found: Found) -> Looked:
    """Leave out single facts (late ones first): no row known before such a fact came may notice."""
    if build.function is None or build.facts is None:
        return Looked()
    rng, looked = subject.rng(NAME, build.name), Looked()
    for kind, frame in build.facts.items():
        late = np.flatnonzero(frame["available_at"].isin(build.news).to_numpy())
        pool = late if len(late) >= _DROPPED else np.arange(len(frame))
        for place in rng.choice(pool, min(_DROPPED // len(build.facts) + 1, len(pool)), replace=False):
            came = frame["available_at"].iloc[place]
            less = {**build.facts, kind: frame.drop(index=frame.index[place]).reset_index(drop=True)}
            differing, rows = changed(build, subject.whole(build), rows_of(build, build.function(less)), came - US)
            looked += Looked(1, 0, rows)
            for column, at in sorted(differing.items()):
                if column not in found or (found[column][0] or at) > at:
                    found[column] = at, (f"{build.name}: the value of {at} uses a row of {kind} that became available "
                                         f"at {came}; join on available_at, not on the date")
    return looked


def _first(found: Found, column: str, frame: pd.DataFrame, wrong: pd.Series, event: str, sentence: str) -> None:
    if wrong.any() and column not in found:
        at = frame.loc[wrong, event].min()
        found[column] = at, f"{sentence.format(at)} ({int(wrong.sum())} rows)"
