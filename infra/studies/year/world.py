"""The year that is played: two regime shifts that the inputs show, and the death of an edge that they do not.

Everything is made of the simulator's own parts (``pipelines.ingest.simulator``), spliced by the hour out of worlds
with one seed, which share every shock: a *calm* one; a *turned* one, in which volatility doubles, mood falls, more is
written and the edge has the other sign; and a *dead* one, equal to the calm one but that prices follow the mood of
another world. So before and after the death every input has the same law: documents are the same to the letter, returns
move as much as before, only that the one no longer tells of the other. Nothing but the outcome of predictions can show
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from pipelines.config import Simulator
from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import Batch, FloatArray
from pipelines.contracts.window import Window
from pipelines.ingest.simulator import mood, prices
from pipelines.ingest.simulator.market import INTERVAL, SOURCE, Market
from pipelines.ingest.simulator.streams import HOURS, coins
from pipelines.ingest.simulator.truth import up_probability
from pipelines.ingest.slices import between

#: Whose mood moves prices after the death; any world but the own one.
OTHER_SEED = 1_000_003
BAR = timedelta(hours=1)
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Calendar:
    """When what happens. ``turn``, ``back`` and ``death`` are days of the year, counted from 0; before the year lie
    ``history`` days that the first training learns from."""

    history: int = 45
    days: int = 365
    turn: int = 105
    back: int = 205
    death: int = 290
    begins: datetime = datetime(2024, 1, 1, tzinfo=UTC)

    def __post_init__(self) -> None:
        if not 0 < self.turn < self.back < self.death < self.days:
            raise ValueError(f"turn, back and death are days {self.turn}, {self.back} and {self.death} of a year of "
                             f"{self.days}; give them in this order, inside the year")

    @classmethod
    def of(cls, days: int) -> Calendar:
        """A shorter or longer year, with shifts and death at the same shares of it."""
        usual = cls()
        return cls(days=days, **{name: getattr(usual, name) * days // usual.days for name in ("turn", "back", "death")})

    @property
    def year(self) -> Window:
        return Window(self.begins, self.at(self.days))

    def at(self, day: int) -> datetime:
        """Midnight (UTC) at which a day of the year begins."""
        return self.begins + timedelta(days=day)

    @property
    def spans(self) -> dict[str, Window]:
        """Regime → its part of the year."""
        edges = [self.at(day) for day in (0, self.turn, self.back, self.death, self.days)]
        names = ("calm", "turned", "calm again", "edge dead")
        return {name: Window(start, end) for name, start, end in zip(names, edges[:-1], edges[1:], strict=True)}


@dataclass(frozen=True)
class Year:
    """The facts, and, for the drawing only, the truth.

    Attributes:
        bars, documents: in the columns of their kind, sorted by ``available_at``.
        oracle: ``symbol``, ``event_time`` (of the bar at whose close is decided) and ``probability``, P(next close is
            higher) of whoever knows the planted drift as far as documents tell it: a constant after the death.
    """

    calendar: Calendar
    symbols: tuple[str, ...]
    bars: pd.DataFrame
    documents: pd.DataFrame
    oracle: pd.DataFrame

    @property
    def window(self) -> Window:
        """Everything there is, from the first bar on."""
        return Window(self.calendar.at(-self.calendar.history), self.calendar.year.end)


def make(seed: int, calendar: Calendar, *, symbols: int = 3, edge: float = 1.4) -> Year:
    """One world; the same arguments give the same bytes.

    Args:
        seed: of the simulator.
        edge: the simulator's, in the calm; the turned regime has its negative.
    """
    start = calendar.at(-calendar.history)
    plain = Simulator(seed=seed, start=start, days=calendar.history + calendar.days, symbols=symbols, edge=edge, dirt=0)
    shifted = plain.model_copy(update={"shift_day": 1})
    other = plain.model_copy(update={"seed": seed + OTHER_SEED})
    chosen = coins(symbols)
    calm, turned, dead = (prices.simulate(world, chosen, _surprise(whose)) for world, whose in (
        (plain, plain), (shifted, shifted), (plain, other)))
    turn, back, death = ((calendar.history + day) * HOURS for day in (calendar.turn, calendar.back, calendar.death))
    hour = np.arange(plain.days * HOURS)
    regime = np.select([hour < turn, hour < back, hour < death], [0, 1, 0], 2)
    moves = {name: _chosen(regime, [_moves(path, name, [coin.price for coin in chosen])
                                    for path in (calm, turned, dead)]) for name in PRICES}
    opened = pd.date_range(start, periods=len(hour), freq="h", unit="us").repeat(symbols)
    names = tuple(coin.symbol for coin in chosen)
    paths = _paths(moves, [coin.price for coin in chosen], [coin.decimals for coin in chosen])
    bars = pd.DataFrame({
        "symbol": np.tile(np.array(names), len(hour)), "interval": INTERVAL, "event_time": opened,
        "available_at": opened + BAR, **{name: path.ravel() for name, path in paths.items()},
        "volume": _chosen(regime, [calm.volume, turned.volume, dead.volume]).ravel(), "source": SOURCE})
    rises = [up_probability(path.signal) for path in (calm, turned, dead)]
    rises[2] = np.full_like(rises[2], rises[2].mean())
    oracle = bars.loc[:len(bars) - symbols - 1, ["symbol", "event_time"]].assign(
        probability=_chosen(regime, rises)[1:].ravel())
    return Year(calendar, tuple(sorted(names)), bars, _documents(plain, shifted, calendar), oracle)


class YearProvider:
    """Serves a year by availability, as the simulator serves its markets."""

    name = SOURCE

    def __init__(self, year: Year) -> None:
        self._year = year

    def kinds(self) -> frozenset[Kind]:
        return frozenset({Kind.BARS, Kind.DOCUMENTS})

    def symbols(self) -> tuple[str, ...]:
        return self._year.symbols

    def span(self) -> Window:
        return self._year.window

    def fetch(self, window: Window, kinds: Iterable[Kind], symbols: Sequence[str] | None = None) -> Batch:
        """What became available in ``window``."""
        wanted = set(kinds)
        bars = self._year.bars if symbols is None else self._year.bars[self._year.bars["symbol"].isin(symbols)]
        found = {Kind.BARS: bars, Kind.DOCUMENTS: self._year.documents}
        return Batch({kind: between(frame, window) for kind, frame in found.items() if kind in wanted}, [])


def _surprise(settings: Simulator) -> FloatArray:
    """Observable mood less its usual level, shape (hours, coins): what the planted drift follows."""
    latent, market = mood.latent(settings)
    written = mood.documents(settings, latent, market)
    return np.asarray(mood.observable(settings, written) - mood.usual_tones(settings)[:, None])


def _documents(plain: Simulator, shifted: Simulator, calendar: Calendar) -> pd.DataFrame:
    """The documents of the calm world, and between ``turn`` and ``back`` those of the turned one."""
    parts = []
    for settings, spans in ((plain, ((None, calendar.turn), (calendar.back, None))),
                            (shifted, ((calendar.turn, calendar.back),))):
        frame = Market(settings).documents()
        for first, last in spans:
            keep = np.ones(len(frame), dtype=bool)
            if first is not None:
                keep &= (frame["event_time"] >= calendar.at(first)).to_numpy()
            if last is not None:
                keep &= (frame["event_time"] < calendar.at(last)).to_numpy()
            parts.append(frame[keep])
    whole = pd.concat(parts, ignore_index=True)
    return whole.sort_values(["available_at", "doc_id"], kind="stable", ignore_index=True)


def _chosen(regime: np.ndarray, of: Sequence[FloatArray]) -> FloatArray:  # type: ignore[type-arg]
    """Hour by hour the row of its regime, shape (hours, coins)."""
    return np.asarray(np.stack(of)[regime, np.arange(len(regime))])


def _moves(path: prices.Path, name: str, first: Sequence[float]) -> FloatArray:
    """A price of each bar over the close before it, shape (hours, coins)."""
    return np.asarray(getattr(path, name) / np.vstack([first, path.close[:-1]]))


def _paths(moves: dict[str, FloatArray], first: Sequence[float], decimals: Sequence[int]) -> dict[str, FloatArray]:
    """Prices from moves, with the simulator's decimals."""
    close = np.asarray(first) * np.cumprod(moves["close"], axis=0)
    before = np.vstack([first, close[:-1]])
    found = {name: before * move for name, move in moves.items() if name != "close"} | {"close": close}
    return {name: np.column_stack([np.maximum(np.round(path[:, at], places), 10.0**-places)
                                   for at, places in enumerate(decimals)]) for name, path in found.items()}
