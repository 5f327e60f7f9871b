"""What is really so in the simulated market, for tests that need to know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
from scipy.special import stdtr

from pipelines.ingest.simulator.prices import FREEDOM
from pipelines.ingest.simulator.streams import Floats


@dataclass(frozen=True)
class Truth:
    """Known truth of one world. All times UTC.

    Attributes:
        edge: strength of the planted edge; 0: the direction of returns cannot be predicted.
        edge_input: ``sentiment`` or ``momentum``.
        carriers: what a model has to read to find the edge, in words.
        shift_time: when the edge turns round and the inputs change; None: never.
        bars, documents, indicators: the clean rows with their first possible ``available_at``; documents carry
            ``tone`` (-1, 0, 1) and ``symbol`` (``*``: the market) besides.
        state: one row per decision (symbol, bar): ``event_time`` of the bar, ``available_at`` its close, the latent
            ``mood``, the ``observable`` mood, the ``signal`` (drift of the next bar in standard deviations),
            ``up_probability`` of the next bar, and whether it went ``up``.
        dirt: every late, doubled, revised and malformed row (see ``dirt.LOG_COLUMNS``).
    """

    edge: float
    edge_input: str
    carriers: tuple[str, ...]
    shift_time: datetime | None
    symbols: tuple[str, ...]
    bars: pd.DataFrame
    documents: pd.DataFrame
    indicators: pd.DataFrame
    state: pd.DataFrame
    dirt: pd.DataFrame

    def between(self, start: datetime | None = None, end: datetime | None = None) -> pd.DataFrame:
        """The rows of ``state`` decided in ``[start, end)``."""
        at = self.state["available_at"]
        keep = np.ones(len(at), dtype=bool)
        if start is not None:
            keep &= (at >= start).to_numpy()
        if end is not None:
            keep &= (at < end).to_numpy()
        return self.state[keep]

    def expected_auc(self, start: datetime | None = None, end: datetime | None = None) -> float:
        """AUC for the next bar's direction that a reader of the true signal can expect; 0.5 without an edge."""
        rows = self.between(start, end)
        return auc(rows["signal"].to_numpy(), rows["up_probability"].to_numpy())

    def oracle_auc(self, start: datetime | None = None, end: datetime | None = None) -> float:
        """AUC of the true signal on what has happened. Without an edge: of the observable mood."""
        rows = self.between(start, end)
        score = rows["signal"] if self.edge > 0 else rows["observable"]
        return auc(score.to_numpy(), rows["up"].to_numpy(dtype=np.float64))


def up_probability(signal: Floats) -> Floats:
    """P(return > 0) of a unit-variance Student-t shock around ``signal``."""
    return np.asarray(stdtr(FREEDOM, signal * np.sqrt(FREEDOM / (FREEDOM - 2))))


def auc(score: Floats, positive: Floats) -> float:
    """Area under the ROC curve with weights: row i is positive with weight ``positive[i]``, negative with the rest.

    With weights in {0, 1} this is the Mann-Whitney statistic with ties counted one half. NaN if a class is empty.
    """
    values, index = np.unique(score, return_inverse=True)
    up = np.bincount(index, weights=positive, minlength=len(values))
    down = np.bincount(index, weights=1 - positive, minlength=len(values))
    pairs = float(up.sum() * down.sum())
    below = np.cumsum(down) - down
    return float((up * (below + down / 2)).sum() / pairs) if pairs > 0 else float("nan")
