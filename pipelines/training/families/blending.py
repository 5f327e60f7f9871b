"""Blending: members learn from the earlier rows, their weights from a slice after them that no member has seen.

Cheaper than stacking, with fewer rows for both. The members are not fitted again: the weights belong to these members.
A. Töscher, M. Jahrer & R. M. Bell, "The BigChaos Solution to the Netflix Grand Prize", 2009, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.errors import TrainingError
from pipelines.training.families import base
from pipelines.training.families.ensemble import GAP, LEAST, Ensemble, Pool, Rows, log_odds
from pipelines.training.families.stacking import meta


class Blending(Ensemble):
    """``held``: share of the rows, the latest, that the weights are learned from."""

    name = "blending"
    defaults: Mapping[str, Any] = {"members": "linear+forest+boosting", "held": 0.25, "penalty": 0.01}

    def space(self, trial: Any) -> dict[str, Any]:
        return {**super().space(trial), "held": trial.suggest_float("held", 0.1, 0.4),
                "penalty": trial.suggest_float("penalty", 1e-4, 1.0, log=True)}

    def combine(self, rows: Rows, params: Mapping[str, Any]) -> tuple[Sequence[base.Fitted], Pool]:
        count = len(rows.labels)
        begin = int(count * (1.0 - float(params["held"])))
        learned = begin - max(1, int(GAP * count))
        if min(learned, count - begin) < LEAST:
            raise TrainingError(f"{count} rows are too few to hold some back; give the line more train_days")
        members = rows.fit(slice(0, learned))
        return members, meta(log_odds(members, rows.features[begin:]), rows.labels[begin:], float(params["penalty"]))


FAMILY = Blending()
