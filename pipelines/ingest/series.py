"""Series checks: what no single row can show. Pure functions over the clean rows of a window and what came before.

A finding refuses nothing: a flat market, a crash and an outage look alike from here, so it is a person or a report that
draws the conclusion. Rows that are wrong by themselves are refused by the row checks. One check is one function and one
line in ``CHECKS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.ingest.checks import interval_length

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Severity = Literal["note", "warning"]

#: Returns before a bar that its size is measured against (one week of hourly bars), and the fewest that will do.
TRAILING, FEWEST = 168, 24
#: Robust standard deviations from the median. Hourly returns of coins have tails far beyond the 3.5 of the literature.
SPIKE = 12.0
#: A spike returns at once: what is left after the next bar, as a share of it.
LEFT = 0.25
#: Fewest equal bars that make a flat stretch.
FLAT = 3
#: Chance, per series and window, that an honest series shows a run of equal values as long as one that is reported.
STUCK_CHANCE = 1e-4
#: Rows that a delay is judged by.
DELAYED = 12
#: Columns whose values name a series of a kind.
NAMES: dict[Kind, tuple[str, ...]] = {
    Kind.BARS: ("symbol", "interval"), Kind.INDICATORS: ("name",), Kind.DOCUMENTS: ("source",),
    Kind.TRADES: ("source",), Kind.LABELS: ("source",)}


@dataclass(frozen=True)
class Finding:
    """Something odd about a series in ``[start, end)`` of its ``event_time`` (UTC); ``count`` rows are concerned."""

    check: str
    kind: Kind
    series: str
    start: datetime
    end: datetime
    count: int
    severity: Severity
    sentence: str


@dataclass(frozen=True)
class Series:
    """One series: the versions in force at the end of the window, by ``event_time``.

    Attributes:
        rows: first 0 to ``old`` rows from before the window, then those that became available in it; in one order.
        new: which of them came in the window, shape (rows,).
        step: distance of two bars; None for what has no grid.
        fetched: wall-clock time (UTC) of the fetch; None when it is not known any more.
    """

    kind: Kind
    name: str
    rows: pd.DataFrame
    new: Flags
    step: pd.Timedelta | None
    fetched: datetime | None = None

    def floats(self, column: str) -> Floats:
        return np.asarray(self.rows[column].to_numpy(dtype=np.float64))

    def finding(self, check: str, positions: NDArray[np.int64] | slice, severity: Severity, sentence: str) -> Finding:
        """One about these rows."""
        times = self.rows["event_time"].iloc[positions]
        end = times.iloc[-1] + (self.step or pd.Timedelta(microseconds=1))
        return Finding(check, self.kind, self.name, times.iloc[0].to_pydatetime(), end.to_pydatetime(), len(times),
                       severity, sentence)


def split(kind: Kind, clean: pd.DataFrame, known: pd.DataFrame | None = None, *,
          fetched: datetime | None = None) -> Iterator[Series]:
    """The series of a frame, in name order.

    Args:
        clean: rows of the window (contract columns), any order; of several versions of a fact the last counts.
        known: rows from before the window, for comparison.
    """
    key = [*NAMES[kind], "event_time"]
    clean = clean.assign(new=True)
    frame = clean if known is None or known.empty else pd.concat([known.assign(new=False)[clean.columns], clean])
    if kind in (Kind.DOCUMENTS, Kind.TRADES, Kind.LABELS):
        latest = frame.sort_values("event_time", kind="stable")
    else:
        latest = frame.sort_values([*key, "available_at"], kind="stable").drop_duplicates(key, keep="last")
    for names, rows in latest.groupby(list(NAMES[kind]), sort=True):
        new = rows["new"].to_numpy(dtype=bool)
        if new.any():
            step = interval_length(str(names[1])) if kind is Kind.BARS else None
            yield Series(kind, " ".join(map(str, names)), rows.drop(columns="new").reset_index(drop=True), new, step,
                         fetched)


def flat(series: Series) -> list[Finding]:
    """Fillers: ``FLAT`` or more bars in a row with one price and no volume, or with all five figures as before."""
    if series.kind is not Kind.BARS:
        return []
    return [series.finding("flat", part, "warning", sentence)
            for empty, sentence in ((True, "{n} bars in a row have one price and no volume: fillers, or nobody traded"),
                                    (False, "{n} bars in a row repeat all five figures: the feed repeats itself"))
            for part in _runs(_fillers(series, empty), FLAT) if series.new[part].any()
            for sentence in [sentence.format(n=part.stop - part.start)]]


def _fillers(series: Series, empty: bool) -> Flags:
    """Which bars are fillers: without volume, or (``empty`` False) repeating the figures of a neighbour."""
    figures = np.stack([series.floats(name) for name in ("open", "high", "low", "close", "volume")])
    without = (figures[1] == figures[2]) & (figures[4] == 0)
    if empty:
        return np.asarray(without)
    same = (np.diff(figures, axis=1) == 0).all(axis=0)
    return np.asarray((np.append(same, False) | np.insert(same, 0, False)) & ~without)


def spikes(series: Series) -> list[Finding]:
    """A close that jumps and comes back with the next bar: a bad print, for a real move stays.

    With log returns r, the trailing median m and s = 1.4826 MAD of the ``TRAILING`` returns before bar t (s = 1.2533
    times the mean absolute deviation where the MAD is 0), bar t is a spike if |r_t - m| > ``SPIKE`` s and
    |r_t + r_(t+1)| < ``LEFT`` |r_t|: the modified z-score of Iglewicz and Hoaglin (How to Detect and Handle Outliers,
    1993, section 3) on a one-sided Hampel window, with the return to the old level as the second condition.
    """
    if series.kind is not Kind.BARS or len(series.rows) < FEWEST + 2:
        return []
    close = series.floats("close")
    returns = np.diff(np.log(close))
    centre, scale = trailing(returns, int(np.argmax(series.new)) - 2)
    back = np.append(np.abs(returns[:-1] + returns[1:]) < LEFT * np.abs(returns[:-1]), False)
    size = np.abs(returns - centre)
    # Either of the two bars may be what the window brought.
    return [series.finding("spike", slice(at + 1, at + 2), "warning", (
                f"close {close[at + 1]:g} stands between {close[at]:g} and {close[at + 2]:g}: "
                f"{size[at] / scale[at]:.0f} robust deviations, and back with the next bar"))
            for at in np.flatnonzero((size > SPIKE * scale) & (scale > 0) & back)
            if series.new[at + 1] or series.new[at + 2]]


def trailing(returns: Floats, first: int = 0) -> tuple[Floats, Floats]:
    """Median and robust scale of the up to ``TRAILING`` values before each, from position ``first`` on; NaN and 0
    before it and while there are fewer than ``FEWEST``."""
    centre, scale = np.full(len(returns), np.nan), np.zeros(len(returns))
    padded = np.concatenate([np.full(TRAILING, np.nan), returns])
    for at in range(max(FEWEST, first), len(returns), 4096):
        part = np.lib.stride_tricks.sliding_window_view(padded[:-1], TRAILING)[at:at + 4096]
        middle = np.nanmedian(part, axis=1)
        away = np.abs(part - middle[:, None])
        mad = 1.4826 * np.nanmedian(away, axis=1)
        centre[at:at + 4096] = middle
        scale[at:at + 4096] = np.where(mad > 0, mad, 1.2533 * np.nanmean(away, axis=1))
    return centre, scale


def stuck(series: Series) -> list[Finding]:
    """A value that stays the same for longer than this series ever does by chance.

    With p the share of unchanged steps outside the longest run, (unchanged + 1) / (steps + 2), a run of L unchanged
    steps is reported when n p^L < ``STUCK_CHANCE`` over n steps (a union bound over where the run begins; steps taken
    as independent). Fillers are reported as such, not here.
    """
    column = {Kind.BARS: "close", Kind.INDICATORS: "value"}.get(series.kind)
    if column is None or len(series.rows) < FEWEST:
        return []
    same = np.diff(series.floats(column)) == 0
    if series.kind is Kind.BARS:
        same &= ~(_fillers(series, True) | _fillers(series, False))[1:]
    runs = _runs(same, 2)
    if not runs:
        return []
    longest = max(part.stop - part.start for part in runs)
    unchanged, steps = int(same.sum()) - longest, len(same) - longest
    chance = (unchanged + 1) / (steps + 2)
    return [series.finding("stuck", slice(part.start, part.stop + 1), "warning",
                           f"{column} stays at {series.floats(column)[part.start]:g} for {part.stop - part.start + 1} "
                           f"rows; it usually changes in {1 - chance:.0%} of its steps")
            for part in runs if series.new[part.start:part.stop + 1].any()
            and len(same) * chance ** (part.stop - part.start) < STUCK_CHANCE]


def skew(series: Series) -> list[Finding]:
    """Rows that become available later or earlier after their event than they used to, and events of the future.

    The delay is ``available_at`` less ``event_time`` (for a bar: less its close); its median over the window is set
    against the median before, and reported when they differ by more than half a bar, or an hour where there is no grid.
    """
    found = []
    times = series.rows["event_time"]
    if series.fetched is not None and (ahead := series.new & (times > pd.Timestamp(series.fetched)).to_numpy()).any():
        found.append(series.finding(
            "clock", np.flatnonzero(ahead), "warning",
            f"dated after the fetch at {series.fetched:%Y-%m-%d %H:%M} UTC: a clock or a zone is wrong"))
    delay = (series.rows["available_at"] - times - (series.step or pd.Timedelta(0))) / pd.Timedelta(hours=1)
    now, before = delay[series.new], delay[~series.new]
    if min(len(now), len(before)) >= DELAYED and series.kind is not Kind.TRADES:
        change = float(now.median() - before.median())
        if abs(change) > (series.step or pd.Timedelta(hours=2)) / pd.Timedelta(hours=2):
            zone = "; a whole number of hours: a zone?" if abs(change - round(change)) < 0.01 else ""
            found.append(series.finding(
                "clock", np.flatnonzero(series.new), "warning",
                f"rows come {now.median():.2f} h after their event, {before.median():.2f} h before this window{zone}"))
    return found


def _runs(flags: Flags, fewest: int) -> list[slice]:
    """Maximal stretches of True that are at least this long."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [slice(int(a), int(b)) for a, b in edges.reshape(-1, 2) if b - a >= fewest]


