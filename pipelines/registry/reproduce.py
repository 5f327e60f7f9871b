"""Rebuilding a version from its recorded lineage: identical, or what differs, in plain words.

Three questions, asked apart so that one answer does not hide another: does the warehouse still give the snapshot, does
the snapshot still give the model, and is the stored file still the one that was registered. Nothing is written.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.columns import ROW_KEY
from pipelines.contracts.line import Line
from pipelines.errors import (
    ContractError,
    InsufficientData,
    IntegrityError,
    RegistryError,
    StoreError,
    TrainingError,
    UnsafeArtifact,
)
from pipelines.features import catalog, snapshot
from pipelines.registry.client import ModelRegistry
from pipelines.registry.lineage import UNKNOWN, Lineage, lineage, recorded_line, sources
from pipelines.store import Warehouse, snapshots
from pipelines.store.digest import canonical, digest
from pipelines.training import families, fit
from pipelines.training.families import container
from pipelines.training.families.files import MODEL_FILES
from pipelines.training.lineage import environment

_NAMES = {tags.GIT_COMMIT: "commit of the code", tags.LOCK: "requirements.lock", tags.PYTHON: "Python",
          tags.PLATFORM: "platform"}


@dataclass(frozen=True)
class Check:
    """One comparison of digests: ``recorded`` at registration, ``rebuilt`` now (None: could not be rebuilt)."""

    what: str
    recorded: str
    rebuilt: str | None

    @property
    def same(self) -> bool:
        return self.recorded == self.rebuilt


@dataclass(frozen=True)
class Reproduction:
    """What a rebuild found.

    Attributes:
        identical: snapshot, model content and model file are bit for bit what was registered, and all records agree.
        differences: what is not, in sentences; empty when identical.
        notes: what differs around it without having changed the bytes (the commit, say), and where a difference
            probably comes from.
    """

    line: str
    version: int
    identical: bool
    checks: tuple[Check, ...]
    differences: tuple[str, ...]
    notes: tuple[str, ...]


def reproduce(warehouse: Warehouse, settings: Settings, line: Line, version: int) -> Reproduction:
    """Rebuild a version: the snapshot from the warehouse as of its time, then the model from the snapshot with the
    recorded configuration, family, parameters and seed (every family fits on one thread).

    When the rebuilt snapshot differs, the model is fitted on the stored one, so that data and fit are told apart.

    Raises:
        RegistryError: there is no such version, or it has no lineage. TrackingUnavailable, StoreUnavailable
    """
    known = lineage(warehouse, settings, line, version)
    registry = ModelRegistry(settings)
    then = recorded_line(line, registry.run(known.run_id).params)
    data, said = _snapshot(warehouse, then, known)
    checks, differences = [data], list(known.contradictions)
    differences += said
    stored, failure = _stored_frame(warehouse, known)
    if failure:
        differences.append(failure)
    frame = stored if stored is not None else _rebuilt_frame(warehouse, then, known)
    with tempfile.TemporaryDirectory(prefix="tidemark-reproduce-") as directory:
        fitted, words = _model(then, known, frame, Path(directory))
        file, more = _file(registry, line, known, Path(directory))
    checks += [*fitted, file]
    differences += [*words, *more]
    identical = not differences and all(check.same for check in checks)
    return Reproduction(line.name, version, identical, tuple(checks), tuple(differences),
                        tuple(_notes(warehouse, then, known, identical)))


def first_difference(stored: pd.DataFrame, rebuilt: pd.DataFrame) -> str:
    """How two frames of a line differ: columns, rows, cells, and the first cell in the order of the stored frame.

    Args:
        stored, rebuilt: frames with ``ROW_KEY``, each key once.
    """
    gone = [name for name in stored.columns if name not in rebuilt.columns]
    new = [name for name in rebuilt.columns if name not in stored.columns]
    one, other = (frame.set_index(list(ROW_KEY)) for frame in (stored, rebuilt))
    lost, added = one.index.difference(other.index), other.index.difference(one.index)
    parts = [f"{what} {', '.join(map(str, names[:5]))}" for what, names in (("lacks the columns", gone),
                                                                         ("has the new columns", new)) if names]
    parts += [f"{what} {len(rows)} rows (first: {_row(rows[0])})" for what, rows in (("lacks", lost), ("adds", added))
              if len(rows)]
    common = one.index[one.index.isin(other.index)]
    left, right = one.loc[common], other.loc[common]
    shared = [name for name in left.columns if name in right.columns]
    unequal = pd.DataFrame({name: ~((left[name] == right[name]) | (left[name].isna() & right[name].isna()))
                            for name in shared}, index=common)
    if unequal.to_numpy().any():
        columns = [name for name in shared if unequal[name].any()]
        rows = unequal.any(axis=1)
        at = rows.to_numpy().argmax()
        name = next(column for column in columns if unequal[column].iloc[at])
        parts.append(f"differs in {int(rows.sum())} of {len(common)} rows, columns {', '.join(columns[:8])}"
                     f"{' and more' if len(columns) > 8 else ''} (first: {name} of {_row(common[at])}, stored "
                     f"{left[name].iloc[at]!s}, rebuilt {right[name].iloc[at]!s})")
    return "; ".join(parts) or "the order or the types of its columns or rows differ"


def _row(key: tuple[str, pd.Timestamp]) -> str:
    return f"{key[0]} at {key[1]:%Y-%m-%d %H:%M} UTC"


def _rebuilt_frame(warehouse: Warehouse, line: Line, known: Lineage) -> pd.DataFrame | None:
    try:
        return snapshot.matrix(warehouse, line, known.as_of)[1]
    except (InsufficientData, ContractError):
        return None


def _stored_frame(warehouse: Warehouse, known: Lineage) -> tuple[pd.DataFrame | None, str]:
    try:
        return snapshots.get(warehouse, known.snapshot_digest), ""
    except StoreError as error:
        if error.retryable:
            raise
        return None, f"The stored snapshot cannot be used: {error}"


def _snapshot(warehouse: Warehouse, line: Line, known: Lineage) -> tuple[Check, list[str]]:
    what = "snapshot"
    rebuilt = _rebuilt_frame(warehouse, line, known)
    if rebuilt is None:
        return Check(what, known.snapshot_digest, None), [
            f"The warehouse no longer gives a snapshot as of {known.as_of:%Y-%m-%d %H:%M} UTC: its bars are gone or "
            "broken."]
    check = Check(what, known.snapshot_digest, digest(canonical(rebuilt)))
    if check.same:
        return check, []
    stored, _ = _stored_frame(warehouse, known)
    detail = "" if stored is None else f" The rebuilt one {first_difference(stored, rebuilt)}."
    words = [f"The snapshot rebuilt from the warehouse as of {known.as_of:%Y-%m-%d %H:%M} UTC is another one "
             f"({check.rebuilt and check.rebuilt[:12]}…, registered {known.snapshot_digest[:12]}…).{detail}"]
    return check, [*words, *_late(warehouse, line, known)]


def _late(warehouse: Warehouse, line: Line, known: Lineage) -> list[str]:
    if known.frozen_at is None:
        return []
    return [f"{item.revisions} rows of {item.kind} from {item.source} were written after the snapshot was frozen "
            f"({known.frozen_at:%Y-%m-%d %H:%M:%S} UTC) with an available_at before as_of (events "
            f"{item.first_event:%Y-%m-%d %H:%M} to {item.last_event:%Y-%m-%d %H:%M} UTC): the past was changed later."
            for item in sources(warehouse, line, known.as_of, recorded_after=known.frozen_at)]


def _model(line: Line, known: Lineage, frame: pd.DataFrame | None,
           directory: Path) -> tuple[list[Check], list[str]]:
    """Fit again, compare what was learned and the file it is written to."""
    content, file, words = None, None, []
    try:
        if frame is None:
            raise TrainingError("there is no snapshot to fit it on")
        family = families.get(known.family)
        model, _ = fit.final(fit.matrix(frame), line, known.family, known.params, known.seed)
        content = model.fingerprint()
        path = directory / f"refitted-{MODEL_FILES[family.flavor]}"
        container.write(model.native(), path)
        file = hashlib.sha256(path.read_bytes()).hexdigest()
    except (TrainingError, KeyError) as error:
        words.append(f"The model cannot be fitted again: {type(error).__name__}: {error}")
    checks = [Check("model content", known.model_content, content), Check("model file", known.model_file, file)]
    if content is not None and content != known.model_content:
        words.append(f"The model refitted as {known.family} with seed {known.seed} has learned something else (content "
                     f"{content[:12]}…, registered {known.model_content[:12]}…).")
    elif file is not None and file != known.model_file:
        words.append(f"The refitted model is the same, but its file is not ({file[:12]}…, registered "
                     f"{known.model_file[:12]}…): only the container differs.")
    return checks, words


def _file(registry: ModelRegistry, line: Line, known: Lineage, directory: Path) -> tuple[Check, list[str]]:
    """The artifact as it lies in the store; it is hashed, not opened."""
    name = MODEL_FILES[families.get(known.family).flavor]
    found, words = None, []
    try:
        path, = registry.download(registry.version(line, known.version).source, (name,), directory)
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != known.model_file:
            words.append(f"The stored {name} is damaged or was replaced (SHA-256 {found[:12]}…, registered "
                         f"{known.model_file[:12]}…); restore it from a backup.")
    except (UnsafeArtifact, RegistryError, IntegrityError) as error:
        words.append(f"The stored {name} cannot be fetched: {error}")
    return Check("stored file", known.model_file, found), words


def _notes(warehouse: Warehouse, line: Line, known: Lineage, identical: bool) -> list[str]:
    notes, present = [], environment()
    for name, words in _NAMES.items():
        then, now = known.environment[name], present[name]
        if then != now:
            likely = "" if identical or name == tags.GIT_COMMIT else "; this is the likely cause"
            notes.append(f"The {words} is another one: {then[:48]} then, {now[:48]} now{likely}.")
    if known.features not in (UNKNOWN, now := catalog.stamp(line)):
        notes.append(f"What its features declare is another thing: {known.features} then, {now} now"
                     f"{'' if identical else '; this is the likely cause'}.")
    if UNKNOWN in known.environment.values():
        notes.append("A part of the environment was not recorded when it was trained.")
    if identical and known.frozen_at is not None and (late := _late(warehouse, line, known)):
        notes += [f"{sentence} It changed no cell of the snapshot." for sentence in late]
    return notes
