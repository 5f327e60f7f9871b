"""(a) Prefix invariance: whatever the future brings, the rows before it stay as they were, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipelines.validation.audit.compare import changed
from pipelines.validation.audit.cutting import random_cuts, scan
from pipelines.validation.audit.report import CheckResult, Looked, conclude, skipped
from pipelines.validation.audit.subject import Facts, Subject, rows_of

NAME = "prefix"
_POISONED = 3


def check(subject: Subject) -> CheckResult:
    """Cut the future at random times, and, where the facts are at hand, replace it by another one."""
    if not subject.builds:
        return skipped(NAME, "nothing to build again")
    found: dict[str, tuple[pd.Timestamp | None, str]] = {}
    looked = Looked()
    for build in subject.builds:
        rng = subject.rng(NAME, build.name)
        cuts = random_cuts(build, subject.limits.cuts, rng)
        first, seen = scan(subject, build, cuts)
        looked += seen
        for column, at in sorted(first.items()):
            found[column] = at, (f"{build.name}: the value of {at} changes when the facts after the row's own "
                                 f"{build.known} are cut off; compute it from what was known then")
        if build.function is not None and build.facts is not None and cuts:
            for cut in cuts[::max(len(cuts) // _POISONED, 1)][:_POISONED]:
                other = rows_of(build, build.function(disturbed(build.facts, cut, rng)))
                differing, rows = changed(build, subject.whole(build), other, cut)
                looked += Looked(1, 0, rows)
                for column, at in sorted(differing.items()):
                    found.setdefault(column, (at, (
                        f"{build.name}: the value of {at} changes when the facts after {cut} are other ones; compute "
                        "it from what was known then")))
    return conclude(NAME, found, looked)


def disturbed(facts: Facts, cut: pd.Timestamp, rng: np.random.Generator, *, after: bool = True) -> Mapping[
        str, pd.DataFrame]:
    """The facts with every float of the rows known after ``cut`` (or up to it) scaled, one factor a row, so that a bar
    stays a bar."""
    result = {}
    for kind, frame in facts.items():
        frame = frame.copy()
        chosen = (frame["available_at"] > cut).to_numpy() == after
        floats = list(frame.select_dtypes("float").columns)
        factor = np.exp(0.5 * rng.standard_normal(len(frame)))[:, None]
        if floats:
            frame[floats] = np.where(chosen[:, None], frame[floats].to_numpy() * factor, frame[floats].to_numpy())
        result[kind] = frame
    return result
