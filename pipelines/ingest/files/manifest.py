"""``source.toml``: which files hold which facts, and how their columns are to be read.

Paths are relative to the data directory, not to the manifest. See ``docs`` and ``tests/data/shared.toml`` for
examples. Unknown keys are refused: a typing error must not silently fall back to a default.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import typing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipelines.contracts.columns import SCHEMAS, FactSchema, Kind
from pipelines.errors import ConfigError
from pipelines.ingest.files import freqtrade

Unit = Literal["auto", "iso", "date", "s", "ms", "us", "ns", "shuffled"]
_DELAY = re.compile(r"(\d{1,6}) ?(d|h|min|s)\Z")
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "min": timedelta(minutes=1), "s": timedelta(seconds=1)}
Format = Literal["csv", "parquet", "jsonl", "freqtrade"]
#: Kinds whose rows have a name of their own, and the column it stands in.
NAMED = {Kind.DOCUMENTS: "doc_id", Kind.LABELS: "doc_id", Kind.TRADES: "trade_id"}


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _positive(value: str) -> str:
    if _DELAY.match(value) is None:
        raise ValueError(f"{value!r} is not a delay; write a whole number and d, h, min or s: 1d, 12h, 15min")
    return value


def _zoned(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("has no zone; write it with one, such as 2022-12-01T00:00:00Z")
    return value


def length(text: str) -> timedelta:
    """How long ``1d``, ``12h``, ``15min`` or ``30s`` is."""
    found = _DELAY.match(text)
    return timedelta(0) if found is None else int(found[1]) * _UNITS[found[2]]


class TimeSpec(_Strict):
    """How a column tells the time.

    Attributes:
        unit: ``s``, ``ms``, ``us``, ``ns`` since 1970; ``iso``: ISO 8601 texts; ``date``: a day; ``auto``: numbers by
            their size (seconds mixed with milliseconds are told apart value by value), texts as ISO 8601;
            ``shuffled``: the set has no times, so the SHA-256 of the column's value picks an instant of ``[start,
            start + over)``. The order is arbitrary and says nothing, but it stays, whatever is added to the set.
        format: strptime pattern, instead of a unit.
        zone: IANA zone of values without an offset. An offset in the value always wins.
    """

    column: str
    unit: Unit = "auto"
    format: str | None = None
    zone: str = "UTC"
    start: datetime | None = None
    over: str | None = None

    @field_validator("zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"no time zone {value!r}; write an IANA name such as America/New_York") from error
        return value

    @property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @model_validator(mode="after")
    def _one_way(self) -> TimeSpec:
        if self.format is not None and self.unit not in ("auto", "date"):
            raise ValueError("format and unit exclude each other; keep one")
        if (self.unit == "shuffled") != (self.start is not None) or (self.start is None) != (self.over is None):
            raise ValueError("start and over belong to unit = \"shuffled\", which needs both")
        if self.start is not None and self.over is not None:
            _zoned(self.start)
            _positive(self.over)
        return self


class Delay(_Strict):
    """Known a fixed time after the event."""

    delay: str

    _check = field_validator("delay")(_positive)

    @property
    def length(self) -> timedelta:
        return length(self.delay)


class At(_Strict):
    """Known at one time for all rows, such as the day of a crawl."""

    at: datetime

    _check = field_validator("at")(_zoned)


def _time(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


Time = Annotated[TimeSpec, BeforeValidator(_time)]
Rule = Literal["at_event", "at_close", "at_open_and_close", "next_day"]


class Entry(_Strict):
    """One kind of facts in one file, or in all files that match a pattern.

    Attributes:
        path: file or glob pattern below the data directory.
        symbol_from_path: regular expression with one group that finds the symbol in the path.
        format: by the name's ending unless stated; ``freqtrade`` brings its columns, time and availability along.
        columns: contract column → the file's column. Required columns of the same name need no entry; optional ones
            are read only if named here, so nothing known later slips in unasked.
        constants: contract column → the same value for all rows.
        wide: indicators: name → the file's column with its values.
        components: indicators: columns kept beside the value.
        time: when it happened.
        available: when it could be known: ``at_event``, ``at_close`` (a bar's end, a trade's closing),
            ``at_open_and_close`` (trades: the opening at once, the outcome as a revision when it closed), ``next_day``
            (midnight in the zone of ``time``), ``{delay = "1d"}``, ``{at = ...}`` or ``{column = ...}``.
        identity: documents, labels and trades: columns that name a row; left out, a digest of its content does.
        judgements: labels: the file's word for a judgement → our number, such as ``{positive = 1, negative = -1}``.
        scale: labels: what the file's numbers are divided by, so that they lie between -1 and 1.
        duplicates: which row of the same key wins, in the order of the file. Left out, rows that contradict each
            other are refused.
        skip_missing: empty values mean "not observed" and are passed over, not refused.
        text_limit: documents and labels: characters that are kept.
        symbols: the file's name of a symbol → ours.
    """

    path: str
    kind: Kind
    time: Time
    available: Rule | Delay | At | TimeSpec
    format: Format | None = None
    symbol_from_path: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    constants: dict[str, str | float] = Field(default_factory=dict)
    wide: dict[str, str] = Field(default_factory=dict)
    components: tuple[str, ...] = ()
    identity: tuple[str, ...] = ()
    judgements: dict[str, float] = Field(default_factory=dict)
    scale: float = Field(default=1.0, gt=0)
    symbols: dict[str, str] = Field(default_factory=dict)
    duplicates: Literal["first", "last"] | None = None
    skip_missing: bool = False
    text_limit: int | None = Field(default=None, ge=1)
    separator: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8"
    enabled: bool = True

    @model_validator(mode="before")
    @classmethod
    def _known_format(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("format") == "freqtrade" and values.get(
                "kind") == Kind.TRADES:
            given = dict(values.get("columns") or {})
            usual = {name: column for name, column in freqtrade.MAPPING.items()
                     if name not in dict(values.get("constants") or {})}
            return {"time": "open_date", "available": "at_open_and_close", **values, "columns": {**usual, **given}}
        return values

    @property
    def schema_(self) -> FactSchema:
        return SCHEMAS[self.kind]

    @property
    def file_format(self) -> Format:
        """The stated format, or the one the name says."""
        if self.format is not None:
            return self.format
        stem = self.path.lower().removesuffix(".gz")
        for ending, name in ((".csv", "csv"), (".parquet", "parquet"), (".jsonl", "jsonl"), (".ndjson", "jsonl")):
            if stem.endswith(ending):
                return typing.cast(Format, name)
        raise ConfigError(f"the name {self.path!r} does not say its format; add format = \"csv\", \"parquet\" or "
                          "\"jsonl\"")

    @field_validator("path")
    @classmethod
    def _inside(cls, value: str) -> str:
        if Path(value).is_absolute() or ".." in Path(value).parts:
            raise ValueError(f"{value!r} leaves the data directory; write a path below it")
        return value

    @field_validator("symbol_from_path")
    @classmethod
    def _one_group(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                groups = re.compile(value).groups
            except re.error as error:
                raise ValueError(f"{value!r} is not a regular expression: {error}") from error
            if groups != 1:
                raise ValueError(f"{value!r} has {groups} groups; put the symbol in exactly one: '([A-Z]+)_1h'")
        return value

    @model_validator(mode="after")
    def _makes_sense(self) -> Entry:
        if self.format == "freqtrade" and self.kind is not Kind.TRADES:
            raise ValueError('format = "freqtrade" holds trades; set kind = "trades"')
        known = set(self.schema_.columns) - {"event_time", "available_at", "components"}
        for table, names in (("columns", self.columns), ("constants", self.constants)):
            if unknown := sorted(set(names) - known):
                raise ValueError(f"{table} names {unknown}, which {self.kind.value} do not have; they have "
                                 f"{sorted(known)}" + (" (times are set by time and available)"
                                                       if {"event_time", "available_at"} & set(unknown) else ""))
        if twice := sorted(set(self.columns) & set(self.constants)):
            raise ValueError(f"{twice} are both a column and a constant; keep one")
        if (self.wide or self.components) and self.kind is not Kind.INDICATORS:
            raise ValueError("wide and components are for indicators; remove them or set kind = \"indicators\"")
        if self.wide and {"name", "value"} & {*self.columns, *self.constants}:
            raise ValueError("wide already says names and values; remove name and value from columns and constants")
        if self.identity and self.kind not in NAMED:
            raise ValueError("identity is for documents, labels and trades; bars and indicators are named by their "
                             "columns")
        if (self.judgements or self.scale != 1.0) and self.kind is not Kind.LABELS:
            raise ValueError("judgements and scale are for labels; remove them or set kind = \"labels\"")
        if self.available == "at_event" and self.kind is Kind.LABELS:
            raise ValueError("nobody judges a text in the moment it is written; use a delay, at or a column")
        if self.available == "at_close" and self.kind not in (Kind.BARS, Kind.TRADES):
            raise ValueError("at_close is for bars and trades; use at_event, next_day, a delay or a column")
        if self.available == "at_open_and_close" and self.kind is not Kind.TRADES:
            raise ValueError("at_open_and_close is for trades; use at_event, next_day, a delay or a column")
        if self.available in ("at_close", "at_open_and_close") and self.kind is Kind.TRADES \
                and "closed_at" not in self.columns:
            raise ValueError(f"{self.available} needs columns.closed_at, the file's column with the closing time")
        if self.symbol_from_path and "symbol" in {*self.columns, *self.constants}:
            raise ValueError("the symbol is stated twice; keep symbol_from_path, columns.symbol or constants.symbol")
        return self


class Manifest(_Strict):
    """A data directory: its name (the ``source`` of its facts unless an entry says otherwise) and its files."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{1,40}$")
    file: tuple[Entry, ...] = Field(min_length=1)

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.file if entry.enabled)


