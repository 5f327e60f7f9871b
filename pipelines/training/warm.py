"""Import this in a process that forks trainings (Airflow's scheduler): they find every library loaded."""

from __future__ import annotations

import numpy as np
import shap  # noqa: F401
from matplotlib.backends import backend_agg  # noqa: F401

from pipelines.features.numerics import rolling
from pipelines.training import families, record, stage  # noqa: F401

for _name in families.installed():  # an extra that is not there is missed by the line that names it
    families.get(_name)
record.warm()
rolling.window_mean(np.ones((2, 1)), 2)  # loads numba and the compiled windows
