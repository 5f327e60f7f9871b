"""What the columns of a training reference do anyway, and the limits that follow. Done once a champion."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS
from pipelines.contracts.line import Drift
from pipelines.errors import InsufficientData
from pipelines.monitoring import limits, measure, wander
from pipelines.monitoring.distances import DISTANCES, Bins
from pipelines.monitoring.limits import Together
from pipelines.monitoring.measure import Rows, Ruler
from pipelines.monitoring.norm import ColumnNorm, Distance, Joint, Norm
from pipelines.monitoring.windows import slide

Index = np.ndarray[Any, np.dtype[np.int64]]
Array = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

#: A level that rests on fewer independent days, or on less than a quarter of a short reference's, is watched in
#: differences.
LEAST_INDEPENDENT, LEAST_SHARE = 8.0, 0.25
#: Days with fewer rows than this share of the usual number do not count.
WHOLE_DAY = 0.5
#: Missing values up to this share are never an alarm by themselves.
MISSING_FLOOR = 0.05
#: Parts of the budget: columns one by one, their levels together, their spreads together, pairs one by one, together.
#: Least for the spreads, which persist and are shared most of all in markets.
SINGLE, LEVELS, SPREADS, PAIR, PAIRS = 0.5, 0.15, 0.05, 0.15, 0.15
#: No mean of a window is taken for more certain than this, in standard deviations of the column, shares of its spread,
#: or correlation: a column has to move by about a tenth to be an alarm by itself.
LEAST_ERROR = 0.02
#: Level at which a column is named when the columns together are over.
LOOSE = 0.01
#: Pairs of columns looked at; of more, evenly spaced ones.
MAX_PAIRS = 2000
#: Scores are cut off here before they are multiplied.
PRODUCT_CAP = 3.0
#: As many independent squares with mean 1 are added to those that the reference's own windows show.
PRIOR_SQUARES = 50.0
#: Mean absolute value of a standard normal: Wasserstein's distance to twice its scale; and 1 / the largest scale.
MEAN_ABSOLUTE, WILDEST = 0.798, 0.1
#: Windows drawn from the null of a distance.
DRAWS = 500


def learn(reference: pd.DataFrame, rules: Drift, *, ignore: Collection[str] = (),
          memory: Mapping[str, float] | None = None) -> Norm:
    """Everything that `compare` needs to know.

    Args:
        reference: training rows, at least twice ``rules.window_days`` long; ``event_time`` (UTC), ``symbol`` where
            there are several, and numeric columns.
        rules: the line's ``[drift]`` table.
        ignore: columns not to look at, such as the calendar, which a window always covers unevenly.
        memory: column to the days that it looks back on. An event stays in it as long, so that where this is more than
            a window, the reference holds no more independent days of the column than stretches of that length.

    Raises:
        InsufficientData: the reference is too short to slide windows over it.
    """
    names = tuple(name for name in columns_of(reference) if name not in set(ignore))
    rows = Rows.of(reference)
    if rows.days < 2 * rules.window_days:
        raise InsufficientData(
            f"the reference spans {rows.days} days; sliding windows of {rules.window_days} days over it needs at least "
            f"{2 * rules.window_days}; shorten drift.window_days or lengthen walk_forward")
    count = np.bincount(rows.day, minlength=rows.days).astype(np.float64)
    whole = count >= WHOLE_DAY * np.median(count[count > 0])
    found = [seen for name in names if (seen := _see(name, reference, rows, whole, rules)) is not None]
    if not found:
        return Norm(rules, names, rows.days, rows.step, (), np.inf, np.inf, None)
    back = np.array([(memory or {}).get(seen.name, 0.0) for seen in found])
    stretches = np.where(back > rules.window_days, np.maximum(rows.days / np.maximum(back, 1.0), 1.0), np.inf)
    return _judged(found, rows, whole, names, rules, stretches)


def columns_of(frame: pd.DataFrame) -> tuple[str, ...]:
    """The columns of a snapshot that are compared: numeric, neither keys, labels nor baselines."""
    skipped = {*FEATURE_META, *LABEL_COLUMNS}
    return tuple(name for name in frame.columns
                 if name not in skipped and not name.startswith("base_") and pd.api.types.is_numeric_dtype(frame[name]))


@dataclass(frozen=True)
class _Seen:
    """One column of the reference: daily series of shape (days,), NaN where a day does not count."""

    name: str
    ruler: Ruler
    differenced: bool
    scores: np.ndarray[Any, np.dtype[np.float32]]
    values: Array
    level: Array
    spread: Array
    usual_spread: float
    lost: Array


def _see(name: str, reference: pd.DataFrame, rows: Rows, whole: Flags, rules: Drift,
         differenced: bool = False) -> _Seen | None:
    """None for a constant column."""
    values = rows.values(reference[name].to_numpy(dtype=np.float64), differenced)
    known = np.isfinite(values)
    ruler = Ruler.of(values[known])
    if ruler is None:
        return None
    scaled = np.where(known, ruler.scaled(np.where(known, values, ruler.mean)), 0.0)
    scores = np.where(known, ruler.score(scaled), 0.0)
    counts, total = (rows.per_day(part[:, None])[:, 0] for part in (known.astype(np.float64), scores))
    level = np.where(whole & (counts > 0), total / np.maximum(counts, 1), np.nan)
    if not differenced:
        _, phi, _ = wander.persistence(level[:, None])
        least = min(LEAST_INDEPENDENT, LEAST_SHARE * rows.days)
        if float(limits.independent_days(int(whole.sum()), phi)[0]) < least:
            # A constant step from row to row leaves nothing but the level.
            changed = _see(name, reference, rows, whole, rules, differenced=True)
            if changed is not None:
                return changed
    within = rows.within(scaled[:, None], known[:, None])[:, 0]
    usual = float(np.nanmedian(within)) if np.isfinite(within).any() else 0.0
    spread = np.where(whole, measure.spread(within[:, None], np.array([usual]))[:, 0], np.nan)
    everything = np.bincount(rows.day, minlength=rows.days)
    missing = rows.values(reference[name].to_numpy(dtype=np.float64), False)
    absent = np.bincount(rows.day, weights=~np.isfinite(missing), minlength=rows.days) / np.maximum(everything, 1)
    return _Seen(name, ruler, differenced, scores.astype(np.float32), values, level, spread, usual,
                 np.where(whole, absent, np.nan))


def _judged(found: list[_Seen], rows: Rows, whole: Flags, names: tuple[str, ...], rules: Drift,
            stretches: Array) -> Norm:
    window, check = rules.window_days, rules.false_alarms_per_year / limits.CHECKS_PER_YEAR
    level, spread, lost = (np.column_stack([getattr(seen, part) for seen in found])
                           for part in ("level", "spread", "lost"))
    differenced = np.array([seen.differenced for seen in found])
    level_variance, level_degrees = _variance(level, window, [differenced, ~differenced], stretches)
    spread_variance, spread_degrees = _variance(spread, window, [np.ones(len(found), dtype=bool)], stretches)
    lost_variance = wander.variance_of_means(lost, window)[-1]
    tests = np.array([2 if rules.method_of(seen.name) == "moments" else 1 for seen in found])
    alone = SINGLE * check / len(found)
    level_limit, spread_limit = (limits.student(alone / tests, degrees)
                                 for degrees in (level_degrees, spread_degrees))
    lost_limit = np.maximum.reduce([
        np.full(len(found), MISSING_FLOOR), np.nanmean(lost, axis=0) + level_limit * np.sqrt(lost_variance),
        slide(np.nan_to_num(lost), window).max(axis=0) / window])
    columns = tuple(
        ColumnNorm(
            name=seen.name, ruler=seen.ruler, differenced=seen.differenced, usual_spread=seen.usual_spread,
            spread_mean=float(np.nanmean(seen.spread)) if spread_variance[-1, at] > 0 else 0.0,
            level=level_variance[:, at], spread=spread_variance[:, at], level_limit=float(level_limit[at]),
            spread_limit=float(spread_limit[at]),
            loose=float(limits.student(LOOSE, min(level_degrees[at], spread_degrees[at]))),
            lost=float(np.nanmean(seen.lost)), lost_limit=float(lost_limit[at]),
            distance=_distance(seen, rows, whole, alone, float(level_degrees[at]),
                               float(spread_limit[at] * np.sqrt(spread_variance[-1, at])), rules))
        for at, seen in enumerate(found))
    return Norm(
        rules, names, rows.days, rows.step, columns,
        _breadth(level, level_variance, level_degrees, LEVELS * check, window),
        _breadth(spread, spread_variance, spread_degrees, SPREADS * check, window),
        _joint(found, rows, whole, check, window, stretches))


def _variance(daily: Array, window: int, groups: list[np.ndarray[Any, Any]],
              stretches: Array) -> tuple[Array, Array]:
    """`wander.variance_of_means`, moderated among the columns of each group; and its degrees of freedom, at most
    ``stretches`` (columns,): other columns say nothing of events that this one has not had yet."""
    variance = wander.variance_of_means(daily, window)
    degrees = limits.independent_days(len(daily), wander.persistence(daily)[1])
    for group in groups:
        usable = group & (variance[-1] > 0)
        if usable.sum() >= 3:
            share = _together(daily[:, usable], window).shared / usable.sum()
            better, degrees[usable] = limits.moderated(variance[-1, usable], degrees[usable],
                                                       limits.MOST_PRIOR * share)
            variance[:, usable] *= better / variance[-1, usable]
    return np.where(variance > 0, np.maximum(variance, LEAST_ERROR ** 2), 0.0), np.minimum(degrees, stretches)


def _together(daily: Array, window: int) -> Together:
    """Of days or of windows, whichever says more: what persists is shared more than the noise of single days."""
    windows = slide(np.nan_to_num(daily - np.nanmean(daily, axis=0)), window)
    found = Together.of(daily), Together.of(windows, len(daily) / window)
    return Together(min(one.shared for one in found), max(one.largest for one in found))


def _breadth(daily: Array, variance: Array, degrees: Array, alpha: float, window: int) -> float:
    """Limit of the mean square of studentised differences over the columns of ``daily`` (days, columns).

    Each variance is taken large on purpose, so that the mean square is below 1 by itself: by how much, the reference's
    own windows say, the better the more independent squares they hold."""
    watched = variance[-1] > 0
    if not watched.any():
        return float("inf")
    kept = daily[:, watched]
    together = _together(kept, window)
    squares, seen = together.shared * len(daily) / window, wander.slid(kept, window) / variance[-1, watched]
    usual = (squares * float(seen.mean()) + PRIOR_SQUARES) / (squares + PRIOR_SQUARES)
    return min(usual, 1.0) * limits.mean_square(alpha, together, float(np.median(degrees[watched])))


def _distance(seen: _Seen, rows: Rows, whole: Flags, alpha: float, degrees: float, wilder: float,
              rules: Drift) -> Distance | None:
    """The column's pinned distance with its limits: windows are drawn from a Gaussian process with the principal
    components of the reference's daily shares, each of which wanders as it has been seen to.

    Volatility has wilder weeks than such a process. So Wasserstein's limit is at least what a window makes whose
    transformed spread is ``wilder`` by, the most that the column's limit of spread allows."""
    method = rules.method_of(seen.name)
    if method == "moments":
        return None
    known = np.isfinite(seen.values)
    bins = Bins.of(seen.values[known], method)
    if bins is None:
        return None
    size = bins.upper.size
    daily = np.bincount(rows.day[known] * size + bins.index(seen.values[known]).astype(np.int64),
                        minlength=rows.days * size).reshape(rows.days, size).astype(np.float64)
    counts, kept = daily.sum(axis=0), daily[whole & (daily.sum(axis=1) > 0)]
    usual = counts / counts.sum()
    left, size_of, right = np.linalg.svd(kept / kept.sum(axis=1, keepdims=True) - usual, full_matrices=False)
    variance = wander.variance_of_means(left * size_of, rules.window_days)[-1]
    drawn = usual + (np.random.default_rng(0).standard_normal((DRAWS, variance.size)) * np.sqrt(variance)) @ right
    way = DISTANCES[method]
    distances = bins.distance(drawn if way.cumulative else np.maximum(drawn, 0.0), counts)
    limit, loose = (limits.distance_limit(distances, way.power, level, degrees) for level in (alpha, LOOSE))
    if method == "wasserstein":
        limit = max(limit, MEAN_ABSOLUTE * (1 / max(1 - wilder, WILDEST) - 1))
    return Distance(bins, counts, limit, min(loose, limit))


