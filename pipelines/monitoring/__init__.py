"""Watching a champion: outcomes, drift of features, of predictions and of performance."""

from __future__ import annotations

from pipelines.monitoring.drift import compare, detect
from pipelines.monitoring.learn import learn
from pipelines.monitoring.norm import Norm

__all__ = ["Norm", "compare", "detect", "learn"]
