"""The law of trailing windows as checks that any group of bar features can be put to, and the bars that break it.

A value at row e depends on the bars e - look-back .. e of its own symbol and on the absolute hour, on nothing else, bit
for bit. Each check names the features that break it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from pipelines.features import catalog
from pipelines.features.declare import Bars, Feature, Group
from pipelines.features.view import FIELDS

#: Rows beyond the longest look-back of the group: those that are compared.
ROWS = 72
SYMBOLS = 4
#: A Monday, 2024-03-04 00:00 UTC, in hours since 1970.
MONDAY = 474_792
LONGEST = max((feature.lookback for group in catalog.GROUPS.values() for feature in group.features), default=0)


@dataclass(frozen=True)
class Edit:
    """Dirt in the bars: ``what`` happens to a symbol for ``hours`` hours, ``back`` hours before the last row."""

    what: str
    symbol: int
    back: int
    hours: int


@dataclass(frozen=True)
class Case:
    """One world and where it is cut: ``first`` is its first hour, ``place`` a row among the last ``ROWS``, ``symbol``
    the one that is computed alone."""

    edits: tuple[Edit, ...] = ()
    first: int = MONDAY
    place: int = ROWS // 2
    symbol: int = 0
    seed: int = 0


def _walks(hours: int, seed: int) -> np.ndarray:
    """Prices and volumes of shape (fields, hours, symbols): an ordinary symbol, a huge one, a tiny one, a frozen one
    without a single trade. Trends and calm or wild times last two days."""
    rng = np.random.default_rng(seed)
    shape = hours, SYMBOLS
    scale = np.array([100.0, 3e10, 2e-7, 7.0])
    times = np.arange(hours) // 48
    wild, trend = (rng.standard_normal((times[-1] + 1, SYMBOLS)) for _ in range(2))
    step = np.exp(0.8 * wild[times]) * rng.standard_normal(shape) + 0.3 * trend[times]
    step *= 0.01 * np.array([1.0, 3.0, 1.0, 0.0])
    close = scale * np.exp(np.cumsum(step, axis=0) - np.cumsum(step, axis=0)[-1:] / 2)
    opened = np.concatenate([scale[None], close[:-1]])
    wick = 0.004 * rng.random((2, *shape)) * (np.arange(SYMBOLS) != 3)
    high, low = np.maximum(opened, close) * (1 + wick[0]), np.minimum(opened, close) * (1 - wick[1])
    volume = np.round(rng.lognormal(5, 1, shape), 3) * np.array([1.0, 1e-6, 1e9, 0.0])
    return np.stack([opened, high, low, close, volume])


_WORLDS = {seed: _walks(LONGEST + ROWS + 1, seed) for seed in (0, 1)}


def edited(values: np.ndarray, edits: tuple[Edit, ...]) -> np.ndarray:
    values = values.copy()
    for edit in edits:
        end = values.shape[1] - edit.back
        part = values[:, max(end - edit.hours, 0):max(end, 0), edit.symbol]
        match edit.what:
            case "gap":
                part[:] = np.nan
            case "no volume":
                part[4] = 0.0
            case "frozen":
                part[:4], part[4] = part[3, :1], 0.0
            case "spike":
                part[:4] *= 1e4
            case "crash":
                part[:4] /= 1e4
            case _:
                raise ValueError(edit.what)
    return values


def bars(group: Group, case: Case, seed: int | None = None) -> Bars:
    """The group's longest look-back and ``ROWS`` rows more."""
    hours = catalog.lookback([group]) + ROWS
    values = _WORLDS[case.seed if seed is None else seed][:, -hours:]
    return Bars(*edited(values, case.edits), first=case.first)


def part(of: Bars, rows: slice, symbols: slice = slice(None)) -> Bars:
    """Some hours of some symbols."""
    return Bars(*(np.ascontiguousarray(getattr(of, field)[rows, symbols]) for field in FIELDS),
                first=of.first + (rows.start or 0))


def computed(group: Group, given: Bars) -> dict[str, np.ndarray]:
    with np.errstate(all="ignore"):
        return group.on_bars(given)


