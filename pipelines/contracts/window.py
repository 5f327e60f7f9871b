"""Half-open UTC windows: the unit of work of every task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipelines.errors import ContractError


@dataclass(frozen=True, order=True)
class Window:
    """A half-open interval ``[start, end)`` in UTC.

    A partition holds what *became available* in its window: ``start <= available_at < end``. A late row
    therefore lands in a later partition, and no finished partition is ever rewritten by it.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            value: datetime = getattr(self, name)
            if value.tzinfo is None:
                raise ContractError(f"window {name} {value} has no time zone; pass an aware UTC time")
            object.__setattr__(self, name, value.astimezone(UTC))
        if self.start >= self.end:
            raise ContractError(f"window [{self.start}, {self.end}) is empty; start must be before end")

    @classmethod
    def day(cls, key: str) -> Window:
        """The UTC day of a partition key ``YYYY-MM-DD`` (longer ISO keys are cut to their date)."""
        try:
            start = datetime.fromisoformat(key[:10]).replace(tzinfo=UTC)
        except ValueError as error:
            raise ContractError(f"partition key {key!r} is not a date; expected YYYY-MM-DD") from error
        return cls(start, start + timedelta(days=1))

    @property
    def key(self) -> str:
        """``YYYY-MM-DD`` for a whole UTC day, else ``start/end`` in ISO 8601."""
        midnight = self.start.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.start == midnight and self.end - self.start == timedelta(days=1):
            return self.start.date().isoformat()
        return f"{self.start.isoformat()}/{self.end.isoformat()}"

    def months(self) -> Iterator[Window]:
        """Cut at the first of each month."""
        yield from self._cut(lambda at: (at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
                                         + timedelta(days=32)).replace(day=1))

    def days(self) -> Iterator[Window]:
        """Cut at each UTC midnight."""
        yield from self._cut(lambda at: at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1))

    def _cut(self, boundary_after) -> Iterator[Window]:  # type: ignore[no-untyped-def]
        at = self.start
        while at < self.end:
            stop = min(boundary_after(at), self.end)
            yield Window(at, stop)
            at = stop
