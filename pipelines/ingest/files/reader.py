"""From a file to a frame of facts, by the words of its manifest entry."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from pipelines.contracts.columns import FactSchema, Kind
from pipelines.contracts.records import Refused
from pipelines.errors import ConfigError, SourceError
from pipelines.ingest.checks import EARLIEST, LATEST, interval_length, probable_unit
from pipelines.ingest.files import tables
from pipelines.ingest.files.manifest import NAMED, At, Delay, Entry, TimeSpec
from pipelines.ingest.files.times import other_unit, read_times
from pipelines.ingest.payload import payload


@dataclass(frozen=True)
class Facts:
    """``frame``: the contract's columns by ``available_at``; ``refused``: rows whose time cannot be read, in a frame
    of ``available_at`` (of the row before them, so that each belongs to one window) and ``row`` (a ``Refused``)."""

    frame: pd.DataFrame
    refused: pd.DataFrame


def read(path: Path, entry: Entry, source: str) -> Facts:
    """The facts of one file. Kept by the process until the file changes.

    Raises:
        ConfigError: the manifest names a column that the file has not, or leaves one out.
        SourceError: the file cannot be read.
    """
    state = path.stat()
    return _read(str(path), state.st_mtime_ns, state.st_size, entry.model_dump_json(), source)


@lru_cache(maxsize=64)
def _read(path: str, _modified: int, _size: int, entry_json: str, source: str) -> Facts:
    return map_table(Path(path), Entry.model_validate_json(entry_json), source)


def symbol_of(path: Path, entry: Entry) -> str | None:
    """The symbol that the entry states for the whole file, None when rows have their own.

    Raises:
        ConfigError: ``symbol_from_path`` does not match.
    """
    if entry.symbol_from_path:
        found = re.search(entry.symbol_from_path, str(path))
        if found is None:
            raise ConfigError(f"symbol_from_path {entry.symbol_from_path!r} finds nothing in {path}; correct it")
        return entry.symbols.get(found[1], found[1])
    constant = entry.constants.get("symbol")
    return None if constant is None else str(constant)


def map_table(path: Path, entry: Entry, source: str) -> Facts:
    """Read and map one file, without the cache."""
    schema = entry.schema_
    constants: dict[str, object] = {"source": source, **entry.constants}
    if (symbol := symbol_of(path, entry)) is not None:
        constants["symbol"] = symbol
    mapped = _mapping(entry, set(constants))
    numbers = {mapped[name] for name, type_ in schema.values.items() if type_ == "float" and name in mapped}
    numbers |= set(entry.wide.values())
    table = tables.read(
        path, entry.file_format,
        [entry.time.column, *mapped.values(), *entry.wide.values(), *entry.components, *entry.identity,
         *([entry.available.column] if isinstance(entry.available, TimeSpec) else [])],
        numbers, separator=entry.separator, encoding=entry.encoding,
        later=[mapped[name] for name in schema.outcomes if name in mapped])
    raw = table.frame
    frame = pd.DataFrame({name: raw[column] for name, column in mapped.items()}, index=raw.index)
    for name, value in constants.items():
        if name in schema.columns and name not in frame:
            frame[name] = value
    clocks = {name: entry.time.model_copy(update={"column": mapped[name]})
              for name, type_ in schema.values.items() if type_ == "time" and name in mapped}
    clocks["event_time"] = entry.time
    for name, spec in clocks.items():
        frame[name] = read_times(raw[spec.column], spec)
    frame["available_at"] = _available(frame, raw, entry)
    if isinstance(entry.available, TimeSpec):
        clocks["available_at"] = entry.available
    _name_rows(frame, raw, entry)
    _shape_texts(frame, entry)
    _judge(frame, entry)
    if entry.components:
        frame["components"] = pd.Series([payload(row) for row in raw[list(entry.components)].to_dict("records")],
                                        dtype=object, index=frame.index)
    reasons = _unreadable(path, raw, frame, clocks)
    found = {name: raw[spec.column] for name, spec in clocks.items()}
    refused = _refusals(path, entry, source, frame, found, reasons, table.broken)
    frame = frame[reasons == ""]
    if entry.wide:
        frame = _to_long(frame, raw, entry)
    if entry.available == "at_open_and_close":
        frame = _both_versions(frame, schema)
    if entry.skip_missing:
        frame = frame.dropna(subset=[name for name in schema.required if name in frame])
    if entry.duplicates is not None:
        # The two versions of one trade are no duplicates.
        version = ["available_at"] if entry.available == "at_open_and_close" else []
        frame = frame.drop_duplicates([*schema.key, *version], keep=entry.duplicates)
    present = [name for name in schema.columns if name in frame]
    return Facts(frame[present].sort_values("available_at", kind="stable", ignore_index=True), refused)


def _both_versions(frame: pd.DataFrame, schema: FactSchema) -> pd.DataFrame:
    """Of each trade what was known when it opened, without its outcome; of one that has closed also all of it, known
    from then. A log that told of the opening already repeats it here, which the checks collapse."""
    outcomes = [name for name in schema.outcomes if name in frame]
    opening = frame.assign(**{name: pd.Series(None, index=frame.index, dtype=frame[name].dtype) for name in outcomes})
    closing = frame[frame["closed_at"].notna()]
    return pd.concat([opening, closing.assign(available_at=closing["closed_at"])], ignore_index=True)


def _mapping(entry: Entry, constants: set[str]) -> dict[str, str]:
    """Contract column → file column. Required ones fall back to their own name."""
    schema = entry.schema_
    given = {"event_time", "available_at", *constants, *entry.columns}
    if entry.kind in NAMED:
        given.add(NAMED[entry.kind])
    if entry.wide:
        given |= {"name", "value"}
    implied = {name: name for name in (*schema.key, *schema.required) if name not in given}
    return {**entry.columns, **implied}


def _available(frame: pd.DataFrame, raw: pd.DataFrame, entry: Entry) -> pd.Series:
    event, rule = frame["event_time"], entry.available
    if isinstance(rule, TimeSpec):
        return read_times(raw[rule.column], rule)
    if isinstance(rule, Delay):
        return event + rule.length
    if isinstance(rule, At):
        return pd.Series(pd.Timestamp(rule.at).tz_convert("UTC"), index=frame.index).astype(event.dtype)
    if rule == "next_day":
        # By the calendar of the source: a day of a clock change has 23 or 25 hours.
        local = event.dt.tz_convert(entry.time.tz)
        return (local.dt.normalize() + pd.DateOffset(days=1)).dt.tz_convert("UTC").astype(event.dtype)
    if rule == "at_close":
        return frame["closed_at"] if entry.kind is Kind.TRADES else event + _lengths(frame["interval"])
    return event.copy()


def _lengths(interval: pd.Series) -> pd.Series:
    """How long each row's bar lasts; an unknown interval lasts no time and is refused by the checks."""
    known = {value: interval_length(str(value)) or pd.Timedelta(0) for value in interval.unique()}
    return interval.map(known).astype("timedelta64[us]")


