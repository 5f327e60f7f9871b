"""How often does monitoring cry wolf, and what does it miss? Its detectors, check by check, where the truth is known.

Nothing of a detector is written again here: rows go through `monitoring.learn` and `monitoring.compare`, losses through
`monitoring.performance`. Rules that others use run over the same rows. See ``docs/drift-calibration.md``.
"""

from __future__ import annotations

from pipelines.calibration.drift.catalog import scenarios, select
from pipelines.calibration.drift.outcome import Figures, Outcome, Rate, Scenario, Seen, measure

__all__ = ["Figures", "Outcome", "Rate", "Scenario", "Seen", "measure", "scenarios", "select"]
