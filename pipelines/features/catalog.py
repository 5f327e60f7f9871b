"""The feature groups that lines may name. A new group is one file and one line here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from pipelines.contracts.line import Line
from pipelines.errors import ConfigError
from pipelines.features.declare import Feature, Group
from pipelines.features.groups import (
    compressed,
    confluence,
    cross_asset,
    cycles,
    dictionary,
    indicators,
    lags,
    lexicon,
    oscillators,
    regime,
    returns,
    sentiment,
    spectral,
    time,
    trend,
    volatility,
    wavelet,
    words,
)

GROUPS: dict[str, Group] = {group.name: group for group in (
    returns.GROUP,
    trend.GROUP,
    volatility.GROUP,
    lags.GROUP,
    confluence.GROUP,
    cross_asset.GROUP,
    oscillators.GROUP,
    regime.GROUP,
    cycles.GROUP,
    spectral.GROUP,
    wavelet.GROUP,
    compressed.GROUP,
    dictionary.GROUP,
    time.GROUP,
    sentiment.GROUP,
    indicators.GROUP,
    lexicon.GROUP,
    words.GROUP,
)}


def select(names: Iterable[str]) -> tuple[Group, ...]:
    """The groups of these names, in their order.

    Raises:
        ConfigError: an unknown or repeated name.
    """
    wanted = tuple(names)
    unknown = [name for name in wanted if name not in GROUPS]
    if unknown or len(set(wanted)) < len(wanted):
        raise ConfigError(f"features.groups is {list(wanted)}; name each group once, from: {', '.join(GROUPS)}")
    return tuple(GROUPS[name] for name in wanted)


def of(line: Line) -> tuple[Group, ...]:
    """The groups of a line.

    Raises:
        ConfigError: an unknown or repeated name, or a group that is not made of what the line's rows are.
    """
    groups = select(line.features.groups)
    strange = [group.name for group in groups if (group.from_texts is None) != line.on_bars]
    if strange:
        fitting = ", ".join(name for name, group in GROUPS.items() if (group.from_texts is None) == line.on_bars)
        raise ConfigError(f"features.groups of {line.name} names {', '.join(strange)}; its rows are "
                          f"{'bars' if line.on_bars else 'texts'}: choose from {fitting}")
    return groups


def features(groups: Sequence[Group]) -> tuple[Feature, ...]:
    """All features of these groups: the columns of a matrix, in order."""
    return tuple(column for group in groups for feature in group.features for column in feature.columns())


def lookback(groups: Sequence[Group]) -> int:
    """How many bars before its own a row of these groups needs."""
    return max(feature.lookback for feature in features(groups))


def describe() -> pd.DataFrame:
    """The catalog as a table (for the documentation): group, feature, inputs, lookback, unit, source, neutral."""
    return pd.DataFrame([
        {"group": group.name, "feature": feature.name, "inputs": ", ".join(feature.inputs),
         "lookback": feature.lookback, "unit": feature.unit, "source": feature.source, "neutral": feature.neutral}
        for group in GROUPS.values() for feature in group.features])
