"""Ingest: providers fetch facts, checks refuse bad rows into quarantine, the rest goes to the warehouse."""
