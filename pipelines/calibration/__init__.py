"""How often is the gate wrong? Its real decisions on simulated evidence whose truth is known, counted.

Nothing of the gate is written again here: evidence goes into `gate.decide` and `gate.sequential`, trainings run through
`training.search`, `training.fit` and `registry.evidence`. See ``docs/gate-calibration.md`` for the results.
"""

from __future__ import annotations

from pipelines.calibration.catalog import scenarios, select
from pipelines.calibration.outcome import Interval, Outcome, Rate, Scenario, measure, wilson

__all__ = ["Interval", "Outcome", "Rate", "Scenario", "measure", "scenarios", "select", "wilson"]
