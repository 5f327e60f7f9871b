"""Real features of the simulator's market: without a shift, and with its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pipelines.calibration.drift.outcome import PATIENCE, Outcome, Scenario
from pipelines.calibration.drift.planted import ONSET, RIGHT
from pipelines.calibration.drift.stationary import FALSE, LONG_REFERENCE, RULES
from pipelines.calibration.drift.track import HOURS, START, YEAR, Track
from pipelines.calibration.drift.watch import watch
from pipelines.calibration.scenario import repeated
from pipelines.config import Simulator
from pipelines.contracts.ports import FloatArray
from pipelines.features import catalog
from pipelines.features.declare import Bars
from pipelines.ingest.simulator import mood, prices
from pipelines.ingest.simulator.streams import coins
from pipelines.sentiment.hours import HOUR_US, instant

SYMBOLS = 3
#: Fifty columns of bars, as lines have them, and some that look back on up to sixty days.
USUAL = ("returns", "trend", "volatility", "oscillators",
         *(f"lags.lag_{channel}_{hour:02d}" for channel in ("return", "range") for hour in range(1, 9)))
SLOW = ("cycles", "regime.regime_trend_strength", "regime.regime_volatility_strength")


def bars(settings: Simulator) -> Bars:
    """The true bars of a simulated market, without its texts' words and the dirt of its feeds."""
    latent, market = mood.latent(settings)
    written = mood.documents(settings, latent, market)
    surprise = mood.observable(settings, written) - mood.usual_tones(settings)[:, None]
    path = prices.simulate(settings, coins(settings.symbols), surprise)
    return Bars(path.open, path.high, path.low, path.close, path.volume, first=instant(settings.start) // HOUR_US)


def features(market: Bars, wanted: Sequence[str]) -> tuple[tuple[str, ...], FloatArray]:
    """Names and values of what a line's feature list names, rows in order of hour and symbol; from the first whole day
    on in which all of them are known for every symbol. A value that is missing later is that of the hour before."""
    groups = catalog.select(wanted)
    values = {name: value for group in groups for name, value in group.on_bars(market).items()}
    stack = np.stack(list(values.values()), axis=-1)
    skip = -(-catalog.lookback(groups) // HOURS) * HOURS
    stack = stack[skip:]
    hour, symbol, column = np.nonzero(~np.isfinite(stack))
    for place in zip(hour, symbol, column, strict=True):
        stack[place] = stack[place[0] - 1, place[1], place[2]]
    return tuple(values), stack.reshape(-1, len(values))


def track(seed: int, wanted: Sequence[str], checks: int, onset: int | None = None) -> Track:
    """A simulated market as a line sees it; it shifts after ``onset`` days of checks."""
    lead = -(-catalog.lookback(catalog.select(wanted)) // HOURS)
    settings = Simulator(
        seed=seed, start=START, symbols=SYMBOLS, days=lead + LONG_REFERENCE + checks, dirt=0.0,
        shift_day=None if onset is None else lead + LONG_REFERENCE + onset)
    names, values = features(bars(settings), wanted)
    return Track(values, LONG_REFERENCE, RULES.window_days, HOURS * SYMBOLS, onset=onset, names=names)


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    for name, wanted, what in (("simulator", USUAL, "50 features of 1 hour to 28 days"),
                               ("simulator_slow", SLOW, "16 features that look back on up to 60 days")):
        def quiet(rng: np.random.Generator, wanted: Sequence[str] = wanted) -> Outcome:
            return watch(track(int(rng.integers(2**31)), wanted, YEAR), RULES)

        def shifted(rng: np.random.Generator, wanted: Sequence[str] = wanted) -> Outcome:
            return watch(track(int(rng.integers(2**31)), wanted, ONSET + PATIENCE, ONSET), RULES)

        told = f"{SYMBOLS} coins of the simulator, {what}, {LONG_REFERENCE} days of training"
        yield Scenario(f"null_{name}", "null", told, FALSE, repeated(f"null_{name}", quiet))
        yield Scenario(f"{name}_shift", "alternative", f"{told}; volatility doubles, turnover grows 1.6 times", RIGHT,
                       repeated(f"{name}_shift", shifted))
