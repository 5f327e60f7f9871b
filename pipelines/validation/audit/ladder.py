"""(d) The shift ladder: how much does a feature tell when it is taken some bars later?

A(k) is the AUC of the feature of bar t + k against the label of bar t. From k = 1 on a price feature has seen the
outcome, so A may jump *there*: that is the top of the ladder and says nothing. At k <= 0 it is only staler or fresher
by a bar: an edge fades over the bars, and however fast it does, one bar's freshness is worth no more than the edge
itself. A feature that leaks n bars carries the jump down with it: it stands at k = 1 - n <= 0. Hence the statistic is
the largest step |A(k)| - |A(k - 1)| for k = -rungs + 1, ..., 0. A finding needs it to be real (its interval,
Bonferroni over columns and steps, lies above zero) and incredible (two standard errors beyond ``limits.step``). |A| is
the distance from one half.

The ladder sees what a ceiling on the AUC does not: a leak in a persistent target, where honest features are very good
at every rung; and leaks that are too early by several bars (a zone), which do not show at k = 0.
What it cannot see: a leak of a few bars in a label of many, whose steps are small. Prefix invariance is for those.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.validation.audit.auc import Ints, blocks, critical, placements, standard_error
from pipelines.validation.audit.report import CheckResult, Looked, conclude, skipped
from pipelines.validation.audit.subject import BAR, Subject

NAME = "ladder"
_FEWEST = 200
#: Standard errors by which a step has to exceed the limit.
_BEYOND = 2.0


def check(subject: Subject) -> CheckResult:
    """Every feature on the rungs from ``-limits.rungs`` to 0; errors are those of the difference of two AUCs, from
    blocks of time."""
    frame = subject.frame
    if frame is None or not subject.labelled:
        return skipped(NAME, "no labelled rows")
    rungs = range(-subject.limits.rungs, 1)
    places = np.stack([_moved(frame, rung) for rung in rungs])
    whole = (places >= 0).all(axis=0)
    if whole.sum() < _FEWEST:
        return skipped(NAME, f"fewer than {_FEWEST} rows have a bar at every rung")
    labels = frame["y"].to_numpy(dtype=np.float64)
    block = blocks(frame["event_time"], subject.horizon * BAR)
    tests = len(subject.features) * (len(rungs) - 1)
    found: dict[str, tuple[pd.Timestamp | None, str]] = {}
    for column in subject.features:
        values = frame[column].to_numpy(dtype=np.float64)
        told = _step(values, labels, places[:, whole], np.flatnonzero(whole), block, subject, tests)
        if told is None:
            continue
        rung, areas = told
        top = _top(frame, values, labels, subject.horizon)
        profile = ", ".join(f"{area:.3f}" for area in areas)
        found[column] = frame.loc[~np.isnan(values), "event_time"].min(), (
            f"{column} steps up to an AUC of {areas[rung]:.3f} within one bar, {len(areas) - 1 - rung} bar(s) before "
            f"its own time (AUC from {-subject.limits.rungs} bars to 0: {profile}; "
            f"{subject.horizon} later {top:.3f}); an honest feature gains no more than "
            f"{subject.limits.step:.2f} a bar: look for the outcome in it")
    return conclude(NAME, found, Looked(len(rungs), len(subject.features), int(whole.sum())))


def _step(values: FloatArray, labels: FloatArray, places: Ints, rows: Ints, block: Ints, subject: Subject,
          tests: int) -> tuple[int, list[float]] | None:
    """The first rung whose step up is beyond the limit, and all AUCs; None when there is none."""
    rungs = values[places]
    there = ~np.isnan(rungs).any(axis=0)
    if there.sum() < _FEWEST or np.ptp(rungs[:, there]) == 0:
        return None
    asked, cell = labels[rows][there], block[rows][there]
    scored = [placements(rung[there], asked) for rung in rungs]
    areas = [area for area, _ in scored]
    for rung in range(1, len(scored)):
        side = 1.0 if areas[rung] >= 0.5 else -1.0
        gain = side * (areas[rung] - 0.5) - abs(areas[rung - 1] - 0.5)
        if gain <= subject.limits.step:
            continue
        other = 1.0 if areas[rung - 1] >= 0.5 else -1.0
        error, freedom = standard_error(side * scored[rung][1] - other * scored[rung - 1][1], cell)
        sure = gain > critical(subject.limits.alpha, freedom, tests) * error
        if sure and gain - _BEYOND * error > subject.limits.step:
            return rung, areas
    return None


def _top(frame: pd.DataFrame, values: FloatArray, labels: FloatArray, horizon: int) -> float:
    """The AUC of the feature taken when the outcome is known: how good it looks by right."""
    place = _moved(frame, horizon)
    later = np.where(place >= 0, values[place], np.nan)
    there = ~np.isnan(later)
    return placements(later[there], labels[there])[0]


def _moved(frame: pd.DataFrame, bars: int) -> Ints:
    """Position of each row's symbol ``bars`` bars later; -1 where there is no such row."""
    rows = pd.MultiIndex.from_frame(frame[["symbol", "event_time"]])
    if not bars:
        return np.arange(len(frame), dtype=np.int64)
    wanted = pd.MultiIndex.from_arrays([frame["symbol"], frame["event_time"] + bars * BAR])
    return np.asarray(rows.get_indexer(wanted), dtype=np.int64)
