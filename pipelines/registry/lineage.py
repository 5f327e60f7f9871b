"""Where a version came from: version → run → snapshot → rows and revisions → sources.

The ledger names the run and the digests, MLflow keeps what the run was given, and the warehouse still knows what it
knew at ``as_of``. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError

from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line
from pipelines.contracts.records import Candidate
from pipelines.errors import ConfigError, RegistryError
from pipelines.features import catalog, labels, view
from pipelines.registry.client import ModelRegistry, Run, Version
from pipelines.sentiment.run import LEAD
from pipelines.store import Warehouse, asof, ledger, snapshots

UNKNOWN = "unknown"
#: Tables of a line's TOML that decide what a snapshot and a model are; the others only judge and watch.
DECIDING = ("interval", "symbols", "target", "features", "walk_forward", "search")
_HOUR = timedelta(hours=1)
#: Before any trade.
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_PARAMS = "model."


@dataclass(frozen=True)
class Source:
    """The facts of one kind and source that a training could read: ``facts`` of them in ``revisions`` rows (first
    versions included), known before ``as_of``; times UTC."""

    kind: str
    source: str
    facts: int
    revisions: int
    first_event: datetime
    last_event: datetime
    first_available: datetime
    last_available: datetime


@dataclass(frozen=True)
class Lineage:
    """Everything that is recorded about the making of a version.

    Attributes:
        environment: commit, lock digest, Python and platform of the training, under the names of their tags.
        params: the family's parameters, as numbers.
        features: version of the feature list and a digest of what it declared then (``catalog.stamp``).
        trained_through: the latest label that the final fit has seen (UTC).
        window_start, window_end: the rows of the snapshot became available in ``[start, end)``; None when the
            warehouse does not have the snapshot.
        frozen_at: when the snapshot was stored (wall clock, UTC).
        sources: what the training could read, by kind and source.
        contradictions: where ledger, version and run disagree, in sentences; empty when all is well.
    """

    line: str
    version: int
    run_id: str
    family: str
    params: Mapping[str, Any]
    seed: int
    features: str
    as_of: datetime
    trained_through: datetime
    snapshot_digest: str
    evidence_digest: str
    model_file: str
    model_content: str
    environment: Mapping[str, str]
    window_start: datetime | None
    window_end: datetime | None
    rows: int | None
    frozen_at: datetime | None
    sources: tuple[Source, ...]
    contradictions: tuple[str, ...]

    @property
    def git_commit(self) -> str:
        return self.environment[tags.GIT_COMMIT]

    @property
    def lock_digest(self) -> str:
        return self.environment[tags.LOCK]


def lineage(warehouse: Warehouse, settings: Settings, line: Line, version: int) -> Lineage:
    """Follow a version back to its sources.

    Raises:
        RegistryError: the ledger or MLflow has no such version, or its run does not say how it was made.
        TrackingUnavailable: MLflow cannot be reached.
    """
    with warehouse.begin() as connection:
        candidate = ledger.candidate(connection, line.name, version)
    registry = ModelRegistry(settings)
    found, run = registry.version(line, version), registry.run(candidate.run_id)
    stored = snapshots.entry(warehouse, candidate.snapshot_digest, line=line.name)
    seed = found.tags.get(tags.SEED) or run.tags.get(tags.SEED)
    if seed is None:
        raise RegistryError(f"neither version {version} of {line.name} nor its run records a seed ({tags.SEED}); it "
                            "was not registered by a training and has no lineage")
    return Lineage(
        line=line.name, version=version, run_id=candidate.run_id, family=candidate.family,
        params={key.removeprefix(_PARAMS): number(text) for key, text in sorted(run.params.items())
                if key.startswith(_PARAMS)},
        seed=int(seed), features=found.tags.get(tags.FEATURES, UNKNOWN), as_of=candidate.as_of,
        trained_through=candidate.trained_through,
        snapshot_digest=candidate.snapshot_digest, evidence_digest=candidate.evidence_digest,
        model_file=found.tags.get(tags.MODEL_FILE, UNKNOWN), model_content=found.tags.get(tags.MODEL_CONTENT, UNKNOWN),
        environment={name: found.tags.get(name, UNKNOWN)
                     for name in (tags.GIT_COMMIT, tags.LOCK, tags.PYTHON, tags.PLATFORM)},
        window_start=stored[0].start if stored else None, window_end=stored[0].end if stored else None,
        rows=stored[0].rows if stored else None, frozen_at=stored[1] if stored else None,
        sources=tuple(sources(warehouse, recorded_line(line, run.params), candidate.as_of)),
        contradictions=tuple(contradictions(candidate, found, run)))


def sources(warehouse: Warehouse, line: Line, as_of: datetime, *,
            recorded_after: datetime | None = None) -> list[Source]:
    """What a training of ``line`` as of a time can read (known before it), by kind and source: bars with the look-back
    of features, labels and medians, and, as far as the line's features use them, documents and indicators; a whole
    log of trades; or the labelled texts of a line that learns from these.

    Args:
        recorded_after: only what was written after this wall-clock time.
    """
    groups = catalog.select(line.features.groups)
    inputs = {name for feature in catalog.features(groups) for name in feature.inputs}
    first = as_of - timedelta(days=line.walk_forward.history_days) - line.horizon
    lead = max(max(catalog.lookback(groups), view.WAIT) * _HOUR + view.GRACE + line.bar, labels.history(line))
    wanted: list[tuple[Kind, timedelta, list[str] | None, list[str] | None]] = [
        (Kind.BARS, lead, list(line.symbols) or None, None)]
    if "sentiment_aggregates" in inputs:
        wanted.append((Kind.DOCUMENTS, LEAD, None, None))
    if names := sorted(name.partition(":")[2] for name in inputs if name.startswith("indicators:")):
        wanted.append((Kind.INDICATORS, timedelta(days=8), None, names))
    if line.target.rows == "trades":
        wanted.append((Kind.TRADES, first - _BEGINNING, list(line.symbols) or None, list(line.target.sources) or None))
    elif not line.on_bars:
        wanted = [(Kind.LABELS, -line.horizon, None, list(line.target.sources) or None)]
    found = []
    for kind, before, symbols, named in wanted:
        table = asof.sources(warehouse, kind, as_of=asof.just_before(as_of), start=first - before, end=as_of,
                             symbols=symbols, names=named, recorded_after=recorded_after)
        found += [Source(kind.value, str(row["source"]), int(row["facts"]), int(row["revisions"]),
                         *(row[name].to_pydatetime() for name in (
                             "first_event", "last_event", "first_available", "last_available")))
                  for row in table.to_dict("records")]
    return found


def recorded_line(line: Line, params: Mapping[str, str]) -> Line:
    """The line as the run was given it: the tables that decide a model from the run's parameters, the rest as it is
    today.

    Raises:
        RegistryError: a recorded key or value that today's code does not know.
    """
    values = line.model_dump()
    for name in DECIDING:
        field = Line.model_fields[name].annotation
        if isinstance(field, type) and issubclass(field, BaseModel):
            inner = {key.partition(".")[2]: text for key, text in params.items() if key.startswith(f"{name}.")}
            if inner:
                values[name] = {key: _listed(text, field.model_fields[key].annotation)
                                if key in field.model_fields else text for key, text in inner.items()}
        elif name in params:
            values[name] = _listed(params[name], field)
    try:
        found = Line.model_validate(values)
        catalog.select(found.features.groups)
        return found
    except (ValidationError, ConfigError) as error:
        problems = str(error) if isinstance(error, ConfigError) else "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise RegistryError(f"{line.name} was trained with a configuration that this code does not know ({problems}); "
                            "check out the commit of the training") from error


def contradictions(candidate: Candidate, version: Version, run: Run) -> list[str]:
    """Where the ledger, the version's tags and the run's tags tell different stories."""
    told = {
        tags.RUN: candidate.run_id, tags.FAMILY: candidate.family, tags.AS_OF: candidate.as_of.isoformat(),
        tags.SNAPSHOT: candidate.snapshot_digest, tags.EVIDENCE: candidate.evidence_digest,
        tags.TRAINED_THROUGH: candidate.trained_through.isoformat()}
    found = []
    if version.run_id != candidate.run_id:
        found.append(f"MLflow says that version {version.version} belongs to run {version.run_id}, the ledger says "
                     f"{candidate.run_id}")
    names = (*told, tags.SEED, tags.MODEL_FILE, tags.MODEL_CONTENT)
    for name in names:
        said = {who: text for who, text in (("the ledger", told.get(name)), ("the version", version.tags.get(name)),
                                            ("the run", run.tags.get(name))) if text is not None}
        if len(set(said.values())) > 1:
            found.append(f"{name}: " + ", ".join(f"{who} says {text[:40]}" for who, text in said.items()))
    return found


def number(text: str) -> Any:
    """A parameter as it was before MLflow made it text: int, float, bool, None, or the text."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return {"True": True, "False": False, "None": None}.get(text, text)


def _listed(text: str, annotation: Any) -> Any:
    if get_origin(annotation) is tuple:
        return tuple(part for part in text.split(", ") if part)
    return text
