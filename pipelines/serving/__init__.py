"""Serving: predictions of champion and challenger, written before the outcome can be known."""
