"""Where the model is right and where it is wrong: its loss against the base rate's by symbol, hour, weekday and regime.

A slice is a question asked once more: with forty slices two look good at 5 % by luck alone. The intervals are
therefore Bonferroni's over the slices of one kind, and a slice whose interval does not leave 0 says nothing.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.contracts.ports import FloatArray
from pipelines.validation import backtest, metrics
from pipelines.validation.significance.forecast import mean_gain

#: Hours of a block of the day: four would be eight bars of a working day, one would be 24 questions.
BLOCK = 4
#: Fewest times for an interval: what the test of a mean asks for.
LEAST = 20
COLUMNS = ("kind", "slice", "rows", "base", "mean_p", "log_loss", "base_log_loss", "gain", "low", "high", "auc")
_LEVEL = 0.05
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def errors(evidence: pd.DataFrame, bar: timedelta, overlap: int = 0) -> pd.DataFrame:
    """The error analysis of out-of-sample predictions.

    Args:
        evidence: ``EVIDENCE_COLUMNS``.
        bar: length of a bar; hours and weekdays are those of the bar's close (UTC), when the row is decided.
        overlap: over how many following periods a label still reaches (horizon - 1).

    Returns:
        ``COLUMNS``, a row per slice, the whole first: ``base`` share of 1, ``gain`` the base rate's log loss less the
        candidate's, mean over times of the mean over symbols (nats; above 0: the candidate is better), with its 95 %
        interval over the slices of the kind, NaN where there are too few times; ``auc`` NaN where one class is missing.
    """
    table = evidence.reset_index(drop=True)
    own = metrics.losses(table["y"].to_numpy(), table["candidate"].to_numpy())
    base = metrics.losses(table["y"].to_numpy(), table["base_rate"].to_numpy())
    found = []
    for kind, label in labels(table, bar).items():
        names = sorted(label.dropna().unique(), key=str) if kind != "weekday" else [
            day for day in _DAYS if (label == day).any()]
        for name in names:
            rows = np.flatnonzero((label == name).to_numpy())
            found.append({"kind": kind, "slice": str(name), **_slice(table, own, base, rows, len(names), overlap)})
    return pd.DataFrame(found, columns=list(COLUMNS))


def labels(evidence: pd.DataFrame, bar: timedelta) -> dict[str, pd.Series]:
    """Kind of slice → the slice of each row; ``regime`` (terciles of volatility up to the row) only where there are
    returns."""
    closed = evidence["event_time"] + bar
    begins = closed.dt.hour // BLOCK * BLOCK
    found = {
        "all": pd.Series("all", index=evidence.index),
        "symbol": evidence["symbol"].astype(str),
        "hour": begins.map(lambda hour: f"{hour:02d}-{hour + BLOCK:02d} UTC"),
        "weekday": closed.dt.dayofweek.map(dict(enumerate(_DAYS))),
    }
    if evidence["forward_return"].notna().any():
        regime = backtest.volatility_regime(evidence)
        found["regime"] = evidence["event_time"].map(regime)
    return found


def _slice(table: pd.DataFrame, own: FloatArray, base: FloatArray, rows: np.ndarray,  # type: ignore[type-arg]
           slices: int, overlap: int) -> dict[str, float]:
    part = table.iloc[rows]
    saved = pd.Series(base[rows] - own[rows]).groupby(part["event_time"].to_numpy()).mean().sort_index()
    low = high = np.nan
    if len(saved) >= LEAST:
        test = mean_gain(saved, overlap=overlap)
        half = test.error * float(stats.t.ppf(1 - _LEVEL / (2 * slices), test.freedom)) if test.freedom else 0.0
        low, high = test.effect - half, test.effect + half
    scores = metrics.classification(part["y"], part["candidate"])
    return {"rows": len(rows), "base": float(part["y"].mean()), "mean_p": float(part["candidate"].mean()),
            "log_loss": float(own[rows].mean()), "base_log_loss": float(base[rows].mean()),
            "gain": float(saved.mean()), "low": low, "high": high, "auc": scores["auc"]}