def parse(text: str, origin: str = "source.toml") -> Manifest:
    """Read a manifest.

    Raises:
        ConfigError: not TOML, an unknown key (with the one that was probably meant), or a wrong value.
    """
    try:
        return Manifest.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin} is not TOML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(dict.fromkeys(_problem(dict(item)) for item in error.errors()))
        raise ConfigError(f"{origin} is refused: {problems}") from error


def load(path: Path) -> Manifest:
    """Read a manifest file.

    Raises:
        ConfigError: it is not there, or is refused.
    """
    if not path.is_file():
        raise ConfigError(f"no manifest {path}; write one that says what the files hold (see tests/data/shared.toml), "
                          "or point TIDEMARK_MANIFEST at it")
    return parse(path.read_text(encoding="utf-8"), str(path))


def _problem(item: dict[str, Any]) -> str:
    # Names of union members are ours, not the reader's.
    place = [part for part in item["loc"] if part not in ("Delay", "At", "TimeSpec") and not str(part).startswith(
        "literal[")]
    where = ".".join(str(part) for part in place) or "manifest"
    if item["type"] == "extra_forbidden":
        key = str(place[-1])
        allowed = _keys(place[:-1])
        near = difflib.get_close_matches(key, allowed, n=1)
        return f"{where}: unknown key" + (f"; did you mean {near[0]!r}?" if near else f"; known are {allowed}")
    return f"{where}: {item['msg'].removeprefix('Value error, ')}"


def _keys(place: list[Any]) -> list[str]:
    if not place:
        return list(Manifest.model_fields)
    if place[-1] == "time":
        return list(TimeSpec.model_fields)
    if place[-1] == "available":
        return [*Delay.model_fields, *At.model_fields, *TimeSpec.model_fields]
    return list(Entry.model_fields)
