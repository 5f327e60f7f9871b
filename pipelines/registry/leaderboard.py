"""The leaderboards of a line: its families in the last search, and its versions on the rows that they share."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.records import Candidate
from pipelines.errors import RegistryError, TrainingError
from pipelines.store import Warehouse, ledger, snapshots
from pipelines.training import search
from pipelines.training.leaderboard import BASE, Board, families, rank
from pipelines.validation.significance.hansen import MINIMUM_PERIODS

_KEY = ["symbol", "event_time"]


def boards(warehouse: Warehouse, settings: Settings, line: Line, version: int | None = None) -> list[Board]:
    """Families as of the training of ``version`` (default: the newest), then versions that share rows with it.

    Raises:
        RegistryError: the line has no candidate yet, or not this version.
        StoreError, IntegrityError: a snapshot is missing or damaged. StoreUnavailable
    """
    with warehouse.begin() as connection:
        known = {candidate.version: candidate for candidate in ledger.candidates(connection, line.name)}
    if not known:
        raise RegistryError(f"{line.name} has no version yet; train one with `tidemark train {line.name}`")
    if version is not None and version not in known:
        raise RegistryError(f"{line.name} has no version {version}; there are: {', '.join(map(str, sorted(known)))}")
    chosen = known[version if version is not None else max(known)]
    return [*_families(warehouse, settings, line, chosen), *_versions(warehouse, line, chosen, known)]


def _families(warehouse: Warehouse, settings: Settings, line: Line, chosen: Candidate) -> list[Board]:
    if chosen.search_digest is None:  # registered before trials' predictions were kept
        return []
    try:
        trials = search.records(settings.require("optuna_url"), f"{line.name}/{chosen.run_id}")
    except TrainingError:  # the study has been cleaned up; the run's leaderboard.html keeps what it said
        return []
    tried = snapshots.get(warehouse, chosen.search_digest)
    title = f"Families in the search of version {chosen.version}, as of {chosen.as_of:%Y-%m-%d %H:%M} UTC"
    return [families(tried, trials, title, line.search.seed)]


def _versions(warehouse: Warehouse, line: Line, chosen: Candidate, known: Mapping[int, Candidate]) -> list[Board]:
    """Versions on the evidence that all of them share with ``chosen``; nothing where no other shares enough."""
    common = snapshots.get(warehouse, chosen.evidence_digest)
    names, chances = {chosen.version: f"version {chosen.version}"}, common[[*_KEY, "y", BASE, "candidate"]].rename(
        columns={"candidate": f"version {chosen.version}"})
    for version, candidate in sorted(known.items(), reverse=True):
        if version == chosen.version:
            continue
        other = snapshots.get(warehouse, candidate.evidence_digest)[[*_KEY, "y", "candidate"]].rename(
            columns={"candidate": f"version {version}"})
        both = chances.merge(other, on=[*_KEY, "y"])
        if both["event_time"].nunique() >= MINIMUM_PERIODS:
            chances, names[version] = both, f"version {version}"
    if len(names) < 2:
        return []
    details = {name: f"{known[version].family}, as of {known[version].as_of:%Y-%m-%d %H:%M} UTC"
               for version, name in names.items()}
    columns: dict[str, pd.Series] = {name: chances[name] for name in (*names.values(), BASE)}
    return [rank(columns, chances["y"], chances["event_time"], title="Versions on the evidence that they share",
                 seed=line.search.seed, details=details)]