def _joint(found: list[_Seen], rows: Rows, whole: Flags, check: float, window: int,
           stretches: Array) -> Joint | None:
    if len(found) < 2:
        return None
    pairs = np.column_stack(np.triu_indices(len(found), 1))
    if len(pairs) > MAX_PAIRS:
        pairs = pairs[np.linspace(0, len(pairs) - 1, MAX_PAIRS).round().astype(np.int64)]
    daily = daily_correlations(np.column_stack([seen.scores for seen in found]), rows, pairs)
    daily[~whole] = np.nan
    variance, degrees = _variance(daily, window, [np.ones(len(pairs), dtype=bool)],
                                  stretches[pairs].min(axis=1))
    return Joint(pairs, np.nanmean(daily, axis=0), variance, limits.student(PAIR * check / len(pairs), degrees),
                 _breadth(daily, variance, degrees, PAIRS * check, window))


def daily_correlations(scores: np.ndarray[Any, Any], rows: Rows, pairs: Index) -> Array:
    """Correlations of pairs of columns within each day and symbol: shape (days, pairs), 0 where a column stands still.

    Within days, for the same reason as the spread, and as correlations, so that neither level nor spread moves them.

    Args:
        scores: shape (rows, columns), 0 where missing.
    """
    clipped = np.clip(scores, -PRODUCT_CAP, PRODUCT_CAP)
    count = np.maximum(np.bincount(rows.cell, minlength=rows.cells), 1)
    means = np.column_stack([np.bincount(rows.cell, weights=column, minlength=rows.cells) for column in clipped.T])
    order = np.argsort(rows.day, kind="stable")
    centred = (clipped - (means / count[:, None])[rows.cell])[order]
    ends = np.concatenate([[0], np.cumsum(np.bincount(rows.day, minlength=rows.days))])
    daily = np.zeros((rows.days, len(pairs)))
    for day in np.flatnonzero(np.diff(ends) > 1):
        part = centred[ends[day]:ends[day + 1]]
        gram = part.T @ part
        size = np.sqrt(np.maximum(np.diag(gram), 1e-9 * len(part)))
        daily[day] = (gram / np.outer(size, size))[pairs[:, 0], pairs[:, 1]]
    return daily
