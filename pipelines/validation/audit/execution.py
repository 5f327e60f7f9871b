"""Same-bar fills: what acting on a row earns may depend only on prices from after the decision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipelines.validation.audit.compare import differing
from pipelines.validation.audit.cutting import bisect
from pipelines.validation.audit.prefix import disturbed
from pipelines.validation.audit.report import CheckResult, Looked, conclude, skipped
from pipelines.validation.audit.subject import BAR, Build, Subject

NAME = "execution"
_TIMES = 6


def check(subject: Subject) -> CheckResult:
    """Disturb all facts known at a decision: the return of acting on it stays the same, bit for bit."""
    builds = [build for build in subject.builds if build.executed and build.function is not None]
    if not builds:
        return skipped(NAME, "no return of acting on a row is declared")
    found: dict[str, tuple[pd.Timestamp | None, str]] = {}
    looked = Looked()
    for build in builds:
        whole = subject.whole(build)
        times = np.sort(whole[build.event].unique())
        if not len(times):
            continue
        rng = subject.rng(NAME, build.name)
        places = sorted({0, *rng.choice(len(times), min(_TIMES, len(times)), replace=False).tolist()})
        for column in (name for name in build.executed if name in whole.columns):
            def offends(place: int, build: Build = build, column: str = column, times: Any = times) -> bool:
                return _depends(subject, build, pd.Timestamp(times[place]), column)

            bad = next((place for place in places if offends(place)), None)
            looked += Looked(len(places), 1, len(places))
            if bad is not None:
                at = pd.Timestamp(times[bisect(offends, bad)])
                found[column] = at, (
                    f"{build.name}: {column} of {at} is paid at a price that was known when the row was decided "
                    f"({at + BAR}); nobody trades at the price that made the decision: fill at the next bar's open")
    return conclude(NAME, found, looked)


def _depends(subject: Subject, build: Build, event: pd.Timestamp, column: str) -> bool:
    """Does ``column`` of the rows of ``event`` change with what was known at their decision?"""
    if build.function is None or build.facts is None:
        return False
    whole = subject.whole(build)
    other = build.function(disturbed(build.facts, event + BAR, subject.rng(NAME, "disturb"), after=False))
    one, two = (frame[frame[build.event] == event].sort_values(list(build.key), ignore_index=True)
                for frame in (whole, other))
    return len(one) == len(two) and bool(differing(one[column], two[column]).any())
