"""The feature groups that lines may name. A new group is one file and one line here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

import pandas as pd

from pipelines.contracts.line import Line
from pipelines.errors import ConfigError
from pipelines.features.declare import Feature, Group
from pipelines.features.groups import (
    alpha158,
    compressed,
    confluence,
    cross_asset,
    cycles,
    dictionary,
    history,
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
    alpha158.GROUP,
    time.GROUP,
    sentiment.GROUP,
    indicators.GROUP,
    history.GROUP,
    lexicon.GROUP,
    words.GROUP,
)}


def select(names: Iterable[str]) -> tuple[Group, ...]:
    """What a list like ``["returns", "volatility.atr_14h"]`` names: whole groups, and of a group whose features are
    named one by one a copy that holds these alone. Groups stand in the order of their first mention, features as they
    are listed.

    Raises:
        ConfigError: an unknown name, one named twice, or a feature named beside its whole group.
    """
    listed = tuple(names)
    if twice := sorted({name for name in listed if listed.count(name) > 1}):
        raise ConfigError(f"features.groups is {list(listed)} and names {', '.join(twice)} more than once; name each "
                          "group and each feature once")
    chosen: dict[str, list[Feature]] = {}
    for name in listed:
        group_name, dot, feature_name = name.partition(".")
        if group_name not in GROUPS:
            raise ConfigError(f"features.groups names {name!r}, which is unknown;{_meant(name)} name groups, or single "
                              f"features like 'volatility.atr_14h', from: {', '.join(GROUPS)}")
        group = GROUPS[group_name]
        if dot and group_name in listed:
            raise ConfigError(f"features.groups names {name!r} beside its whole group; leave one of the two out")
        found = [feature for feature in group.features if not dot or feature.name == feature_name]
        if not found:
            raise ConfigError(f"features.groups names {name!r};{_meant(feature_name)} {group_name} has: "
                              f"{', '.join(feature.name for feature in group.features)}")
        chosen.setdefault(group_name, []).extend(found)
    return tuple(_narrowed(GROUPS[name], tuple(features)) for name, features in chosen.items())


def _narrowed(group: Group, features: tuple[Feature, ...]) -> Group:
    if features == group.features:
        return group
    if group.from_texts is not None:
        raise ConfigError(f"{group.name} is computed whole; name the group in features.groups, not its features")
    return replace(group, features=features)


def _meant(name: str) -> str:
    """A guess at what an unknown name should have been."""
    homes = {feature.name: group.name for group in GROUPS.values() for feature in group.features}
    near = get_close_matches(name, [*GROUPS, *homes, *(f"{home}.{feature}" for feature, home in homes.items())], n=1)
    return f" did you mean {f'{homes[near[0]]}.{near[0]}' if near[0] in homes else near[0]!r}?" if near else ""


def of(line: Line) -> tuple[Group, ...]:
    """The groups of a line, narrowed to the features that it names, without those that look back further than its
    ``longest_bars``.

    Raises:
        ConfigError: as ``select``, a group that is not made of what the line's rows are, or no feature that looks back
            so little.
    """
    groups, texts = select(line.features.groups), line.target.rows == "texts"
    strange = [group.name for group in groups if (group.from_texts is not None) != texts]
    if strange:
        fitting = ", ".join(name for name, group in GROUPS.items() if (group.from_texts is not None) == texts)
        raise ConfigError(f"features.groups of {line.name} names {', '.join(strange)}; its rows are "
                          f"{line.target.rows}: choose from {fitting}")
    longest = line.features.longest_bars
    if longest is None:
        return groups
    short = tuple(replace(group, features=kept) for group in groups
                  if (kept := tuple(feature for feature in group.features if feature.lookback <= longest)))
    if not short:
        raise ConfigError(f"every feature of {line.name} looks back over more than features.longest_bars = {longest} "
                          "bars; raise it or name other groups")
    return short


def features(groups: Sequence[Group]) -> tuple[Feature, ...]:
    """All features of these groups: the columns of a matrix, in order."""
    return tuple(column for group in groups for feature in group.features for column in feature.columns())


def lookback(groups: Sequence[Group]) -> int:
    """How many bars before its own a row of these groups needs."""
    return max(feature.lookback for feature in features(groups))


def inputs(groups: Sequence[Group]) -> frozenset[str]:
    """The columns and tables that these groups read."""
    return frozenset(name for group in groups for feature in group.features for name in feature.inputs)


def stamp(line: Line) -> str:
    """The version of the line's feature list and a digest of what it declares, like ``1-3f2a9c01b7de``: two lists that
    bear one number, or one list whose declarations have changed, cannot be taken for each other.

    Raises:
        ConfigError: as ``select``.
    """
    declared = [(group.name, feature.name, feature.inputs, feature.lookback, feature.unit, feature.source,
                 feature.neutral, feature.width) for group in select(line.features.groups)
                for feature in group.features]
    return f"{line.features.version}-{hashlib.sha256(repr(declared).encode()).hexdigest()[:12]}"


def describe(groups: Iterable[Group] | None = None) -> pd.DataFrame:
    """What is declared, one row per feature, of these groups or of all: group, feature, inputs, lookback (bars), unit,
    availability, source, gaps, absent (the value in place of a missing one, or that its row is left out), neutral (NaN
    where there is none)."""
    return pd.DataFrame([
        {"group": group.name, "feature": feature.name, "inputs": ", ".join(feature.inputs),
         "lookback": feature.lookback, "unit": feature.unit, "availability": group.availability,
         "source": feature.source, "gaps": group.gaps, "absent": feature.absent, "neutral": feature.neutral}
        for group in (GROUPS.values() if groups is None else groups) for feature in group.features])
