"""Watching a champion: outcomes, drift of features, of predictions and of performance."""

from __future__ import annotations

from pipelines.monitoring.drift import detect

__all__ = ["detect"]
