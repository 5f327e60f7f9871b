"""Row checks: what may enter the warehouse. A bad row goes to quarantine whole, with the first rule it broke.

Nothing is mended here and nothing gets lost: every row of the input is clean, refused, or collapsed into the identical
row delivered before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from pipelines.contracts.columns import SCHEMAS, FactSchema, Kind
from pipelines.contracts.records import Refused
from pipelines.ingest.doubles import settle
from pipelines.ingest.payload import payload, printable
from pipelines.ingest.typed import Flags, Texts, typed

EARLIEST = pd.Timestamp("1980-01-01", tz="UTC")
LATEST = pd.Timestamp("2100-01-01", tz="UTC")
#: A time that is off by this factor was read with the wrong unit: (factor, what was read as what).
_UNITS = ((10**3, "seconds read as milliseconds"), (10**6, "seconds read as microseconds"),
          (10**9, "seconds read as nanoseconds"), (10**-3, "milliseconds read as seconds"))
_STEP = re.compile(r"(\d{1,4})([mhd])\Z")


@dataclass(frozen=True)
class Checked:
    """``clean`` has the contract's columns and types, by ``available_at``; ``collapsed`` counts doubled rows."""

    clean: pd.DataFrame
    refused: tuple[Refused, ...]
    collapsed: int


def check(kind: Kind, frame: pd.DataFrame, source: str) -> tuple[pd.DataFrame, list[Refused]]:
    """Split a raw frame into rows that may be stored and refused ones. See ``examine``."""
    checked = examine(kind, frame, source)
    return checked.clean, list(checked.refused)


def examine(kind: Kind, frame: pd.DataFrame, source: str) -> Checked:
    """Check every row of a raw frame.

    Args:
        frame: columns of ``SCHEMAS[kind]``; optional value columns may be missing. Times are zoned.
        source: who delivered it, for the refusals.

    Raises:
        ContractError: the frame as a whole is not of this kind: a column is missing or unknown, times without zone.
    """
    kind = Kind(kind)
    rows, texts, unreadable = typed(kind, frame)
    review = _Review(rows)
    for column, bad in unreadable.items():
        review.refuse(bad, f"{column} {{{column}}} is not a number", frame)
    _present(review, kind, texts)
    _in_time(review)
    _declared(review, SCHEMAS[kind])
    if kind in _RULES:
        _RULES[kind](review)
    # Nothing with a broken text may pass, whatever rule was checked first.
    good = rows[review.reasons == ""]
    kept, doubles, conflicts = settle(good, SCHEMAS[kind])
    for position, reason in conflicts.items():
        review.reasons[position] = reason
    clean = rows.loc[kept]
    clean = clean.sort_values("available_at", kind="stable", ignore_index=True)
    for column, text in texts.items():
        if text.loose:
            clean[column] = clean[column].astype("str")
    return Checked(clean, tuple(_refusals(kind, frame, review.reasons, source)), doubles)


