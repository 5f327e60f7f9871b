"""What a champion promised: the series of its evidence that its live days are held against. Pure.

Learnt once, from out-of-sample predictions only. A week of evidence is a poor reference for a loss, so the search folds
are added to it: not the losses of the chosen trial there, which were chosen for being low, but in each fold those of
the trial that the other folds would have chosen. Probabilities come from search and evidence folds, the base rate from
all that it was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from pipelines.monitoring import blocks, estimate, performance
from pipelines.monitoring.sequential import Side
from pipelines.validation import metrics

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Series → on which side a change counts. A loss that falls is no alarm, nor a distribution that fits better.
SIDES: Mapping[str, Side] = {"loss": "up", "level": "both", "confidence": "both", "shape": "up", "rate": "both"}
#: The questions of each kind of drift; they share its budget.
KINDS: Mapping[str, tuple[str, ...]] = {
    "performance": ("loss",), "prediction": ("level", "confidence", "shape"), "label": ("rate",)}
#: Bins of the probabilities, with equally many of the reference in each.
BINS = 32
#: Added before a logarithm is taken.
_NEAREST = 1e-4


@dataclass(frozen=True)
class Series:
    """One series of the reference: ``blocks`` (n,) block means, the ``correlation`` of neighbours, and the ``mean``
    over all timestamps."""

    blocks: Array
    correlation: float
    mean: float


@dataclass(frozen=True)
class Promise:
    """Attributes:
        series: by the names of `SIDES`; those that nothing is known of are missing.
        edges: (at most BINS - 1,) ascending bounds of the bins of P(y = 1).
        shares: (bins,) share of the reference's probabilities in each bin.
        losses: mean log loss in nats per ``event_time`` of the folds that no choice has seen.
        realised, expected: what these folds scored, and what their probabilities had expected (`estimate.NAMES`).
    """

    series: Mapping[str, Series]
    edges: Array
    shares: Array
    losses: pd.Series
    realised: Mapping[str, float]
    expected: Mapping[str, float]


def learn(evidence: pd.DataFrame, searched: pd.DataFrame | None, labels: pd.DataFrame, *, length: timedelta,
          bar: timedelta) -> Promise:
    """Everything that live days are compared with.

    Args:
        evidence: ``event_time``, ``y`` and ``candidate`` of the evidence folds.
        searched: the same of the search folds, with ``fold`` and every ``trial_<number>``; None where nothing is kept.
        labels: ``event_time`` and ``y`` of the training rows.
        length: of a block; bar: usual distance of timestamps.
    """
    columns = ["event_time", "y", "candidate"]
    said = evidence[columns] if searched is None else pd.concat([searched[columns], evidence[columns]])
    honest = evidence[columns] if searched is None else pd.concat([unchosen(searched)[columns], evidence[columns]])
    losses = performance.mean_log_loss(honest, "candidate")
    p = said["candidate"].to_numpy(dtype=np.float64)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, BINS + 1)[1:-1])) if len(p) else np.empty(0)
    times = pd.DatetimeIndex(said["event_time"])
    by_time = {"loss": losses, "level": _mean(said["candidate"], times),
               "confidence": _mean((said["candidate"] - 0.5).abs(), times),
               "rate": _mean(labels["y"], pd.DatetimeIndex(labels["event_time"]))}
    series = {name: _series(name, values, length, bar) for name, values in by_time.items() if len(values)}
    if len(p):
        least = max(series["level"].correlation, series["confidence"].correlation)
        series["shape"] = _shape(edges, p, times, length, bar, least)
    y, chances = (honest[name].to_numpy(dtype=np.float64) for name in ("y", "candidate"))
    return Promise(series, edges, binned(edges, p) / max(len(p), 1), losses, estimate.realised(y, chances),
                   estimate.expected(chances))


def unchosen(searched: pd.DataFrame) -> pd.DataFrame:
    """The search folds with, as ``candidate``, what the trial said that is best on all *other* folds: the record of
    choosing like this, which no choice has flattered. Empty with fewer than two folds or without trials."""
    trials = [name for name in searched.columns if name.startswith("trial_")]
    if not trials or searched["fold"].nunique() < 2:
        return searched.iloc[:0]
    losses = pd.DataFrame({name: metrics.losses(searched["y"], searched[name]) for name in trials})
    places = searched["fold"].to_numpy()
    parts = []
    for fold in np.unique(places):
        best = losses[places != fold].mean().idxmin()
        parts.append(searched[places == fold].assign(candidate=searched.loc[places == fold, best]))
    return pd.concat(parts)


def binned(edges: Array, p: Array) -> Array:
    """How many of ``p`` (rows,) lie in each bin; a value on an edge belongs to the bin above, as in PostgreSQL's
    ``width_bucket``."""
    return np.bincount(np.searchsorted(edges, p, side="right"), minlength=len(edges) + 1).astype(np.float64)


def distance(counts: Array, shares: Array) -> Array:
    """Logarithm of the mean distance between the distribution of ``counts`` (…, bins) and the reference's, on the
    reference's own scale from 0 to 1 (Wasserstein's distance of probability integral transforms)."""
    there = np.cumsum(counts, axis=-1) / np.maximum(counts.sum(axis=-1, keepdims=True), 1.0)
    gap = np.abs(there - np.cumsum(shares, axis=-1))[..., :-1]
    return np.asarray(np.log(gap.mean(axis=-1) + _NEAREST)) if gap.shape[-1] else np.zeros(gap.shape[:-1])


def _mean(values: pd.Series, times: pd.DatetimeIndex) -> pd.Series:
    return pd.Series(values.to_numpy(dtype=np.float64), index=times).groupby(level=0).mean().sort_index()


def scaled(name: str, made: Array) -> Array:
    """Block means on the scale on which they are nearest to normal: a mean distance from one half is skewed."""
    return np.log(made + _NEAREST) if name == "confidence" else made


def _series(name: str, values: pd.Series, length: timedelta, bar: timedelta) -> Series:
    start, end = values.index[0].to_pydatetime(), values.index[-1].to_pydatetime() + bar
    chosen = blocks.whole(pd.DatetimeIndex(values.index), start, length, end, bar)
    made = scaled(name, blocks.means(values, start, length, chosen))
    return Series(made, blocks.correlation(values, made, length / bar), float(values.mean()))


def _shape(edges: Array, p: Array, times: pd.DatetimeIndex, length: timedelta, bar: timedelta,
           least: float) -> Series:
    """Each block's distance to all others, so that none is compared with itself. Distances hang together no less than
    what they are made of (``least``)."""
    start, end = times.min().to_pydatetime(), times.max().to_pydatetime() + bar
    place = blocks.number(times, start, length)
    chosen = blocks.whole(times.unique(), start, length, end, bar)
    counts = np.array([binned(edges, p[place == block]) for block in chosen]).reshape(len(chosen), len(edges) + 1)
    others = binned(edges, p) - counts
    made = np.array([float(distance(own, rest / max(float(rest.sum()), 1.0)))
                     for own, rest in zip(counts, others, strict=True)])
    own = blocks.correlation(pd.Series(dtype=np.float64), made, length / bar)
    return Series(made, max(own, least), float(made.mean()) if len(made) else 0.0)
