"""Fifty purged folds of a panel of 100,000 rows, beside purgedcv on a case where both answer the same."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import purgedcv

from pipelines.validation import PurgedKFold
from tests.bench.harness import Case

SYMBOLS, HOURS, FOLDS = 5, 20_000, 50
HORIZON, EMBARGO = timedelta(hours=24), timedelta(hours=1)
US = timedelta(microseconds=1)

Pairs = list[tuple[np.ndarray, np.ndarray]]


def cases() -> list[Case]:
    at = pd.Series(pd.date_range("2022-01-01", periods=HOURS, freq="h", tz="UTC", unit="us").repeat(SYMBOLS))
    known = at + HORIZON
    # Rows of a fold are whole timestamps (20,000 hours in fifty folds), so the peer's cuts by rows straddle nothing.
    naive, evaluated = at.dt.tz_localize(None), known.dt.tz_localize(None) + US
    nothing = np.zeros((len(at), 1))

    def ours() -> Pairs:
        return [(fold.train, fold.test) for fold in PurgedKFold(FOLDS, EMBARGO).split(at, known)]

    def peer() -> Pairs:
        splitter = purgedcv.PurgedKFold(FOLDS, prediction_times=naive, evaluation_times=evaluated,
                                        purge_horizon=EMBARGO)
        return list(splitter.split(nothing))

    def same(left: Pairs, right: Pairs) -> bool:
        return len(left) == len(right) == FOLDS and all(
            np.array_equal(a, c) and np.array_equal(b, d) for (a, b), (c, d) in zip(left, right, strict=True))

    return [Case("splits_100k", ours, peer, float(len(at) * FOLDS), "rows x folds", same)]
