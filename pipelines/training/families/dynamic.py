"""Dynamic weights: who forecast best lately weighs most.

The exponentially weighted forecaster (Cesa-Bianchi & Lugosi, *Prediction, Learning, and Games*, Cambridge 2006, chapter
2) over forecasts ahead, with losses that fade (Herbster & Warmuth, "Tracking the Best Expert", *Machine Learning* 32,
1998, on why a world that changes has to be forgotten). A model's weights are those at the end of its training rows;
they move on with every retraining, and from fold to fold of a walk-forward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.training.families import base
from pipelines.training.families.ensemble import Ensemble, Pool, Rows


class Dynamic(Ensemble):
    """``half_life``: as a share of the rows forecast ahead, after which a loss counts half; ``rate``: how sharply a
    mean loss turns into weight, per nat."""

    name = "dynamic"
    defaults: Mapping[str, Any] = {"members": "linear+forest+boosting", "half_life": 0.2, "rate": 50.0}

    def space(self, trial: Any) -> dict[str, Any]:
        return {**super().space(trial), "half_life": trial.suggest_float("half_life", 0.05, 1.0, log=True),
                "rate": trial.suggest_float("rate", 5.0, 500.0, log=True)}

    def combine(self, rows: Rows, params: Mapping[str, Any]) -> tuple[Sequence[base.Fitted], Pool]:
        odds, labels = rows.ahead()
        return rows.fit(), Pool(lately(odds, labels, float(params["half_life"]), float(params["rate"])))


def lately(odds: FloatArray, labels: FloatArray, half_life: float, rate: float) -> FloatArray:
    """Weights (members,) that add up to one: ``exp(-rate x fading mean of the log loss)``.

    Args:
        odds: (rows, members) log-odds in order of time; labels: (rows,) in {0, 1}.
        half_life: as a share of the rows.
    """
    losses = np.logaddexp(0.0, -(2.0 * labels - 1.0)[:, None] * odds)
    age = np.arange(len(labels))[::-1] / (half_life * len(labels))
    fading = 0.5 ** age
    mean = (losses * fading[:, None]).sum(axis=0) / fading.sum()
    raw = np.exp(-rate * (mean - mean.min()))
    weights: FloatArray = raw / raw.sum()
    return weights


FAMILY = Dynamic()
