"""A seeded market with known truth: prices, texts whose mood can be read, indicators, and the dirt of real feeds."""

from __future__ import annotations

from pipelines.ingest.simulator.market import Market
from pipelines.ingest.simulator.provider import SimulatorProvider
from pipelines.ingest.simulator.truth import Truth

__all__ = ["Market", "SimulatorProvider", "Truth"]
