"""From a provider's records to a frame of facts: what belongs to the window, what cannot be read, what has changed
its shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.records import Refused
from pipelines.contracts.window import Window
from pipelines.errors import SourceError
from pipelines.ingest.payload import payload, printable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = datetime(1980, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)
_UNREADABLE = (KeyError, IndexError, TypeError, ValueError, OverflowError, AttributeError)


class Gather:
    """Collects the rows of one kind for one window.

    A row that became available inside the window is taken as it is. One of the ``overlap`` before it has been read
    before; it is delivered again as known from the last instant of the window, which was over when we read it: the
    warehouse passes over what it knows already and keeps what has changed, or was published late, as a revision of
    that time. What became available after the window belongs to the next one.
    """

    def __init__(self, provider: str, kind: Kind, window: Window, overlap: timedelta = timedelta(0)) -> None:
        self._provider, self._kind, self._window = provider, kind, window
        self._from = window.start - overlap
        self._rows: list[dict[str, Any]] = []
        self.refused: list[Refused] = []

    def read(self, records: Iterable[Any], row: Callable[[Any], Mapping[str, Any]]) -> None:
        """Take ``row(record)`` of each record: the contract's columns, times as aware datetimes. Whatever ``row``
        cannot read is refused with the record as it came; so is a text where a record should be: a line, or a piece
        of one, that could not be taken apart."""
        for record in records:
            if isinstance(record, str):
                self.refuse(record, "it is no whole row: it cannot be taken apart into the fields that are expected")
                continue
            try:
                values = dict(row(record))
                self._add(values, record)
            except _UNREADABLE as error:
                self.refuse(record, _why(error))

    def refuse(self, record: Any, reason: str, at: datetime | None = None) -> None:
        raw = record if isinstance(record, Mapping) else {"record": record}
        self.refused.append(Refused(self._provider, self._kind.value, printable(reason)[:300], payload(raw), at))

    def _add(self, values: dict[str, Any], record: Any) -> None:
        event, known = values["event_time"], values["available_at"]
        if event < _EARLIEST or known >= _LATEST:
            self.refuse(record, f"event_time {event.isoformat()} lies outside 1980 to 2100; is its unit right?")
        elif self._window.start <= known < self._window.end:
            self._rows.append(values)
        elif self._from <= known < self._window.start:
            self._rows.append({**values, "available_at": self._window.end - _INSTANT})

    def frame(self) -> pd.DataFrame:
        """The rows by ``available_at``, with all columns of the contract."""
        columns = SCHEMAS[self._kind].columns
        frame = pd.DataFrame({name: pd.Series([row.get(name) for row in self._rows], dtype=object)
                              for name in columns})
        types = SCHEMAS[self._kind].values
        for name in ("event_time", "available_at", *(name for name, type_ in types.items() if type_ == "time")):
            frame[name] = pd.to_datetime(frame[name], utc=True).dt.as_unit("us")
        return frame.sort_values("available_at", kind="stable", ignore_index=True)


def _why(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    return f"cannot be read: {error}"


def records(provider: str, page: Any, *path: str, needed: Sequence[str] = ()) -> list[Any]:
    """The list of records at ``path`` in a page.

    Args:
        needed: fields that every record is expected to have. One that lacks them is refused later, by itself; when
            all lack the same one, the page has changed.

    Raises:
        SourceError: the page has changed its shape; names the provider and the field.
    """
    found, where = page, ""
    for name in path:
        where = f"{where}.{name}" if where else name
        if not isinstance(found, Mapping) or name not in found:
            raise changed(provider, where, f"is missing (the page has {_keys(found)})")
        found = found[name]
    if not isinstance(found, list):
        raise changed(provider, where or "page", f"is {type(found).__name__}, not a list")
    for name in needed:
        if found and not any(isinstance(item, Mapping) and item.get(name) is not None for item in found):
            raise changed(provider, f"{where}.{name}".lstrip("."),
                          f"is missing in all {len(found)} records (the first has {_keys(found[0])})")
    return found


def changed(provider: str, field: str, how: str) -> SourceError:
    """The error for a page that is not what it was."""
    said = "".join(char if char.isprintable() else " " for char in how)[:300]
    return SourceError(f"{provider} has changed its shape: {field} {said}; the provider's file in pipelines/ingest "
                       "has to learn the new one")


def _keys(value: Any) -> str:
    if not isinstance(value, Mapping):
        return type(value).__name__
    return printable(", ".join(str(key)[:30] for key in list(value)[:12])) or "nothing"


def since_epoch(value: Any, unit: str = "s") -> datetime:
    """An instant from a number, or its text, of ``s`` or ``ms`` since 1970.

    Raises:
        ValueError, OverflowError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a time")
    number = int(value) if isinstance(value, int) or (isinstance(value, str) and value.strip().isdigit()) \
        else float(value)
    return _EPOCH + (timedelta(seconds=number) if unit == "s" else timedelta(milliseconds=number))


def iso(value: Any) -> datetime:
    """An instant from ISO 8601 with an offset.

    Raises:
        ValueError: it is none, or has no offset: which zone is meant must not be guessed.
    """
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a time")
    found = datetime.fromisoformat(value.strip())
    if found.tzinfo is None:
        raise ValueError(f"{value!r} has no zone")
    return found.astimezone(UTC)


def readable(found: Iterable[Any], field: str, read: Callable[[Any], datetime]) -> list[datetime]:
    """The times in ``field`` that can be read, for paging; records without one are refused later, with the reason."""
    times = []
    for record in found:
        with suppress(*_UNREADABLE):
            times.append(read(record[field]))
    return times


def following(provider: str, field: str, value: Any, type_: type[int | str]) -> Any:
    """The cursor of the next page; None: there is none (empty texts and zero say so too).

    Raises:
        SourceError: it is something else than ever before; names the provider and the field.
    """
    if value is None or value is False:
        return None
    if not isinstance(value, type_) or value is True:
        raise changed(provider, field, f"is {type(value).__name__}, not {type_.__name__}")
    return value or None


def number(value: Any) -> Any:
    """A number as it came: JSON numbers stay, texts are left to the checks, which refuse what is none.

    Raises:
        ValueError: a truth value, which would pass for 0 or 1.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value} where a number should be")
    return None if value == "" else value


def plausible(field: str, value: Any, low: float, high: float) -> Any:
    """A number as it came, or a text that the checks will refuse.

    Raises:
        ValueError: a number that this field cannot have.
    """
    found = number(value)
    try:
        size = float(found)
    except (TypeError, ValueError, OverflowError):
        return found
    if size < low or size > high:
        raise ValueError(f"{field} {str(found)[:40]} lies outside {low:g} to {high:g}")
    return found


def text(value: Any) -> str | None:
    """A text, or None.

    Raises:
        ValueError: it is something else.
    """
    if value is None or isinstance(value, str):
        return value or None
    raise ValueError(f"{type(value).__name__} where a text should be")
