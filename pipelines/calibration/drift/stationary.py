"""Nothing changes: a year of daily checks after a training, in which every alarm is false."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipelines.calibration.drift.outcome import Outcome, Scenario
from pipelines.calibration.drift.series import HOURS, Process, simulate
from pipelines.calibration.drift.track import YEAR, Track
from pipelines.calibration.drift.watch import watch
from pipelines.calibration.scenario import repeated
from pipelines.contracts.line import Drift

FALSE = "at least one false alarm in the year"
RULES = Drift()
#: The shipped hourly direction line's table, whose windows do not hold a whole week.
SHORT = Drift(window_days=5, persistence=4)
#: Days of training: half a year of history or so, and what the demonstration's lines have.
LONG_REFERENCE, SHORT_REFERENCE = 150, 28
MEMORIES = (0.0, 0.5, 0.9, 0.95, 0.98)


def line(process: Process, reference_days: int, rules: Drift, rng: np.random.Generator) -> Outcome:
    """A training and the year after it."""
    values = simulate(process, HOURS * (reference_days + YEAR), rng)
    return watch(Track(values, reference_days, rules.window_days), rules)


def _scenario(name: str, what: str, process: Process, days: int = LONG_REFERENCE, rules: Drift = RULES) -> Scenario:
    def draw(rng: np.random.Generator) -> Outcome:
        return line(process, days, rules, rng)
    told = f"{process.columns} {what}, {days} days of training, windows of {rules.window_days} days"
    return Scenario(name, "null", told, FALSE, repeated(name, draw))


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    for days in (LONG_REFERENCE, SHORT_REFERENCE):
        for memory in MEMORIES:
            for common in (0.0, 0.5):
                together = f", correlation {common:g}" if common else ""
                yield _scenario(f"null_ar{memory:g}_c{common:g}_{days}d",
                                f"columns with an hourly autocorrelation of {memory:g}{together}",
                                Process(memory=memory, common=common), days)
    # Beyond what is asked for: a window of a week holds hardly more than one independent value.
    yield _scenario("null_ar0.995_c0.5_150d", "columns with an hourly autocorrelation of 0.995, correlation 0.5",
                    Process(memory=0.995, common=0.5))
    for days in (LONG_REFERENCE, SHORT_REFERENCE):
        yield _scenario(f"null_garch_{days}d", "columns under one GARCH variance", Process("garch"), days)
    yield _scenario("null_garch_features_150d", "columns, GARCH returns with a correlation of 0.5 and their "
                    "volatilities", Process("garch_features", common=0.5))
    seasonal = Process("seasonal", memory=0.5)
    for days, rules in ((LONG_REFERENCE, RULES), (LONG_REFERENCE, SHORT), (SHORT_REFERENCE, SHORT)):
        yield _scenario(f"null_seasonal_{days}d_w{rules.window_days}", "columns that follow hour and weekday", seasonal,
                        days, rules)
