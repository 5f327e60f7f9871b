"""Features of real hourly bars: a market that is known to have changed, and halves of one that cannot have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from pipelines.calibration.drift.market import USUAL, features
from pipelines.calibration.drift.outcome import Outcome, Scenario
from pipelines.calibration.drift.stationary import RULES
from pipelines.calibration.drift.track import HOURS, Track
from pipelines.calibration.drift.watch import watch
from pipelines.calibration.scenario import Kind as Truth
from pipelines.calibration.scenario import generator
from pipelines.config import Settings
from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError, ContractError
from pipelines.features.declare import Bars
from pipelines.sentiment.hours import HOUR_US, instant

DAY = timedelta(days=1)
Draw = Callable[["RealMarket", np.random.Generator], Outcome]
FIELDS = ("open", "high", "low", "close", "volume")
VOLATILITY = ("volatility",)
#: A training of so many days ends on one of these days of early 2021 and is watched until mid 2022.
FIRST_END, LAST_END, TRAINING = datetime(2021, 2, 15, tzinfo=UTC), datetime(2021, 4, 30, tzinfo=UTC), 100
UNTIL = datetime(2022, 7, 1, tzinfo=UTC)
#: Days that are dealt out to two halves.
SPAN = 150


@dataclass(frozen=True)
class Dated:
    """Features of whole days from ``start`` (UTC midnight) on, rows in order of hour and symbol."""

    names: tuple[str, ...]
    values: FloatArray
    start: datetime
    symbols: int

    def days(self, first: datetime, last: datetime) -> FloatArray:
        """The rows of ``[first, last)``, shape (days, hours * symbols, columns).

        Raises:
            ContractError: they are not all there.
        """
        begin, end = (first - self.start) // DAY, (last - self.start) // DAY
        whole = self.values.reshape(-1, HOURS * self.symbols, len(self.names))
        if begin < 0 or end > len(whole):
            raise ContractError(f"the bars give features from {self.start:%Y-%m-%d} for {len(whole)} days; "
                                f"{first:%Y-%m-%d} to {last:%Y-%m-%d} is asked for: name longer files in the manifest")
        return whole[begin:end]


@dataclass(frozen=True)
class RealMarket:
    """Hourly bars (columns of ``Kind.BARS``), and the features that were computed of them."""

    bars: pd.DataFrame
    kept: dict[Sequence[str], Dated] = field(default_factory=dict)

    def features(self, wanted: Sequence[str]) -> Dated:
        """Of all symbols over the hours that all of them cover."""
        if wanted not in self.kept:
            spans = self.bars.groupby("symbol")["event_time"].agg(["min", "max"])
            start = spans["min"].max().ceil("D")
            hours = pd.date_range(start, spans["max"].min(), freq="h")
            wide = self.bars.drop_duplicates(["symbol", "event_time"], keep="last").pivot(
                index="event_time", columns="symbol", values=list(FIELDS)).reindex(hours)
            opened, high, low, close, volume = (wide[name].to_numpy(dtype=np.float64) for name in FIELDS)
            names, values = features(Bars(opened, high, low, close, volume, instant(start) // HOUR_US), wanted)
            rows = HOURS * len(spans)
            lost = (len(hours) * len(spans) - len(values)) // rows
            self.kept[wanted] = Dated(names, values[:len(values) // rows * rows],
                                      (start + lost * DAY).to_pydatetime(), len(spans))
        return self.kept[wanted]


def read(settings: Settings) -> RealMarket:
    """The hourly bars of the configured files (``TIDEMARK_DATA_DIR``, ``TIDEMARK_MANIFEST``).

    Raises:
        ConfigError: there are none.
    """
    from pipelines.ingest.files.provider import FilesProvider

    always = Window(datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    bars = FilesProvider.from_settings(settings).fetch(always, [Kind.BARS]).frames.get(Kind.BARS)
    hourly = None if bars is None else bars[bars["interval"] == "1h"]
    if hourly is None or hourly.empty:
        raise ConfigError(f"the files of {settings.data_dir} hold no hourly bars; name some in the manifest")
    return RealMarket(hourly.reset_index(drop=True))


def years(market: RealMarket, rng: np.random.Generator) -> Outcome:
    """Volatility features from a training in early 2021 to mid 2022."""
    end = FIRST_END + int(rng.integers((LAST_END - FIRST_END) // DAY + 1)) * DAY
    found = market.features(VOLATILITY)
    rows = found.days(end - TRAINING * DAY, UNTIL)
    return watch(Track(rows.reshape(-1, len(found.names)), TRAINING, RULES.window_days, rows.shape[1], onset=0,
                       names=found.names, start=end - TRAINING * DAY), RULES, patience=len(rows))


def halves(market: RealMarket, rng: np.random.Generator) -> Outcome:
    """The odd hours of a stretch are the training, its even hours are watched (or the other way round)."""
    found = market.features(USUAL)
    days = len(found.values) // (HOURS * found.symbols)
    first = found.start + int(rng.integers(days - SPAN + 1)) * DAY
    hours = found.days(first, first + SPAN * DAY).reshape(SPAN * HOURS, found.symbols, -1)
    odd = int(rng.integers(2))
    rows = np.concatenate([hours[odd::2], hours[1 - odd::2]]).reshape(-1, len(found.names))
    return watch(Track(rows, SPAN, RULES.window_days, HOURS // 2 * found.symbols, RULES.window_days,
                       names=found.names, start=first), RULES)


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    known: tuple[tuple[str, Truth, str, str, Draw], ...] = (
            ("coins_halves", "null", f"real coins, 50 features, odd against even hours of the same {SPAN} days",
             "at least one alarm in any of the windows", halves),
            ("coins_2021_2022", "alternative", f"real coins, volatility features, {TRAINING} days of training that end "
             "in early 2021", "an alarm begins before mid 2022", years))
    for name, kind, what, counts, draw in known:
        def outcomes(reps: int, seed: int, market: RealMarket | None, name: str = name,
                     draw: Draw = draw) -> Iterator[Outcome]:
            if market is None:
                raise ContractError("real coins need real bars; read them with calibration.drift.coins.read")
            for number in range(reps):
                yield draw(market, generator(name, seed, number))
        yield Scenario(name, kind, what, counts, outcomes, needs_data=True)
