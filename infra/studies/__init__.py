"""Longer questions to real parts, each a command of its own; the answers lie in ``docs/`` with date and command."""