def _name_rows(frame: pd.DataFrame, raw: pd.DataFrame, entry: Entry) -> None:
    """Symbols by our names, and a name for each document, label or trade."""
    if entry.symbols and "symbol" in frame:
        frame["symbol"] = frame["symbol"].replace(entry.symbols)
    if entry.kind not in NAMED:
        return
    name = NAMED[entry.kind]
    if name in frame:
        frame[name] = _joined(frame[[name]])
    elif entry.identity:
        frame[name] = _joined(raw[list(entry.identity)])
    else:
        content = [column for column in ("event_time", "symbol", "side", "entry_price", "size", "title", "text", "url")
                   if column in frame]
        frame[name] = [hashlib.sha256((text or "").encode("utf-8", "backslashreplace")).hexdigest()[:24]
                       for text in _joined(frame[content])]


def _joined(columns: pd.DataFrame) -> pd.Series:
    """The columns as one text, parts separated by colons; missing where nothing is there at all."""
    if columns.shape[1] == 1 and isinstance(columns.iloc[:, 0].dtype, pd.StringDtype):
        return columns.iloc[:, 0]
    parts = [["" if gone else str(value) for value, gone in zip(columns[name], columns[name].isna(), strict=True)]
             for name in columns]
    joined = (":".join(row) for row in zip(*parts, strict=True))
    return pd.Series([text if text.strip(":") else None for text in joined], dtype=object, index=columns.index)


