"""What the candidate has to be better than, traded on the same rows at the same costs.

``buy_and_hold``   long in every row
``base_rate``      the share of ones in the training, as a probability (a column of the evidence frame)
``persistence``    the last known label, as a probability (a column of the evidence frame)
``no_retraining``  the candidate's configuration, fitted once before the first row and never again (a column, if given)
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from pipelines.contracts.line import Costs
from pipelines.validation.backtest.bookkeeping import BAR, book
from pipelines.validation.backtest.returns import HOURS_PER_YEAR, summary

CANDIDATE = "candidate"
COLUMNS = ("base_rate", "persistence", "no_retraining")


def books(frame: pd.DataFrame, costs: Costs, horizon_bars: int, bar: timedelta = BAR) -> dict[str, pd.DataFrame]:
    """The book of ``candidate``, ``buy_and_hold`` and each benchmark that the frame has a column for.

    Args:
        frame: the columns of ``book``, and probabilities under the names above; ``candidate`` is needed.
    """
    chances = {CANDIDATE: frame[CANDIDATE], "buy_and_hold": np.ones(len(frame)),
               **{name: frame[name] for name in COLUMNS if name in frame}}
    return {name: book(frame, p, costs, horizon_bars, bar) for name, p in chances.items()}


def compare(found: dict[str, pd.DataFrame], periods_per_year: float = HOURS_PER_YEAR) -> pd.DataFrame:
    """One row per contender, one column per figure of ``summary``, and ``excess_mean``: the candidate's mean net
    return per period less the contender's (positive: the candidate earned more)."""
    table = pd.DataFrame({name: summary(each, periods_per_year) for name, each in found.items()}).T
    own = found[CANDIDATE]["net"].mean()
    table["excess_mean"] = [own - each["net"].mean() for each in found.values()]
    return table.rename_axis("contender")
