"""A line is watched: the product's detector and others over the same rows, check by check."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.calibration.drift import rivals
from pipelines.calibration.drift.outcome import OURS, PATIENCE, Outcome, seen
from pipelines.calibration.drift.track import Flags, Track
from pipelines.contracts.line import Drift
from pipelines.monitoring import compare, learn, learnt


def ours(track: Track, rules: Drift) -> Flags:
    """The alarm of each check, shape (checks,): ``monitoring.learn`` once and ``monitoring.compare`` a day, as
    ``monitoring.check`` does."""
    frame = track.frame()
    norm = learn(frame.iloc[track.reference], rules, memory=learnt.memory())
    alarm, streak = np.zeros(track.checks, dtype=bool), 0
    for check in range(track.checks):
        report = compare(norm, frame.iloc[track.window(check)], as_of=track.as_of(check), streak=streak)
        alarm[check], streak = report.data_drift, report.streak
    return alarm


def watch(track: Track, rules: Drift, others: Sequence[str] = rivals.RIVALS, patience: int = PATIENCE) -> Outcome:
    """What the product and ``others`` say of a line; an alarm is put down to a change for ``patience`` days."""
    found = {OURS: ours(track, rules)}
    if others:
        theirs = rivals.alarms(track)
        found |= {name: theirs[name] for name in others}
    return Outcome(track.checks if track.onset is None else track.onset,
                   {name: seen(alarm, track.onset, patience) for name, alarm in found.items()})
