"""Has the world of the features moved? Pure: a norm and a frame in, a report out.

Fixed limits and p-values for independent rows alarm without end on market features, which are strongly
autocorrelated. Here limits come from the training reference (`learn`), from how far its own days wander, and from a
budget of false alarms a year. Five questions are asked, each with its part of the budget: has a column moved, have the
columns moved together in level, or in spread, and have the correlations moved, of one pair or of many?
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.line import Drift
from pipelines.contracts.records import ColumnDrift, DriftReport, UnusualRow
from pipelines.errors import ContractError
from pipelines.monitoring import measure
from pipelines.monitoring.distances import DISTANCES
from pipelines.monitoring.learn import WHOLE_DAY, daily_correlations, learn
from pipelines.monitoring.measure import Rows
from pipelines.monitoring.norm import ColumnNorm, Norm

Array = np.ndarray[Any, np.dtype[np.float64]]

MISSING = "missing"
#: Rows shown, and columns of each.
UNUSUAL_ROWS, UNUSUAL_COLUMNS = 5, 3


def detect(reference: pd.DataFrame, current: pd.DataFrame, policy: Drift, *, ignore: Collection[str] = (),
           line: str = "", as_of: datetime | None = None, champion_version: int | None = None,
           reference_digest: str | None = None, streak: int = 0,
           importance: Mapping[str, float] | None = None) -> DriftReport:
    """`learn` from ``reference``, then `compare` ``current`` with it. ``as_of`` defaults to the last event_time.

    Raises:
        ContractError, InsufficientData: see there.
    """
    norm = learn(reference, policy, ignore=ignore)
    if as_of is None:
        as_of = (current if len(current) else reference)["event_time"].max().to_pydatetime()
    return compare(norm, current, as_of=as_of, line=line, champion_version=champion_version,
                   reference_digest=reference_digest, streak=streak, importance=importance)


def compare(norm: Norm, current: pd.DataFrame, *, as_of: datetime, line: str = "",
            champion_version: int | None = None, reference_digest: str | None = None, streak: int = 0,
            importance: Mapping[str, float] | None = None, earlier: Mapping[str, str] | None = None) -> DriftReport:
    """Are the rows of the last days what the reference has led to expect? The fast part, once a check.

    Args:
        norm: from `learn`.
        current: the rows of the last ``window_days`` days, with the reference's columns.
        as_of: the time of the check (UTC).
        line, champion_version, reference_digest: passed on to the report.
        streak: how many checks of this norm directly before this one, in a row, were ``over``.
        importance: column to weight, of any scale, for ``impact``.
        earlier: column to ``since`` in the check before: a drift that goes on began before this window.

    Raises:
        ContractError: a column of the reference is missing in ``current``.
    """
    absent = [name for name in norm.names if name not in current]
    if absent:
        raise ContractError(f"current rows of {line or 'this line'} lack the columns {absent[:5]}; build them with the "
                            "line's present feature groups, or retrain so that the reference follows the line")
    report = DriftReport(
        line=line, as_of=as_of, columns=(), share=0.0, data_drift=False, prediction_drift=False,
        performance_drift=False, metrics={"columns": 0.0, "drifted": 0.0, "constant": 0.0},
        champion_version=champion_version, reference_digest=reference_digest, rows=len(current))
    if not len(current) or not norm.columns:
        return report
    window = _Window.of(norm, current)
    joint, pair = window.joint()
    figures = window.breadth() | joint
    together = figures["levels"] > norm.level_breadth or figures["spreads"] > norm.spread_breadth
    weights = importance or {}
    total = sum(max(weights.get(column.name, 0.0), 0.0) for column in norm.columns)
    columns = tuple(
        _known_before(window.column(at, loose=together), earlier or {},
                      max(weights.get(column.name, 0.0), 0.0) / total if total else None)
        for at, column in enumerate(norm.columns))
    drifted = [at for at, column in enumerate(columns) if column.drifted]
    correlated = figures["pair"] > 1 or figures["pairs"] > figures["pairs_limit"]
    over = bool(drifted) or together or correlated
    streak = streak + 1 if over else 0
    return replace(
        report, columns=columns, share=len(drifted) / len(columns), over=over, streak=streak,
        data_drift=streak >= norm.rules.persistence,
        metrics={"columns": float(len(columns)), "drifted": float(len(drifted)),
                 "constant": float(len(norm.names) - len(columns)),
                 "differenced": float(sum(column.differenced for column in columns)),
                 **{name: value for name, value in figures.items() if np.isfinite(value)}},
        since=min((columns[at].since or "9" for at in drifted), default=None),
        impact=sum(columns[at].importance or 0.0 for at in drifted) if total else None,
        unusual=window.unusual(drifted), pair=pair if correlated else None)


def _known_before(column: ColumnDrift, earlier: Mapping[str, str], importance: float | None) -> ColumnDrift:
    since = column.since
    if since is not None and column.column in earlier:
        since = min(since, earlier[column.column])
    return replace(column, since=since, importance=importance)


@dataclass(frozen=True)
class _Window:
    """Current rows in the reference's terms; rows sorted by symbol and time.

    Attributes:
        known, scaled, scores: shape (rows, columns); 0 where missing.
        level, spread: of each day, shape (days, columns); NaN where nothing is known.
        weight: rows with a value, shape (days, columns).
        length: days that count, at least 1, at most the window's.
        level_z, spread_z: studentised differences from the reference, shape (columns,).
    """

    norm: Norm
    current: pd.DataFrame
    rows: Rows
    known: np.ndarray[Any, np.dtype[np.bool_]]
    scaled: Array
    scores: Array
    level: Array
    spread: Array
    weight: Array
    length: int
    level_z: Array
    spread_z: Array
    lost: Array

    @classmethod
    def of(cls, norm: Norm, current: pd.DataFrame) -> _Window:
        rows = Rows.of(current, norm.step)
        count = np.bincount(rows.day, minlength=rows.days)
        length = int(np.clip((count >= WHOLE_DAY * np.median(count[count > 0])).sum(), 1, norm.rules.window_days))
        raw = np.column_stack([current[column.name].to_numpy(dtype=np.float64) for column in norm.columns])
        lost = 1.0 - np.isfinite(raw).mean(axis=0)
        values = np.column_stack([rows.values(raw[:, at], column.differenced)
                                  for at, column in enumerate(norm.columns)])
        known = np.isfinite(values)
        mean, std = (np.array([getattr(column.ruler, part) for column in norm.columns]) for part in ("mean", "std"))
        scaled = np.where(known, (np.where(known, values, mean) - mean) / std, 0.0)
        scores = np.column_stack([column.ruler.score(scaled[:, at]) for at, column in enumerate(norm.columns)])
        scores = np.where(known, scores, 0.0)
        weight = rows.per_day(known.astype(np.float64))
        level = np.divide(rows.per_day(scores), weight, out=np.full(weight.shape, np.nan), where=weight > 0)
        spread = measure.spread(rows.within(scaled, known), np.array([column.usual_spread for column in norm.columns]))
        at = length - 1
        level_error, spread_error = (np.sqrt(np.array([getattr(column, part)[at] for column in norm.columns]))
                                     for part in ("level", "spread"))
        spread_gap = _mean(spread, weight) - np.array([column.spread_mean for column in norm.columns])
        # The mean of a window that is wilder than the reference is less certain than the reference's days say.
        wilder = 1 / np.maximum(1 - np.nan_to_num(spread_gap), 0.1)
        return cls(norm, current, rows, known, scaled, scores, level, spread, weight, length,
                   _studentised(_mean(level, weight), level_error * np.maximum(wilder, 1.0)),
                   _studentised(spread_gap, spread_error), lost)

    def breadth(self) -> dict[str, float]:
        """Mean squared studentised differences over the columns, with their limits."""
        told = {"levels_limit": self.norm.level_breadth, "spreads_limit": self.norm.spread_breadth}
        for name, z, part in (("levels", self.level_z, "level"), ("spreads", self.spread_z, "spread")):
            watched = [at for at, column in enumerate(self.norm.columns) if getattr(column, part)[-1] > 0]
            told[name] = float((z[watched] ** 2).mean()) if watched else 0.0
        return told

    def joint(self) -> tuple[dict[str, float], tuple[str, str] | None]:
        """``pair``: the largest studentised difference of a correlation over its limit; ``pairs``: the mean square;
        and which pair it is."""
        joint = self.norm.joint
        if joint is None:
            return {"pair": 0.0, "pairs": 0.0, "pairs_limit": float("inf")}, None
        daily = daily_correlations(self.scores, self.rows, joint.pairs)
        gap = np.average(daily, axis=0, weights=np.bincount(self.rows.day, minlength=self.rows.days)) - joint.mean
        z = _studentised(gap, np.sqrt(joint.variance[self.length - 1]))
        ratio = np.abs(z) / joint.single
        one, other = (self.norm.columns[at].name for at in joint.pairs[int(ratio.argmax())])
        return {"pair": float(ratio.max()), "pairs": float((z ** 2).mean()), "pairs_limit": joint.many}, (one, other)

    def column(self, at: int, *, loose: bool) -> ColumnDrift:
        """One column; ``loose``: the columns together have moved, and the question is which."""
        norm, known = self.norm.columns[at], self.known[:, at]
        if self.lost[at] > norm.lost_limit or not known.any():
            return ColumnDrift(norm.name, MISSING, float(self.lost[at]), norm.lost_limit, True,
                               since=self._day(int(np.argmax(_missing_days(self.rows, known) > norm.lost_limit))))
        score, threshold = self._score(norm, at, loose)
        drifted = score > threshold
        scaled = self.scaled[known, at]
        level_ratio, spread_ratio = abs(self.level_z[at]) / norm.level_limit, abs(self.spread_z[at]) / norm.spread_limit
        daily = (self.level[:, at], 0.0) if level_ratio >= spread_ratio else (self.spread[:, at], norm.spread_mean)
        return ColumnDrift(
            norm.name, norm.distance.bins.method if norm.distance else "moments", score, threshold, drifted,
            effect=float(scaled.mean()), spread=float(scaled.std()), differenced=norm.differenced,
            smallest=float(norm.level_limit * np.sqrt(norm.level[self.length - 1])),
            since=self._day(_departure(daily[0] - daily[1])) if drifted else None)

    def _score(self, norm: ColumnNorm, at: int, loose: bool) -> tuple[float, float]:
        if (pinned := norm.distance) is not None:
            values = self.scaled[self.known[:, at], at] * norm.ruler.std + norm.ruler.mean
            score = float(pinned.bins.distance(pinned.bins.counts(values), pinned.counts)) + pinned.bins.beyond(values)
            longer = (norm.level[self.length - 1] / norm.level[-1]) ** (1 / DISTANCES[pinned.bins.method].power)
            return score, float((pinned.loose if loose else pinned.limit) * longer)
        found = [(abs(float(self.level_z[at])), norm.level_limit), (abs(float(self.spread_z[at])), norm.spread_limit)]
        if loose:
            found = [(score, min(norm.loose, limit)) for score, limit in found]
        return max(found, key=lambda pair: pair[0] / pair[1])

    def unusual(self, drifted: list[int]) -> tuple[UnusualRow, ...]:
        """The rows with the largest mean squared scores in the drifted columns."""
        if not drifted:
            return ()
        scores = self.scores[:, drifted]
        worst = np.argsort(-(scores ** 2).sum(axis=1), kind="stable")[:UNUSUAL_ROWS]
        told = []
        for row in worst:
            place = int(self.rows.order[row])
            top = np.argsort(-np.abs(scores[row]), kind="stable")[:UNUSUAL_COLUMNS]
            told.append(UnusualRow(
                self.current["event_time"].iloc[place].isoformat(),
                str(self.current["symbol"].iloc[place]) if "symbol" in self.current else "",
                {self.norm.columns[drifted[at]].name: round(float(self.scaled[row, drifted[at]]), 3) for at in top}))
        return tuple(told)

    def _day(self, number: int) -> str:
        first = self.current["available_at" if "available_at" in self.current else "event_time"].min()
        return str((first + timedelta(days=number)).date().isoformat())


def _mean(daily: Array, weight: Array) -> Array:
    """Mean over days by weight, shape (columns,); NaN days do not count."""
    weight = np.where(np.isfinite(daily), weight, 0.0)
    total = weight.sum(axis=0)
    return np.asarray(np.divide((np.nan_to_num(daily) * weight).sum(axis=0), total,
                                out=np.full(total.shape, np.nan), where=total > 0))


def _studentised(gap: Array, error: Array) -> Array:
    return np.asarray(np.divide(np.nan_to_num(gap), error, out=np.zeros_like(error), where=error > 0))


def _missing_days(rows: Rows, known: np.ndarray[Any, np.dtype[np.bool_]]) -> Array:
    return np.bincount(rows.day, weights=~known, minlength=rows.days) / np.maximum(np.bincount(rows.day), 1)


def _departure(gap: Array) -> int:
    """The day from which on the gaps (days,) are best told from 0 by a single mean: the least-squares change point
    with a known first level (Hinkley 1970)."""
    known = np.nan_to_num(gap)
    after = np.cumsum(known[::-1])[::-1]
    return int(np.argmax(after ** 2 / np.arange(known.size, 0, -1)))
