"""Telling people: what is in the warehouse becomes notices, and channels tell them, each once."""

from __future__ import annotations

from pipelines.contracts.notices import Channel, Notice, Severity

__all__ = ["Channel", "Notice", "Severity"]
