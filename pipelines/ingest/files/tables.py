"""Raw tables out of CSV, Parquet and JSON lines: the needed columns only, and the lines that are no rows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import ConfigError, SourceError
from pipelines.ingest.files import freqtrade
from pipelines.ingest.files.manifest import Format
from pipelines.ingest.typed import SHOW

#: What an empty number looks like. In texts these are words, so there only nothing is nothing.
_EMPTY = ["", "NA", "N/A", "n/a", "NaN", "nan", "null", "None"]


@dataclass(frozen=True)
class Table:
    """``frame``: columns as found, one row per row of the file; ``broken``: the raw lines that are no rows, each with
    the number of good rows before it."""

    frame: pd.DataFrame
    broken: tuple[tuple[int, str], ...] = ()


def read(path: Path, form: Format, columns: Iterable[str], numbers: Iterable[str], *, separator: str = ",",
         encoding: str = "utf-8", later: Iterable[str] = ()) -> Table:
    """Read ``columns`` of a file; those in ``numbers`` may come as numbers or texts, all others as found or texts.

    ``later``: columns that JSON lines need not have yet, such as the outcomes of trades that are all open.

    Raises:
        ConfigError: a column is not there.
        SourceError: the file cannot be read at all.
    """
    wanted = list(dict.fromkeys(columns))
    try:
        match form:
            case "parquet":
                return _parquet(path, wanted)
            case "jsonl":
                return _json_lines(path, wanted, encoding, set(later))
            case "freqtrade":
                return _freqtrade(path, wanted, encoding)
            case _:
                return _csv(path, wanted, set(numbers), separator, encoding)
    except (OSError, EOFError, LookupError, pa.ArrowException, pd.errors.EmptyDataError) as error:
        if isinstance(error, KeyError | IndexError):
            raise
        raise SourceError(f"{path} cannot be read as {form} ({error}); check the file and its format") from error


def _has(path: Path, wanted: list[str], found: list[str]) -> None:
    if lacking := [name for name in wanted if name not in found]:
        raise ConfigError(f"{path} has no column {', '.join(map(repr, lacking))}; it has {found}. Correct the manifest")


def _parquet(path: Path, wanted: list[str]) -> Table:
    with pq.ParquetFile(path) as file:
        _has(path, wanted, file.schema_arrow.names)
        return Table(file.read(columns=wanted, use_threads=False).to_pandas())


def _csv(path: Path, wanted: list[str], numbers: set[str], separator: str, encoding: str) -> Table:
    options: dict[str, Any] = {
        "sep": separator, "encoding": encoding, "encoding_errors": SHOW, "skipinitialspace": True}
    header = list(pd.read_csv(path, nrows=0, **options).columns)
    _has(path, wanted, header)
    # All columns are parsed: told to use a few, pandas would not notice a line with too many fields.
    options |= {
        "keep_default_na": False, "float_precision": "round_trip", "low_memory": False,
        "na_values": {name: _EMPTY if name in numbers else [""] for name in header},
        "dtype": {name: "str" for name in header if name not in numbers}}
    try:
        table = Table(pd.read_csv(path, **options))
    except pd.errors.ParserError:
        # Some line has too many fields. The slow parser can say which, so that only it is lost, and not silently.
        table = _csv_line_by_line(path, options)
    if not table.frame.index.equals(pd.RangeIndex(len(table.frame))):
        raise SourceError(f"the lines of {path} have more fields than its header; correct the header or the separator")
    return Table(table.frame[wanted], table.broken)


def _csv_line_by_line(path: Path, options: dict[str, Any]) -> Table:
    marks: list[str] = []

    def keep(fields: list[str]) -> None:
        marks.append(json.dumps(fields, ensure_ascii=False))

    slow = {key: value for key, value in options.items() if key not in ("float_precision", "low_memory")}
    frame = pd.read_csv(path, engine="python", on_bad_lines=keep, **slow)
    # The parser does not say where; the end is a place that every reading agrees on.
    return Table(frame, tuple((len(frame), mark) for mark in marks))


def _freqtrade(path: Path, wanted: list[str], encoding: str) -> Table:
    try:
        rows, broken = freqtrade.rows(path.read_text(encoding=encoding, errors=SHOW))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is no export of freqtrade ({str(error)[:200]}); check the file and its format") \
            from error
    _has(path, wanted, list(freqtrade.COLUMNS))
    columns = {name: pd.Series([row[name] for row in rows], dtype=object) for name in wanted}
    return Table(pd.DataFrame(columns), tuple((len(rows), text) for text in broken))


def _json_lines(path: Path, wanted: list[str], encoding: str, later: set[str]) -> Table:
    rows: list[dict[str, Any]] = []
    broken: list[tuple[int, str]] = []
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rt", encoding=encoding, errors=SHOW) as lines:
        for line in lines:
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if isinstance(row, dict):
                rows.append(row)
            else:
                broken.append((len(rows), line.rstrip("\n")))
    if rows:
        _has(path, [name for name in wanted if name not in later], sorted({name for row in rows for name in row}))
    columns = {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in wanted}
    return Table(pd.DataFrame(columns), tuple(broken))
