"""Soft voting: the plain mean of the members' probabilities. Nothing is learned, nothing over-learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.training.families import base
from pipelines.training.families.ensemble import Ensemble, Pool, Rows


class Voting(Ensemble):
    """Every member has one vote."""

    name = "voting"
    contribution_unit = "probability"

    def combine(self, rows: Rows, params: Mapping[str, Any]) -> tuple[Sequence[base.Fitted], Pool]:
        return rows.fit(), Pool(np.full(len(rows.members), 1.0 / len(rows.members)), of_chances=True)


FAMILY = Voting()