#: Name → check. Gaps have a file of their own (``gaps.py``), for they are refetched and written down.
CHECKS: dict[str, Callable[[Series], list[Finding]]] = {
    "flat": flat,
    "spike": spikes,
    "stuck": stuck,
    "clock": skew,
}


def check_series(kind: Kind, clean: pd.DataFrame, known: pd.DataFrame | None = None, *,
                 fetched: datetime | None = None) -> list[Finding]:
    """Every finding about the series of a window, in the order of series, check and time."""
    return [finding for series in split(kind, clean, known, fetched=fetched) for check in CHECKS.values()
            for finding in check(series)]


def delivery(kind: Kind, raw: pd.DataFrame, collapsed: int, window: Window) -> list[Finding]:
    """How a batch was delivered, before anything was sorted: doubled rows, and rows out of order.

    A row is out of order if one of its series with a later ``event_time`` stood before it, and one that was known
    later: a late row or a revision, which say so by their ``available_at``, are not.
    """
    found = []
    what: Mapping[str, Any] = {"kind": kind, "series": "all", "start": window.start, "end": window.end}
    if collapsed:
        found.append(Finding(check="duplicates", count=collapsed, severity="note", **what, sentence=(
            f"delivered before with the same values: {collapsed} rows, which count once")))
    names = [name for name in NAMES[kind] if name in raw]
    times = raw[["event_time", "available_at"]]
    if names and all(isinstance(dtype, pd.DatetimeTZDtype) for dtype in times.dtypes):
        # Numbers for names: a broken text can hold what no string type of pandas can.
        places: dict[tuple[str, ...], int] = {}
        series = [places.setdefault(tuple(map(str, name)), len(places))
                  for name in zip(*(raw[name] for name in names), strict=True)]
        ordered = times.assign(series=series).dropna()
        groups = ordered.groupby("series")
        behind = ordered["event_time"] < groups["event_time"].cummax()
        wrong = int((behind & (ordered["available_at"] < groups["available_at"].cummax())).sum())
        if wrong:
            found.append(Finding(check="order", count=wrong, severity="note", **what, sentence=(
                f"behind later rows of their series: {wrong} rows, which are sorted before they are stored")))
    return found
