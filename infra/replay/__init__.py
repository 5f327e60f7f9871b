"""A local server that speaks the protocols of the real sources, from simulated facts or from files, faults included."""

from __future__ import annotations

from infra.replay.faults import Faults
from infra.replay.server import Replay
from infra.replay.world import World

__all__ = ["Faults", "Replay", "World"]
