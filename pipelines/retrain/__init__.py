"""When a line asks for a training: a pure policy, and the thin shell that writes its answer to the ledger."""

from __future__ import annotations

from pipelines.retrain.policy import Decision, PolicyState, decide

__all__ = ["Decision", "PolicyState", "decide"]
