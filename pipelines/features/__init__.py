"""Bars, aggregates and indicators to a feature matrix: every row as it was known at its own time."""

from pipelines.features.matrix import NAIVE, build, feature_names

__all__ = ["NAIVE", "build", "feature_names"]
