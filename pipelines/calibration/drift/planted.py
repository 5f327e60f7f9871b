"""Something changes on a known day: how often, and how soon, an alarm begins."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipelines.calibration.drift.outcome import PATIENCE, Outcome, Scenario
from pipelines.calibration.drift.series import HOURS, Process, Shift, simulate
from pipelines.calibration.drift.stationary import LONG_REFERENCE, RULES, SHORT_REFERENCE
from pipelines.calibration.drift.track import Track
from pipelines.calibration.drift.watch import watch
from pipelines.calibration.scenario import repeated

RIGHT = f"an alarm begins within {PATIENCE} days of the change"
#: Day of the checks on which it comes.
ONSET = 20
COLUMNS = 50
USUAL = Process(memory=0.9)
#: How many columns are hit, in words.
WIDTHS = {1: "one", 10: "ten", COLUMNS: "all"}


def line(process: Process, shift: Shift, reference_days: int, rng: np.random.Generator) -> Outcome:
    """A training, some quiet days, the change, and the days after it."""
    onset = HOURS * (reference_days + ONSET)
    values = simulate(process, onset + HOURS * PATIENCE, rng, shift, onset)
    return watch(Track(values, reference_days, RULES.window_days, onset=ONSET), RULES)


def _scenario(name: str, what: str, shift: Shift, process: Process = USUAL, days: int = LONG_REFERENCE) -> Scenario:
    def draw(rng: np.random.Generator) -> Outcome:
        return line(process, shift, days, rng)
    told = (f"{what}, {WIDTHS[shift.columns]} of {process.columns} columns, hourly autocorrelation {process.memory:g}, "
            f"{days} days of training")
    return Scenario(name, "alternative", told, RIGHT, repeated(name, draw))


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    for width, word in WIDTHS.items():
        for size in (0.5, 1.0, 2.0):
            yield _scenario(f"mean{size:g}_{word}", f"the mean moves by {size:g} standard deviations",
                            Shift("mean", size, width))
    for width in (1, COLUMNS):
        for factor in (1.5, 2.0):
            yield _scenario(f"variance{factor:g}_{WIDTHS[width]}", f"the variance grows {factor:g} times",
                            Shift("variance", factor, width))
    yield _scenario("correlation0.5_all", "the columns, independent before, have correlations of 0.5",
                    Shift("correlation", 0.5, COLUMNS))
    yield _scenario("gradual1_all", "the mean moves by 1 standard deviation over 30 days",
                    Shift("mean", 1.0, COLUMNS, over_days=30))
    yield _scenario("gradual1_ten", "the mean moves by 1 standard deviation over 30 days",
                    Shift("mean", 1.0, 10, over_days=30))
    for memory in (0.5, 0.98):
        for width in (1, COLUMNS):
            yield _scenario(f"mean1_{WIDTHS[width]}_ar{memory:g}", "the mean moves by 1 standard deviation",
                            Shift("mean", 1.0, width), Process(memory=memory))
    yield _scenario("mean0.5_all_ar0.5", "the mean moves by 0.5 standard deviations", Shift("mean", 0.5, COLUMNS),
                    Process(memory=0.5))
    yield _scenario("variance2_all_ar0.5", "the variance grows 2 times", Shift("variance", 2.0, COLUMNS),
                    Process(memory=0.5))
    yield _scenario("mean1_all_28d", "the mean moves by 1 standard deviation", Shift("mean", 1.0, COLUMNS),
                    days=SHORT_REFERENCE)
    yield _scenario("variance2_all_28d", "the variance grows 2 times", Shift("variance", 2.0, COLUMNS),
                    days=SHORT_REFERENCE)
