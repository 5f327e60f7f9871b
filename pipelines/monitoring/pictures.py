"""Pictures of a check for whoever looks at the run: reference against current, each from plain data to one PNG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.records import ColumnDrift, DriftReport
from pipelines.monitoring import words
from pipelines.monitoring.live import Lived
from pipelines.monitoring.promise import Promise
from pipelines.training.plots import COLOURS, DPI, LABELS, picture

REFERENCE, CURRENT, LIMIT = "#8a8a8a", COLOURS["candidate"], "#b3402a"
#: Columns that get a picture of their own; bars in the overview.
COLUMNS, BARS = 5, 20
_BINS = 40


def draw(directory: Path, report: DriftReport, reference: pd.DataFrame, current: pd.DataFrame, promised: Promise,
         lived: Lived, units: Mapping[str, str]) -> list[Path]:
    """All pictures of a check below ``directory``; what there is nothing to draw of is left out.

    Args:
        reference, current: training rows and the rows of the window, with ``event_time``.
        units: of the columns, where known.
    """
    made = []
    if report.columns:
        made.append(overview(directory / "columns.png", words.worst(report, BARS), span(current)))
    if lived.hours["loss"].notna().any():
        made.append(losses(directory / "losses.png", report, promised, lived))
    if len(lived.recent) and len(promised.edges):
        made.append(probabilities(directory / "probabilities.png", report, promised, lived))
    for place, found in enumerate(words.worst(report, COLUMNS), start=1):
        made.append(column(directory / f"column_{place}_{found.column}.png", found, reference, current,
                           units.get(found.column, "")))
    return made


def overview(path: Path, columns: Sequence[ColumnDrift], when: str) -> Path:
    """How far the columns are, in units of their own limits."""
    shown = list(columns)[::-1]

    def paint(axes: Any) -> None:
        far = [words.excess(found) for found in shown]
        axes.barh([found.column for found in shown], far,
                  color=[LIMIT if found.drifted else CURRENT for found in shown])
        axes.axvline(1, color="black", lw=0.8, ls=":")
        axes.set_xlabel("distance to the training reference, as a multiple of the column's own limit (dotted: 1)")
    size = 7.2, max(3.4, 1.2 + 0.24 * len(shown))
    return picture(path, f"How far the columns have moved, {when}", paint, size, LABELS)


def column(path: Path, found: ColumnDrift, reference: pd.DataFrame, current: pd.DataFrame, unit: str) -> Path:
    """One column: its distribution then and now, and its daily medians with the middle 80 %."""
    from matplotlib.figure import Figure

    then, now = (frame[found.column].to_numpy(dtype=np.float64) for frame in (reference, current))
    figure = Figure(figsize=(9.0, 3.6))
    figure.subplots_adjust(left=0.07, right=0.985, bottom=0.2, top=0.76, wspace=0.16)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.35))
    sides = ((then, REFERENCE, "reference", reference), (now, CURRENT, "current", current))
    known = [values[np.isfinite(values)] for values, *_ in sides]
    both = np.concatenate(known)
    if len(both):
        low, high = np.quantile(both, [0.002, 0.998])
        edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
        for values, (every, colour, name, frame) in zip(known, sides, strict=True):
            if len(values):
                lost = f", {1 - len(values) / len(every):.0%} missing" if len(values) < len(every) else ""
                left.hist(np.clip(values, edges[0], edges[-1]), bins=edges,
                          weights=np.full(len(values), 1 / len(values)), histtype="stepfilled", alpha=0.5, color=colour,
                          label=f"{name}: n = {len(values):,}{lost}")
            _daily(right, frame["event_time"], every, colour)
        left.legend(fontsize=7)
    left.set_ylabel("share of rows", fontsize=8)
    left.set_xlabel(f"{found.column}{f' [{unit}]' if unit else ''}", fontsize=8)
    right.set_xlabel("day (UTC): median and middle 80 %", fontsize=8)
    right.set_title(f"reference {span(reference)}, current {span(current)}", fontsize=8)
    for axes in (left, right):
        axes.tick_params(labelsize=7)
    right.tick_params(axis="x", labelrotation=15)
    moved = "" if found.effect is None else f"mean {found.effect:+.2f} sd"
    scaled = "" if found.spread is None else f", sd x {found.spread:.2f}"
    begun = f", since {found.since[:10]}" if found.since else ""
    figure.suptitle(f"{found.column}: {'DRIFTED' if found.drifted else 'within its limit'}\n{found.method} distance "
                    f"{found.score:.3g}, limit {found.threshold:.3g}{'; ' if moved else ''}{moved}{scaled}{begun}"
                    f"{'; compared in differences' if found.differenced else ''}", fontsize=10)
    figure.savefig(path, dpi=DPI)
    return path


def losses(path: Path, report: DriftReport, promised: Promise, lived: Lived) -> Path:
    """Daily log loss: out of sample before the champion took over, then live."""
    def paint(axes: Any) -> None:
        hours = lived.hours[lived.hours["loss"].notna()]
        came = pd.Series(hours["loss"].to_numpy(), index=pd.DatetimeIndex(hours["event_time"]))
        for values, colour, name in ((promised.losses, REFERENCE, "out of sample, before"), (came, CURRENT, "live")):
            daily = values.groupby(pd.DatetimeIndex(values.index).floor("D")).mean()
            axes.plot(daily.index, daily, "o-", ms=3, lw=1.1, color=colour, label=f"{name}: {len(values):,} hours")
        axes.axhline(float(promised.losses.mean()), color="black", lw=0.8, ls=":", label="promised")
        begin = words.since(report, "performance")
        if report.performance_drift and begin is not None:
            axes.axvline(begin, color=LIMIT, lw=1, label=f"change, about {begin:%Y-%m-%d}")
        axes.set(ylabel="mean log loss (nats)", xlabel="day of the prediction (UTC)")
        axes.legend(fontsize=7)
        axes.tick_params(axis="x", labelrotation=15)
    told = words.strength(report, "performance")
    share = "too little to test" if math.isnan(told) else f"evidence of a rise {told:.0%} of the alarm's limit"
    return picture(path, f"Losses of champion v{report.champion_version}: {share}", paint, (7.4, 4.0), 0.1)


def probabilities(path: Path, report: DriftReport, promised: Promise, lived: Lived) -> Path:
    """What the champion says now, in bins that held equally many of its out-of-sample probabilities."""
    def paint(axes: Any) -> None:
        p = lived.recent["probability"].to_numpy(dtype=np.float64)
        edges = np.concatenate([[min(promised.edges[0], p.min()) - 1e-6], promised.edges,
                                [max(promised.edges[-1], p.max()) + 1e-6]])
        now = np.histogram(p, edges)[0] / len(p)
        axes.stairs(promised.shares / np.diff(edges), edges, fill=True, alpha=0.5, color=REFERENCE,
                    label="out of sample, before")
        axes.stairs(now / np.diff(edges), edges, fill=True, alpha=0.5, color=CURRENT,
                    label=f"live, last days: n = {len(p):,}")
        axes.set(xlabel="P(y = 1)", ylabel="density")
        axes.legend(fontsize=7)
    told = words.strength(report, "prediction")
    share = "too little to test" if math.isnan(told) else f"evidence of a change {told:.0%} of its limit"
    return picture(path, f"What the champion says, {span(lived.recent)}: {share}", paint, (7.4, 4.0), 0.1)


def span(frame: pd.DataFrame) -> str:
    """Dates (UTC) of a frame's ``event_time``."""
    if frame.empty:
        return "no rows"
    times = frame["event_time"]
    return f"{times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}"


def _daily(axes: Any, times: pd.Series, values: Any, colour: str) -> None:
    known = pd.Series(values, index=pd.DatetimeIndex(times).floor("D")).dropna()
    if known.empty:
        return
    days = known.groupby(level=0)
    middle, low, high = (days.quantile(share) for share in (0.5, 0.1, 0.9))
    axes.fill_between(middle.index, low, high, color=colour, alpha=0.25, lw=0)
    axes.plot(middle.index, middle, "o-", ms=2.5, lw=1, color=colour)
