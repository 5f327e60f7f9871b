"""How often is the gate wrong? Its real decisions on simulated evidence whose truth is known, counted.

Nothing of the gate is written again here: evidence goes into `gate.decide` and `gate.sequential`, trainings run through
`training.search`, `training.fit` and `registry.evidence`. See ``docs/gate-calibration.md`` for the results.
"""

from __future__ import annotations

from pipelines.calibration.gate.catalog import scenarios, select
from pipelines.calibration.gate.outcome import Outcome, Rate, Scenario, measure

__all__ = ["Outcome", "Rate", "Scenario", "measure", "scenarios", "select"]
