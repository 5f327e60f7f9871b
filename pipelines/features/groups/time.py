"""Hour, weekday and the trading sessions at the row's bar close.

Sessions follow the usual hours of the four foreign-exchange centres on their own clocks, Monday to Friday; daylight
saving is that of each place on each date (Tokyo has none, Sydney's runs through the northern winter).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Feature, Group, Rows
from pipelines.sentiment.hours import HOUR_US, Ints, times


@dataclass(frozen=True)
class Session:
    """Open from ``opens`` to ``closes`` (exclusive), full hours of the local clock."""

    name: str
    zone: str
    opens: int
    closes: int


SESSIONS = (
    Session("tokyo", "Asia/Tokyo", 9, 18),
    Session("london", "Europe/London", 8, 17),
    Session("new_york", "America/New_York", 8, 17),
    Session("sydney", "Australia/Sydney", 7, 16),
)
#: Hours that are looked up in one calendar: nearly a year.
_BLOCK = 8192


def is_open(session: Session, hours: Ints) -> FloatArray:
    """1.0 where the session is open in these hours, counted since 1970 UTC, else 0.0."""
    block, place = hours // _BLOCK, hours % _BLOCK
    found = np.empty(len(hours))
    for number in np.unique(block):
        inside = block == number
        found[inside] = _opened(session, int(number))[place[inside]]
    return found


@cache
def _opened(session: Session, block: int) -> FloatArray:
    """``is_open`` of the hours of a block: calendars are asked once, a live row then looks its hour up."""
    at = times((block * _BLOCK + np.arange(_BLOCK)) * HOUR_US)
    local = at.tz_convert(ZoneInfo(session.zone)).tz_localize(None).as_unit("us").asi8 // HOUR_US
    hour, weekday = _clock(local)
    trading = (hour >= session.opens) & (hour < session.closes) & (weekday < 5)
    return np.where(trading, 1.0, 0.0)


def _clock(hours: Ints) -> tuple[Ints, Ints]:
    """Hour of the day and day of the week (Monday: 0) of hours since 1970-01-01, a Thursday."""
    return hours % 24, (hours // 24 + 3) % 7


def _circle(steps: int) -> tuple[FloatArray, FloatArray]:
    """Sine and cosine of the steps of a circle. A table: vectorised sines may differ in the last bit by position."""
    angles = [2 * math.pi * step / steps for step in range(steps)]
    return np.array([math.sin(angle) for angle in angles]), np.array([math.cos(angle) for angle in angles])


_CIRCLES = {"hour": _circle(24), "weekday": _circle(7)}


def _compute(rows: Rows) -> Mapping[str, FloatArray]:
    # The nominal close: a late bar is still the bar of its hour.
    opened, place = np.unique(rows.opened, return_inverse=True)
    closes = opened // HOUR_US + 1
    values = {f"session_{session.name}": is_open(session, closes) for session in SESSIONS}
    for what, step in zip(("hour", "weekday"), _clock(closes), strict=True):
        sine, cosine = _CIRCLES[what]
        values |= {f"{what}_sin": sine[step], f"{what}_cos": cosine[step]}
    return {name: value[place] for name, value in values.items()}


GROUP = Group(
    "time",
    (*(Feature(f"{what}_{wave}", ("event_time",), 0, "-1 to 1", f"{wave}(2 pi {what} / {period}), UTC, at the close")
       for what, period in (("hour", 24), ("weekday", 7)) for wave in ("sin", "cos")),
     *(Feature(f"session_{session.name}", ("event_time",), 0, "0 or 1",
               f"open {session.opens:02d}:00-{session.closes:02d}:00 {session.zone}, Monday to Friday")
       for session in SESSIONS)),
    from_rows=_compute, availability="in advance: it is the calendar", gaps="a row always has a value")
