"""The feature groups that lines may name. A new group is one file and one line here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from pipelines.errors import ConfigError
from pipelines.features.declare import Feature, Group
from pipelines.features.groups import indicators, returns, sentiment, time, trend, volatility

GROUPS: dict[str, Group] = {group.name: group for group in (
    returns.GROUP,
    trend.GROUP,
    volatility.GROUP,
    time.GROUP,
    sentiment.GROUP,
    indicators.GROUP,
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


def features(groups: Sequence[Group]) -> tuple[Feature, ...]:
    """All features of these groups: the columns of a matrix, in order."""
    return tuple(feature for group in groups for feature in group.features)


def lookback(groups: Sequence[Group]) -> int:
    """How many bars before its own a row of these groups needs."""
    return max(feature.lookback for feature in features(groups))


def describe() -> pd.DataFrame:
    """The catalog as a table (for the documentation): group, feature, inputs, lookback, unit, source, neutral."""
    return pd.DataFrame([
        {"group": group.name, "feature": feature.name, "inputs": ", ".join(feature.inputs),
         "lookback": feature.lookback, "unit": feature.unit, "source": feature.source, "neutral": feature.neutral}
        for group in GROUPS.values() for feature in group.features])
