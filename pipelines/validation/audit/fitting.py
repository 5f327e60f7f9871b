"""(c) Fold hygiene, by behaviour: whatever is fitted for a fold does not notice the rows outside of it.

Scalers, encoders, selectors, calibrators, ensemble weights and base rates are not looked for in the code. The fold is
fitted once on the frame as it is, and again with the values and labels outside its training rows replaced; what the
two say of the same fixed rows has to be equal, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.sentiment.hours import Ints
from pipelines.validation.audit.cutting import bisect
from pipelines.validation.audit.report import CheckResult, Looked, conclude, skipped
from pipelines.validation.audit.subject import Fitter, Subject
from pipelines.validation.splits import Fold

NAME = "fitting"
#: What may travel with the rows besides features.
_OUTCOMES = ("y", "forward_return")
#: How outside values are replaced: by noise far off (a scaler sees it), and by the label, loud (a selector does).
_STYLES = ("noise", "label")
#: So many rows are tried one by one to find the first that is noticed: more than are purged before most folds.
_ALONE = 24


def check(subject: Subject) -> CheckResult:
    """Disturb all outside rows of the first and the last folds; if that is noticed, find the columns and since when."""
    frame = subject.frame
    if frame is None or not subject.labelled or not subject.fitters or not subject.folds:
        return skipped(NAME, "no fold or nothing that is fitted")
    columns = [name for name in (*subject.features, *_OUTCOMES) if name in frame.columns and frame[name].notna().any()]
    found: dict[str, tuple[pd.Timestamp | None, str]] = {}
    looked = Looked(0, len(columns), 0)
    count = subject.limits.folds
    chosen = [*subject.folds[:count - count // 2], *subject.folds[len(subject.folds) - count // 2:]]
    for name, fitter in subject.fitters.items():
        for fold in {id(item): item for item in chosen}.values():
            trial = _Trial(subject, frame, fold, fitter, name)
            if len(trial.outside):
                for column, at in trial.noticed(columns).items():
                    told = (f"{name}: what was fitted for the fold from {fold.test_start} changes with {column} of "
                            f"rows outside its training rows, the first at {at}; fit everything inside the fold")
                    if column not in found or at < (found[column][0] or at):
                        found[column] = at, told
            looked += Looked(trial.fits, 0, len(trial.probe))
    return conclude(NAME, found, looked)


class _Trial:
    """One fitter on one fold."""

    def __init__(self, subject: Subject, frame: pd.DataFrame, fold: Fold, fitter: Fitter, name: str) -> None:
        self._frame, self._fold, self._fitter = frame, fold, fitter
        reaches = frame["event_time"] >= fold.test_start
        if "label_end" in frame.columns:
            reaches |= frame["label_end"] >= fold.train_end
        inside = np.zeros(len(frame), dtype=bool)
        inside[fold.train] = True
        self.outside = np.flatnonzero(reaches.to_numpy() & ~inside)
        self._times = frame["event_time"].iloc[self.outside].drop_duplicates().sort_values().array
        self._rng = subject.rng(NAME, f"{name}/{fold.test_start}")
        places = np.concatenate([_some(self._rng, part, subject.limits.probes) for part in (fold.test, fold.train)])
        self.probe = frame.iloc[np.unique(places)].reset_index(drop=True)
        self._noise = self._rng.standard_normal(len(frame))
        self.fits = 0
        self._before = self._ask(frame)

    def noticed(self, columns: Sequence[str]) -> dict[str, pd.Timestamp]:
        """Column → ``event_time`` of the first outside row whose disturbance is noticed."""
        if not any(self._notices(columns, style) for style in _STYLES):
            return {}
        found = {}
        for column in columns:
            style = next((style for style in _STYLES if self._notices([column], style)), None)
            if style is not None:
                found[column] = self._since(column, style)
        # A choice between features may turn only when many change at once.
        return found or {"*": pd.Timestamp(self._times[0])}

    def _since(self, column: str, style: str) -> pd.Timestamp:
        """The first outside row that is noticed alone; if none of the first few is, by bisection the time up to which
        the disturbance has to go."""
        times = self._frame["event_time"]
        order = self.outside[np.argsort(times.iloc[self.outside].to_numpy(), kind="stable")]
        for row in order[:_ALONE]:
            if self._notices([column], style, np.array([row])):
                return pd.Timestamp(times.iloc[row])

        def offends(place: int) -> bool:
            return self._notices([column], style, order[(times.iloc[order] <= self._times[place]).to_numpy()])

        return pd.Timestamp(self._times[bisect(offends, len(self._times) - 1)])

    def _notices(self, columns: Sequence[str], style: str, rows: Ints | None = None) -> bool:
        """Does the fit change when these columns are replaced in ``rows`` (all outside rows if left out)?"""
        other = self._frame.copy()
        for column in columns:
            other[column] = self._replaced(column, style, self.outside if rows is None else rows)
        after = self._ask(other)
        before = self._before
        return before.shape != after.shape or not np.array_equal(before.view(np.int64), after.view(np.int64))

    def _replaced(self, column: str, style: str, rows: Ints) -> FloatArray:
        values: FloatArray = self._frame[column].to_numpy(dtype=np.float64).copy()
        if column == "y":
            values[rows] = 1 - values[rows] if style == "noise" else (self._noise[rows] > 0).astype(np.float64)
            return values
        spread = float(np.nanstd(values)) or 1.0
        if style == "noise":
            values[rows] = float(np.nanmean(values)) + spread * (3 + 10 * self._noise[rows])
        else:
            values[rows] = spread * 20 * (self._frame["y"].to_numpy(dtype=np.float64)[rows] - 0.5)
        return values

    def _ask(self, frame: pd.DataFrame) -> FloatArray:
        self.fits += 1
        return np.ascontiguousarray(self._fitter(frame, self._fold, self.probe), dtype=np.float64)


def _some(rng: np.random.Generator, rows: Ints, count: int) -> Ints:
    return np.asarray(rng.choice(rows, min(count, len(rows)), replace=False)) if len(rows) else rows
