"""The long run: a simulated year with two regime shifts and a dying edge, played through the real policy, gate,
registry, serving and monitoring, beside never retraining and retraining by the calendar. ``python -m
infra.studies.year``; the figures are in ``docs/year.md``."""
