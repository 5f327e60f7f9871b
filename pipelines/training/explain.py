"""What the model looks at: importance over all rows, SHAP values over a sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.training.families.base import Family, Fitted

#: SHAP on more rows moves no bar of the summary by a visible amount and costs seconds.
SAMPLE = 500


@dataclass(frozen=True)
class Explanation:
    """``importance`` by feature, largest first, with its unit; ``shap`` (sample, features) with its unit, on the rows
    ``sample`` (sample, features); columns in the order of ``names``."""

    names: tuple[str, ...]
    importance: pd.Series
    importance_unit: str
    shap: FloatArray
    shap_unit: str
    sample: FloatArray


def explain(model: Fitted, family: Family, features: FloatArray, rows: int = SAMPLE) -> Explanation:
    """Explain ``model`` on evenly spaced rows of ``features`` (rows, columns)."""
    chosen = np.unique(np.linspace(0, len(features) - 1, min(rows, len(features))).astype(int))
    sample = features[chosen]
    importance = pd.Series(model.importance(), index=list(model.feature_names)).sort_values(ascending=False)
    return Explanation(model.feature_names, importance, family.importance_unit, model.contributions(sample),
                       family.contribution_unit, sample)