def _shape_texts(frame: pd.DataFrame, entry: Entry) -> None:
    if entry.text_limit is not None and "text" in frame:
        limit = entry.text_limit
        frame["text"] = frame["text"].map(lambda text: text[:limit] if isinstance(text, str) else text)


def _judge(frame: pd.DataFrame, entry: Entry) -> None:
    """Words of judgement as numbers, and numbers on our scale; a word nobody has declared stays, to be refused."""
    if entry.judgements:
        frame["label"] = frame["label"].astype(object).map(lambda word: entry.judgements.get(str(word), word))
    if entry.scale != 1.0:
        numbers = pd.to_numeric(frame["label"], errors="coerce")
        frame["label"] = (numbers / entry.scale).astype(object).where(numbers.notna(), frame["label"])


def _to_long(frame: pd.DataFrame, raw: pd.DataFrame, entry: Entry) -> pd.DataFrame:
    parts = [frame.assign(name=name, value=raw[column].loc[frame.index]) for name, column in entry.wide.items()]
    return pd.concat(parts, ignore_index=True)


def _unreadable(path: Path, raw: pd.DataFrame, frame: pd.DataFrame, clocks: dict[str, TimeSpec]) -> pd.Series:
    """Why a row belongs to no time, empty where it does."""
    reasons = pd.Series("", index=frame.index, dtype=object)
    for name, spec in clocks.items():
        needed = name in ("event_time", "available_at")
        found = raw[spec.column]
        bad = frame[name].isna() & (reasons == "") & (True if needed else found.notna())
        how = spec.format or spec.unit
        reasons[bad] = [f"{spec.column} {str(value)[:60]!r} in {path.name} names no instant (read as {how} in "
                        f"{spec.zone}{other_unit(value, spec)})" for value in found[bad]]
        if needed:
            # Nobody asks for the window of such a row: left among the facts, it would never be refused.
            outside = (reasons == "") & ((frame[name] < EARLIEST) | (frame[name] >= LATEST))
            reasons[outside] = [
                f"{name} {at.isoformat()} in {path.name} lies outside {EARLIEST.year} to {LATEST.year}; "
                f"{probable_unit(at)}" for at in frame[name][outside]]
    lost = frame["available_at"].isna() & (reasons == "")
    reasons[lost] = f"nothing in {path.name} says when the row could be known"
    return reasons


def _refusals(path: Path, entry: Entry, source: str, frame: pd.DataFrame, found: dict[str, pd.Series],
              reasons: pd.Series, broken: tuple[tuple[int, str], ...]) -> pd.DataFrame:
    """Rows without a time and lines that are no rows, each placed with the readable row before it.

    ``found``: what the file says where a time could not be read; it goes into quarantine as it is.
    """
    known = frame["available_at"].where(reasons == "")
    bad = frame.index[reasons != ""]
    if known.isna().all():
        if len(bad) or broken:
            example = reasons[bad[0]] if len(bad) else f"the first line is {broken[0][1][:60]!r}"
            raise SourceError(f"no row of {path} can be read: {example}; correct the manifest")
        return pd.DataFrame({"available_at": known, "row": pd.Series(dtype=object)})
    place = known.ffill().bfill()
    shown = frame.loc[bad].astype(object)
    for name, texts in found.items():
        shown[name] = shown[name].where(shown[name].notna(), texts.loc[bad].astype(object))
    rows = [Refused(source, entry.kind.value, reasons[label], payload(row))
            for label, row in zip(bad, shown.to_dict("records"), strict=True)]
    lines = [Refused(source, entry.kind.value, f"a line of {path.name} is no row",
                     payload({"line": line, "file": path.name})) for _, line in broken]
    before = [max(min(count, len(place)) - 1, 0) for count, _ in broken]
    times = pd.concat([place[bad], place.iloc[before]], ignore_index=True)
    refused = pd.DataFrame({"available_at": times, "row": pd.Series([*rows, *lines], dtype=object)})
    return refused.sort_values("available_at", kind="stable", ignore_index=True)
