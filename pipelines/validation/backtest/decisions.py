"""TAKE or SKIP: trades that somebody else would make, and what is left of them when some are not taken.

Every trade has the same stake, profits add up and are those of the log, after its fees. A decision does not change the
other trades, though in life a stake that is not put in is free for the next one.

The threshold is chosen where a model was fitted: on the training rows, each predicted by a model that has not seen it.
Intervals come from the stationary bootstrap of Politis and Romano (``significance.bootstrap``) over calendar days:
trades of one day share a market.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.significance.bootstrap import stationary_indices

#: A rule has to take at least this share of the trades it is chosen on, and this many: a mean of less is luck.
LEAST_SHARE = 0.25
LEAST_TAKEN = 20
#: Mean length of a block, in days.
BLOCK = 2.0
FIGURES = ("taken", "win_rate", "mean_profit", "total_profit", "profit_factor", "max_drawdown")
_SHOWN = ("win_rate", "mean_profit")


@dataclass(frozen=True)
class TakeRule:
    """Take a trade whose P(win) is ``threshold`` or more (0: every trade). Of the ``rows`` trades it was chosen on it
    would have taken ``taken``, with this mean profit (ratio of the stake)."""

    threshold: float
    taken: int
    rows: int
    mean_profit: float


def choose(p: FloatArray, profit: FloatArray, *, share: float = LEAST_SHARE, least: int = LEAST_TAKEN) -> TakeRule:
    """The threshold with the highest mean profit among those that take enough trades; of equal ones the lowest.

    Args:
        p: (trades,) predictions by models that have not seen the trade.
        profit: (trades,) what each has brought.
        share, least: a rule takes at least this share of the trades, and at least this many.

    Raises:
        InsufficientData: fewer than ``least`` trades.
        ContractError: predictions or profits that are not finite, or not as many.
    """
    p, profit = np.asarray(p, dtype=np.float64), np.asarray(profit, dtype=np.float64)
    if p.shape != profit.shape or not (np.isfinite(p).all() and np.isfinite(profit).all()):
        raise ContractError(f"{p.shape} predictions and {profit.shape} profits; pass one finite value of each a trade")
    needed = max(least, int(np.ceil(share * len(p))))
    if len(p) < needed:
        raise InsufficientData(f"{len(p)} predicted trades are too few to choose a threshold on; at least {needed} are "
                               "needed: lengthen train_days or load a longer log")
    order = np.argsort(-p, kind="stable")
    ranked, counts = p[order], np.arange(1, len(p) + 1)
    mean = np.cumsum(profit[order]) / counts
    possible = (counts >= needed) & np.append(ranked[1:] < ranked[:-1], True)  # equal predictions go together
    best = int(np.flatnonzero(possible & (mean == mean[possible].max()))[-1])
    threshold = 0.0 if best == len(p) - 1 else float(ranked[best])
    return TakeRule(threshold, best + 1, len(p), float(mean[best]))


def figures(rows: pd.DataFrame, taken: np.ndarray) -> dict[str, float]:  # type: ignore[type-arg]
    """What the taken trades brought.

    Args:
        rows: ``label_end`` (when a trade was closed) and ``forward_return`` (its profit by its stake).
        taken: (rows,) bool.

    Returns:
        ``FIGURES``: profits in stakes; ``max_drawdown`` of their sum in the order of closing, from 0 on; the profit
        factor is what the winners made by what the others lost. NaN where nothing was taken or nothing was lost.
    """
    order = np.argsort(rows["label_end"].to_numpy(), kind="stable")
    order = order[np.asarray(taken, dtype=bool)[order]]
    return _figures(rows["forward_return"].to_numpy(dtype=np.float64)[order])


def take_or_skip(rows: pd.DataFrame, taken: np.ndarray, *, seed: int,  # type: ignore[type-arg]
                 draws: int = 2000) -> pd.DataFrame:
    """TAKE against taking every trade, each figure with its 95 % interval.

    Args:
        rows: ``event_time``, ``label_end`` and ``forward_return``, one row a trade.
        taken: (rows,) bool.
        seed: of the resampling.

    Returns:
        Index (``rule``, ``figure``) with the rules ``take``, ``all`` and, for the win rate and the mean profit,
        ``difference``; columns ``estimate``, ``low`` and ``high``.

    Raises:
        InsufficientData: trades of fewer than two days.
    """
    rows, taken = rows.reset_index(drop=True), np.asarray(taken, dtype=bool)
    order = np.argsort(rows["label_end"].to_numpy(), kind="stable")
    profit, taken = rows["forward_return"].to_numpy(dtype=np.float64)[order], taken[order]
    day = rows["event_time"].dt.floor("D").iloc[order]
    number = ((day - day.min()) // pd.Timedelta(days=1)).to_numpy()
    days = int(number.max()) + 1 if len(number) else 0
    if days < 2:
        raise InsufficientData(f"trades of {days} days have no interval; at least two days are needed: raise "
                               "evidence_days")
    of_day = [np.flatnonzero(number == at) for at in range(days)]
    estimate = _both(profit, taken)
    parts = []
    for drawn in stationary_indices(days, min(BLOCK, float(days)), draws, seed):
        chosen = np.concatenate([of_day[at] for at in drawn])
        parts.append(_both(profit[chosen], taken[chosen]))
    found = pd.DataFrame(parts)
    empty = found.isna().all()
    low, high = (found.loc[:, ~empty].quantile(bound) for bound in (0.025, 0.975))
    table = pd.DataFrame({"estimate": pd.Series(estimate), "low": low, "high": high}).reindex(list(estimate))
    table.index = pd.MultiIndex.from_tuples(list(estimate), names=["rule", "figure"])
    return table


def measures(table: pd.DataFrame) -> Mapping[str, float]:
    """``decision.<rule>.<figure>`` → estimate of a table of ``take_or_skip``; what is undefined is left out."""
    return {f"decision.{rule}.{figure}": float(value) for (rule, figure), value in table["estimate"].items()
            if np.isfinite(value)}


def _both(profit: FloatArray, taken: np.ndarray) -> dict[tuple[str, str], float]:  # type: ignore[type-arg]
    own, every = _figures(profit[taken]), _figures(profit)
    return {**{("take", name): value for name, value in own.items()},
            **{("all", name): value for name, value in every.items()},
            **{("difference", name): own[name] - every[name] for name in _SHOWN}}


def _figures(profit: FloatArray) -> dict[str, float]:
    """Of profits in the order of closing."""
    count, won = len(profit), profit > 0
    curve = np.concatenate([[0.0], np.cumsum(profit)])
    lost = -profit[~won].sum()
    return {"taken": float(count), "win_rate": float(won.mean()) if count else np.nan,
            "mean_profit": float(profit.mean()) if count else np.nan, "total_profit": float(profit.sum()),
            "profit_factor": float(profit[won].sum() / lost) if lost > 0 else np.nan,
            "max_drawdown": float((np.maximum.accumulate(curve) - curve).max())}
