"""When a line asks for a training: a pure policy, and the thin shell that writes its answer to the ledger."""

from __future__ import annotations

from pipelines.retrain.memory import Check, PolicyState, Run, Training
from pipelines.retrain.policy import Decision, Phase, decide

__all__ = ["Check", "Decision", "Phase", "PolicyState", "Run", "Training", "decide"]
