"""The gate: a pure decision over evidence. It reads no clock, no database and no server."""

from __future__ import annotations

from pipelines.gate.decide import decide

__all__ = ["decide"]
