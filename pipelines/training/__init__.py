"""From a snapshot to a registered candidate: search, fit, evidence, record. Import the modules; they are heavy."""

from __future__ import annotations

import os

# MLflow reports its use to its makers unless told otherwise before it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
