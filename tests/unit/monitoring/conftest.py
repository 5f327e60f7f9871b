from __future__ import annotations

from tests.unit.registry.conftest import world

__all__ = ["world"]
