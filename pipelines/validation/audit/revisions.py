"""(e) Late revisions: a row keeps what was known at its time; a correction that comes later does not reach it.

Random cuts seldom fall between a row and a correction of it, so here the cuts are laid just before the corrections."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.validation.audit.cutting import scan
from pipelines.validation.audit.report import CheckResult, Looked, conclude, skipped
from pipelines.validation.audit.subject import US, Subject

NAME = "revisions"


def check(subject: Subject) -> CheckResult:
    """Cut just before revisions and late facts: the first ones, and a random choice of the others."""
    found: dict[str, tuple[pd.Timestamp | None, str]] = {}
    looked, late = Looked(), 0
    for build in subject.builds:
        news = build.news[1:] if len(build.news) and build.news[0] == build.moments[0] else build.news
        late += len(news)
        count, rng = subject.limits.cuts, subject.rng(NAME, build.name)
        if len(news) > count:
            rest = rng.choice(np.arange(count // 4, len(news)), count - count // 4, replace=False)
            news = news[np.sort(np.concatenate([np.arange(count // 4), rest]))]
        first, seen = scan(subject, build, [at - US for at in news])
        looked += seen
        for column, at in sorted(first.items()):
            found[column] = at, (f"{build.name}: the value of {at} is another one before a later revision or late fact "
                                 "arrives; read the version known at the row's time")
    if not late:
        return skipped(NAME, "no revision and no late fact to cut before")
    return conclude(NAME, found, looked)