class _Review:
    """Reasons per row; the first rule that a row breaks names it."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        self.reasons = np.full(len(rows), "", dtype=object)

    def refuse(self, bad: Flags, reason: str, values: pd.DataFrame | None = None) -> None:
        """Refuse rows where ``bad``; ``{column}`` in ``reason`` is filled with the row's value."""
        for position in np.flatnonzero(bad & (self.reasons == "")):
            row = (self.rows if values is None else values).iloc[position]
            self.reasons[position] = reason.format_map({str(name): _short(value) for name, value in row.items()})

    def refuse_each(self, found: Mapping[int, str]) -> None:
        """Refuse rows by position, each for its own reason."""
        for position, reason in found.items():
            self.reasons[position] = self.reasons[position] or reason

    def floats(self, column: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.asarray(self.rows[column].to_numpy(dtype=np.float64))


def _short(value: object) -> str:
    text = printable(value.isoformat() if isinstance(value, pd.Timestamp) and value is not pd.NaT else str(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _present(review: _Review, kind: Kind, texts: dict[str, Texts]) -> None:
    schema = SCHEMAS[kind]
    needed = {*schema.key, *schema.required}
    for column in ("event_time", "available_at"):
        review.refuse(review.rows[column].isna().to_numpy(), f"{column} is missing")
    for column, text in texts.items():
        review.refuse(text.wrong_type, f"{column} {{{column}}} is not a text")
        if column in needed:
            review.refuse(text.missing, f"{column} is missing")
            review.refuse(text.blank, f"{column} is empty")
        limit = schema.declared[column].longest
        review.refuse_each({place: f"{column} has {text.length[place]} characters; at most {limit} are taken"
                            for place in map(int, np.flatnonzero(text.length > limit))})
        review.refuse(text.nul, f"{column} holds a NUL character")
        review.refuse(text.broken, f"{column} is not valid Unicode; is its encoding right?")
    for column, type_ in schema.values.items():
        if type_ == "float":
            values = review.floats(column)
            if column in needed:
                review.refuse(np.isnan(values), f"{column} is missing")
            review.refuse(np.isinf(values), f"{column} is infinite")


def _in_time(review: _Review) -> None:
    event, known = review.rows["event_time"], review.rows["available_at"]
    for name, column in (("event_time", event), ("available_at", known)):
        outside = ((column < EARLIEST) | (column >= LATEST)).to_numpy()
        review.refuse_each({
            place: f"{name} {column.iloc[place].isoformat()} lies outside {EARLIEST.year} to {LATEST.year}; "
                   f"{probable_unit(column.iloc[place])}" for place in map(int, np.flatnonzero(outside))})
    review.refuse((known < event).to_numpy(), "known at {available_at}, before it happened at {event_time}")


def probable_unit(at: pd.Timestamp) -> str:
    """Which mistake in the unit of an epoch would explain a time outside 1980 to 2100, in words."""
    seconds, first, last = at.timestamp(), EARLIEST.timestamp(), LATEST.timestamp()
    for factor, mistake in _UNITS:
        if first <= seconds * factor < last:
            meant = datetime.fromtimestamp(seconds * factor, UTC).isoformat(timespec="seconds")
            return f"it looks like {mistake}, and would be {meant}"
    return "is its unit right?"


def _declared(review: _Review, schema: FactSchema) -> None:
    """Bounds and allowed values, as the schema declares them."""
    for name, column in schema.declared.items():
        if column.allowed:
            wrong = review.rows[name].notna() & ~review.rows[name].isin(column.allowed)
            review.refuse(wrong.to_numpy(dtype=bool), f"{name} {{{name}}} is {_none_of(column.allowed)}")
        if column.above is not None:
            review.refuse(review.floats(name) <= column.above, f"{name} {{{name}}} is not "
                          + ("positive" if column.above == 0 else f"above {column.above:g}"))
        if column.at_least is not None:
            review.refuse(review.floats(name) < column.at_least, f"{name} {{{name}}} is "
                          + ("negative" if column.at_least == 0 else f"below {column.at_least:g}"))


def _none_of(allowed: Sequence[str]) -> str:
    return f"neither {allowed[0]} nor {allowed[1]}" if len(allowed) == 2 else f"none of {', '.join(allowed)}"


def _bars(review: _Review) -> None:
    rows = review.rows
    high, low = review.floats("high"), review.floats("low")
    review.refuse(high < low, "high {high} is below low {low}")
    for column in ("open", "close"):
        values = review.floats(column)
        review.refuse((values > high) | (values < low),
                      f"{column} {{{column}}} lies outside low {{low}} to high {{high}}")
    intervals = rows["interval"].astype(object)
    for interval in {value for value in intervals if isinstance(value, str)}:
        mine = (intervals == interval).to_numpy(dtype=bool)
        step = interval_length(interval)
        if step is None:
            review.refuse(mine, "interval {interval} is unknown; write a number and m, h or d, such as 1h")
            continue
        off = (rows["event_time"] != rows["event_time"].dt.floor(step)).to_numpy()
        review.refuse(mine & off, "event_time {event_time} is not on the grid of {interval} bars")
        early = (rows["available_at"] < rows["event_time"] + step).to_numpy()
        review.refuse(mine & early, "known at {available_at}, before the bar that opens at {event_time} has closed")


def interval_length(interval: str) -> pd.Timedelta | None:
    """How long a bar of this interval (``15m``, ``1h``, ``1d``) lasts; None if it is not one."""
    match = _STEP.match(interval)
    if match is None or int(match[1]) == 0:
        return None
    return pd.Timedelta(int(match[1]), {"m": "min", "h": "h", "d": "D"}[match[2]])


def _indicators(review: _Review) -> None:
    wrong = [not (value is None or isinstance(value, dict)) for value in review.rows["components"]]
    review.refuse(np.array(wrong, dtype=bool), "components {components} are not a JSON object")


def _trades(review: _Review) -> None:
    rows = review.rows
    review.refuse((rows["closed_at"] < rows["event_time"]).to_numpy(), "closed at {closed_at}, before it was opened")
    outcome = rows["exit_price"].notna() | rows["profit_ratio"].notna() | rows["exit_reason"].notna()
    review.refuse((outcome & (rows["available_at"] < rows["closed_at"])).to_numpy(),
                  "its outcome is known at {available_at}, before it was closed at {closed_at}")


def _labels(review: _Review) -> None:
    rows = review.rows
    review.refuse(np.abs(review.floats("label")) > 1, "label {label} lies outside -1 to 1; divide it by its scale")
    review.refuse((rows["available_at"] <= rows["event_time"]).to_numpy(),
                  "judged at {available_at}, not after it was written at {event_time}: nobody has read it yet")


#: What a declaration cannot say: rules between columns.
_RULES: dict[Kind, Callable[[_Review], None]] = {
    Kind.BARS: _bars, Kind.INDICATORS: _indicators, Kind.TRADES: _trades, Kind.LABELS: _labels}


def _refusals(kind: Kind, frame: pd.DataFrame, reasons: np.ndarray[tuple[int], np.dtype[np.object_]],
              source: str) -> list[Refused]:
    positions = np.flatnonzero(reasons != "")
    found = []
    for position, row in zip(positions, frame.iloc[positions].to_dict("records"), strict=True):
        at = row["event_time"]
        found.append(Refused(source, kind.value, str(reasons[position]), payload(row),
                             at.to_pydatetime() if isinstance(at, pd.Timestamp) and at is not pd.NaT else None))
    return found
