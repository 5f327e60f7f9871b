"""Would more history help? The evidence forecast by models that learned from a part of their history only.

Each fold's training rows are cut to the latest part of their time, so a short history is a fresh one: what more data
brings and what old data costs are seen together, which is the question when ``train_days`` is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.contracts.line import Line
from pipelines.errors import ConfigError, InsufficientData
from pipelines.features import snapshot
from pipelines.store import Warehouse
from pipelines.training import families, fit
from pipelines.validation import metrics
from pipelines.validation.significance.forecast import mean_gain
from pipelines.validation.splits import Fold, plan

SHARES = (0.125, 0.25, 0.5, 0.75, 1.0)
_LEVEL = 0.05


@dataclass(frozen=True)
class Curve:
    """``points``: a row per share with ``days`` and ``rows`` learned from (means over folds), ``log_loss``, ``auc``,
    and ``lost`` against the whole history (nats, above 0: worse) with its 95 % interval over all shares (Bonferroni).
    ``note`` says what that speaks for."""

    family: str
    points: pd.DataFrame
    note: str


def run(warehouse: Warehouse, line: Line, as_of: datetime, *, family: str | None = None,
        shares: Sequence[float] = SHARES) -> Curve:
    """The learning curve of a line on the evidence folds of a training as of ``as_of``.

    Args:
        family: model family, with its default parameters; the line's first if left out.
        shares: parts of the training time, above 0 and up to 1; 1 is added.

    Raises:
        ConfigError: a share out of range, or an unknown family. InsufficientData: too little history.
    """
    if any(not 0 < share <= 1 for share in shares):
        raise ConfigError(f"shares are {list(shares)}; each is a part of the training time, above 0 and up to 1")
    name = family or line.search.families[0]
    _, frame = snapshot.matrix(warehouse, line, as_of)
    data, folds = fit.matrix(frame), plan(line, frame).evidence
    return curve(data, folds, name, sorted({*shares, 1.0}), line.search.seed, line.target.horizon_bars - 1)


def curve(data: fit.Matrix, folds: Sequence[Fold], family: str, shares: Sequence[float], seed: int,
          overlap: int = 0) -> Curve:
    """The same on a matrix and its folds; the last of ``shares`` is what the others are measured against."""
    chosen = families.get(family)
    rows = np.concatenate([fold.test for fold in folds])
    y, at = data.labels[rows], data.frame["event_time"].iloc[rows].to_numpy()
    times = data.frame["event_time"]
    chances, sizes = {}, {}
    for share in shares:
        parts, learned = [], []
        for fold in folds:
            own = times.iloc[fold.train]
            begin = own.max() - share * (own.max() - own.min())
            train = fold.train[(own >= begin).to_numpy()]
            if len(np.unique(data.labels[train])) < 2:
                raise InsufficientData(f"{share:.0%} of the history holds one class only; leave this share out")
            model = chosen.fit(data.features[train], data.labels[train], data.names, chosen.defaults, seed)
            parts.append(model.predict(data.features[fold.test]))
            learned.append((len(train), (own.max() - times.iloc[train].min()).total_seconds() / 86_400))
        chances[share], sizes[share] = np.concatenate(parts), np.mean(learned, axis=0)
    losses = pd.DataFrame({share: metrics.losses(y, p) for share, p in chances.items()}).groupby(at).mean().sort_index()
    whole = shares[-1]
    points = []
    for share in shares:
        low, lost, high = _lost(losses[share] - losses[whole], len(shares) - 1, overlap)
        points.append({"share": share, "days": float(sizes[share][1]), "rows": int(sizes[share][0]),
                       "log_loss": float(losses[share].mean()),
                       "auc": metrics.classification(pd.Series(y), pd.Series(chances[share]))["auc"],
                       "lost": lost, "low": low, "high": high})
    table = pd.DataFrame(points)
    return Curve(family, table, _note(table))


def _lost(difference: pd.Series, tried: int, overlap: int) -> tuple[float, float, float]:
    effect = float(difference.mean())
    try:
        test = mean_gain(difference, overlap=overlap)
    except InsufficientData:
        return float("nan"), effect, float("nan")
    half = test.error * float(stats.t.ppf(1 - _LEVEL / (2 * max(tried, 1)), test.freedom)) if test.freedom else 0.0
    return effect - half, effect, effect + half


def _note(table: pd.DataFrame) -> str:
    parts = table.iloc[:-1]
    better, worse = parts[parts["high"] < 0], parts[parts["low"] > 0]
    if len(better):
        best = better.loc[better["lost"].idxmin()]
        return (f"Less is more: the last {best['days']:.0f} days beat the whole history by {-best['lost']:.5f} nats "
                f"(95 % {-best['high']:.5f} to {-best['low']:.5f}); shorten train_days.")
    if len(worse):
        longest = worse.iloc[-1]
        return (f"History helps: {longest['days']:.0f} days lose {longest['lost']:.5f} nats against the whole history "
                f"(95 % {longest['low']:.5f} to {longest['high']:.5f}); more of it may help further.")
    return ("No difference could be seen between the parts of the history: more data of this kind is not what is "
            "missing.")