def equal(one: np.ndarray, other: np.ndarray) -> bool:
    """The same bits; a NaN is a NaN."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    same = np.ascontiguousarray(one).view(np.int64) == np.ascontiguousarray(other).view(np.int64)
    return bool((same | (np.isnan(one) & np.isnan(other))).all())


@dataclass(frozen=True)
class Trial:
    """A group on the bars of a case, and the last of the rows that only earlier bars can reach (``edge``)."""

    group: Group
    case: Case
    bars: Bars
    whole: dict[str, np.ndarray]

    @property
    def edge(self) -> int:
        return len(self.bars.close) - ROWS + self.case.place

    def differing(self, other: dict[str, np.ndarray], rows: Callable[[Feature], tuple[slice, slice]]) -> list[str]:
        """Features whose values differ; ``rows`` gives their rows in ``whole`` and in ``other``."""
        return [feature.name for feature in self.group.features
                if not equal(self.whole[feature.name][rows(feature)[0]], other[feature.name][rows(feature)[1]])]


def begin(trial: Trial) -> list[str]:
    """Arrays that begin later give the same: an incremental build and a live row equal a full build."""
    start = trial.case.place
    found = computed(trial.group, part(trial.bars, slice(start, None)))
    return trial.differing(found, lambda feature: (slice(start + feature.lookback, None),
                                                   slice(feature.lookback, None)))


def one_row(trial: Trial) -> list[str]:
    """The last row from its look-back alone, as a live row is computed."""
    wrong = []
    for reach in sorted({feature.lookback for feature in trial.group.features}):
        alone = replace(trial.group, features=tuple(
            feature for feature in trial.group.features if feature.lookback == reach))
        last = len(trial.bars.close) - 1
        found = computed(alone, part(trial.bars, slice(last - reach, None)))
        wrong += [feature.name for feature in alone.features
                  if not equal(found[feature.name][-1], trial.whole[feature.name][-1])]
    return wrong


def future(trial: Trial) -> list[str]:
    """Cutting off the future changes nothing."""
    found = computed(trial.group, part(trial.bars, slice(0, trial.edge)))
    return trial.differing(found, lambda _: (slice(0, trial.edge), slice(None)))


def past(trial: Trial) -> list[str]:
    """Other bars before the declared look-back change nothing."""
    changed = before(trial.group, trial.bars, trial.case, trial.case.place)
    return trial.differing(changed, lambda feature: (slice(trial.case.place + feature.lookback, None),) * 2)


def before(group: Group, given: Bars, case: Case, row: int) -> dict[str, np.ndarray]:
    """The group on bars that are of another world before ``row``."""
    other = bars(group, replace(case, edits=()), seed=1 - case.seed)
    mixed = {field: getattr(given, field).copy() for field in FIELDS}
    for field, values in mixed.items():
        values[:row] = getattr(other, field)[:row] * 1.25
    return computed(group, replace(given, **mixed))


def others(trial: Trial) -> list[str]:
    """Other symbols change nothing, unless the group declares that it looks across them."""
    if trial.group.across_symbols:
        return []
    column = slice(trial.case.symbol, trial.case.symbol + 1)
    found = computed(trial.group, part(trial.bars, slice(0, None), column))
    return [feature.name for feature in trial.group.features
            if not equal(trial.whole[feature.name][:, column], found[feature.name])]


def alone(trial: Trial) -> list[str]:
    """A line that names one feature of the group gets what the whole group gives."""
    feature = trial.group.features[trial.case.place % len(trial.group.features)]
    found = computed(replace(trial.group, features=(feature,)), trial.bars)
    return [] if list(found) == [feature.name] and equal(found[feature.name], trial.whole[feature.name]) else [
        feature.name]


def finite(trial: Trial) -> list[str]:
    """Never infinite; a feature without a neutral value is there when every bar of its look-back is."""
    missing = np.isnan(trial.bars.close)
    wrong = []
    for feature in trial.group.features:
        value = trial.whole[feature.name]
        gone = np.cumsum(np.concatenate([np.zeros((1, SYMBOLS), dtype=int), missing]), axis=0)
        complete = gone[feature.lookback + 1:] == gone[:len(gone) - feature.lookback - 1]
        absent = np.isnan(value[feature.lookback:]) & complete
        if np.isinf(value).any() or (feature.neutral is None and absent.any()):
            wrong.append(feature.name)
    return wrong


def shape(trial: Trial) -> list[str]:
    """What is declared, as float64 of the shape of the bars."""
    names = {feature.name for feature in trial.group.features}
    return sorted(names ^ set(trial.whole) | {
        name for name, value in trial.whole.items()
        if value.dtype != np.float64 or value.shape != trial.bars.close.shape})


def inputs(trial: Trial) -> list[str]:
    """The bars that were given are as they were: other groups compute from them."""
    fresh = bars(trial.group, trial.case)
    return [field for field in FIELDS if not equal(getattr(fresh, field), getattr(trial.bars, field))]


#: ``shape`` comes first: without it the others cannot be asked.
LAWS = (shape, inputs, begin, one_row, future, past, others, alone, finite)


def broken(group: Group, case: Case) -> dict[str, list[str]]:
    """Which laws the group breaks on the bars of this case, and with which features."""
    given = bars(group, case)
    trial = Trial(group, case, given, computed(group, given))
    if wrong := shape(trial):
        return {"shape": wrong}
    return {law.__name__: wrong for law in LAWS if (wrong := law(trial))}


def deaf(group: Group) -> Iterator[tuple[str, str]]:
    """Features that no bar of their look-back changes, or none of its older half: (feature, what it does not hear).

    In two worlds and at three times of the week, since a feature that begins anew with the week looks back furthest at
    its end. Of a flag the older half is not asked: it need not turn when what it is made of moves a little.
    """
    unheard = {(feature.name, what): None for feature in group.features for what in ("look-back", "older half")}
    for seed, first in ((0, MONDAY), (1, MONDAY - 60), (0, MONDAY - 130)):
        case = Case(first=first, seed=seed)
        given = bars(group, case)
        whole, rows = computed(group, given), len(given.close)
        elsewhere = before(group, given, case, rows)
        for reach in {feature.lookback for feature in group.features}:
            half = reach - reach // 2
            edge = rows - half - ROWS // 2
            changed = before(group, given, case, edge)
            for feature in group.features:
                value = whole[feature.name]
                if feature.lookback == reach:
                    if not equal(value[reach:], elsewhere[feature.name][reach:]):
                        unheard.pop((feature.name, "look-back"), None)
                    # The newest bar that is another one is half a look-back older than the first of these rows.
                    flag = 1 < len(np.unique(value[~np.isnan(value)])) < 4
                    if flag or not equal(value[edge - 1 + half:], changed[feature.name][edge - 1 + half:]):
                        unheard.pop((feature.name, "older half"), None)
    yield from unheard
