"""Market-wide indices: the latest value that was public at the row's time, its change in a day, and whether there is
one. An index that has not spoken for a week is missing, whatever it last said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Feature, Group, Rows
from pipelines.features.known import in_force
from pipelines.sentiment.hours import Ints, moment
from pipelines.store import asof

MAX_AGE = timedelta(days=7)
_DAY = timedelta(days=1)
_US = timedelta(microseconds=1)


@dataclass(frozen=True)
class Indicator:
    """One index: how its values become comparable over time."""

    name: str
    scale: Callable[[FloatArray], FloatArray]
    unit: str
    formula: str


INDICATORS = (
    Indicator("fear_greed", lambda value: (value - 50.0) / 50.0, "-1 (fear) to 1 (greed)", "(index - 50) / 50"),
    Indicator("vix", lambda value: _log(value / 20.0), "log ratio", "ln(VIX / 20)"),
    Indicator("put_call", lambda value: _log(value), "log ratio", "ln(put/call ratio)"),
)


def _log(value: FloatArray) -> FloatArray:
    return np.log(np.where(value > 0, value, np.nan))


def latest(event: Ints, known: Ints, value: FloatArray, at: Ints) -> FloatArray:
    """The value in force at each time: of the latest ``event`` public by then, in its latest revision.

    Args:
        event, known, value: (versions,) of one index, when each is of and when it became public (microseconds since
            1970), revisions in their order.
        at: (rows,) microseconds since 1970.

    Returns:
        (rows,) NaN where nothing is public or ``event`` is more than ``MAX_AGE`` old.
    """
    if not len(event):
        return np.full(len(at), np.nan)
    chosen = in_force(event, known, at)
    fresh = (chosen >= 0) & (at - event[chosen] <= MAX_AGE // _US)
    return np.where(fresh, value[chosen], np.nan)


def _compute(rows: Rows) -> Mapping[str, FloatArray]:
    if not len(rows):
        return {feature.name: np.empty(0) for feature in GROUP.features}
    moments, place = np.unique(rows.at, return_inverse=True)
    with rows.warehouse.begin() as connection:
        versions = asof.series(connection, Kind.INDICATORS, [indicator.name for indicator in INDICATORS],
                               start=moment(int(moments[0])) - MAX_AGE - _DAY, as_of=rows.as_of.to_pydatetime())
    versions = versions[np.argsort(versions["revision"], kind="stable")]
    values: dict[str, FloatArray] = {}
    for number, indicator in enumerate(INDICATORS):
        own = versions[versions["place"] == number]
        now, before = (indicator.scale(latest(own["event_time"], own["available_at"], own["value"], when))
                       for when in (moments, moments - _DAY // _US))
        values[indicator.name] = now[place]
        values[f"{indicator.name}_change_1d"] = (now - before)[place]
        values[f"{indicator.name}_missing"] = np.isnan(now).astype(np.float64)[place]
    return values


def _features(indicator: Indicator) -> tuple[Feature, ...]:
    table = (f"indicators:{indicator.name}",)
    return (
        Feature(indicator.name, table, 0, indicator.unit, f"{indicator.formula}, latest public", neutral=0.0),
        Feature(f"{indicator.name}_change_1d", table, 0, indicator.unit, "now - as of 24 h earlier", neutral=0.0),
        Feature(f"{indicator.name}_missing", table, 0, "0 or 1", "1 when no value of the last week is public"))


GROUP = Group("indicators", tuple(feature for indicator in INDICATORS for feature in _features(indicator)),
              from_rows=_compute,
              gaps="the value is absent when the index has said nothing for a week; `..._missing` then says so")
