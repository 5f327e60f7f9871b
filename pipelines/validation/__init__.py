"""Splits that cannot leak, metrics with fixed names, a backtest with costs, and tests that know their error."""

from pipelines.validation.splits import CombinatorialPurged, PurgedKFold, WalkForward

__all__ = ["CombinatorialPurged", "PurgedKFold", "WalkForward"]
