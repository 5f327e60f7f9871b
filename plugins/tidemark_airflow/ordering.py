"""Days in order: what a day needs has to be in the warehouse, whatever has rung.

A bell says that one input of a day is there. Whether the others are, and the days that the day looks back on, is
read from ``ai_trading.loads``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tidemark_airflow.context import Work, tell

if TYPE_CHECKING:
    from pipelines.contracts.line import Line
    from pipelines.contracts.window import Window
    from pipelines.store import Warehouse

#: The look-back of aggregates and of the plain features (1 week), and a day for bars that came late.
LOOK_BACK = timedelta(days=8)
#: A day whose input came this long ago and that nobody has finished was forgotten, not delayed.
PATIENCE = timedelta(minutes=15)


def look_back(line: Line) -> timedelta:
    """How much history of bars the features of a day need: `LOOK_BACK`, or more if the line has a longer feature."""
    from pipelines.features import catalog

    return max(LOOK_BACK, timedelta(hours=catalog.lookback(catalog.of(line)), days=1))


def require_inputs(w: Work, line: Line) -> None:
    """Check that what the features of the task's first day are made of is there.

    Raises:
        NotReady: something is missing; the task tries again later.
    """
    require_days(w.warehouse, w.days[0], ("bars",), back=look_back(line))
    require_days(w.warehouse, w.days[0], ("sentiment",))


def require_days(warehouse: Warehouse, day: Window, datasets: tuple[str, ...], if_any: tuple[str, ...] = (),
                 back: timedelta = LOOK_BACK) -> None:
    """Check that ``day`` is loaded, and that no day is missing between the first one ever loaded and it, as far as it
    looks ``back``. ``if_any``: datasets that a source need not have; required once one of their days is there.

    Raises:
        NotReady: something is missing; the task tries again later.
    """
    from pipelines.contracts.window import Window
    from pipelines.errors import NotReady
    from pipelines.store import derived, loads, tables

    with warehouse.begin() as connection:
        for dataset in (*datasets, *if_any):
            first = derived.read(connection, tables.loads, columns=["window_start"], where={"dataset": dataset},
                                 order=["window_start"], limit=1)
            if first.empty and dataset in if_any:
                continue
            start = day.start if first.empty else min(
                day.start, max(day.start - back, first["window_start"][0].to_pydatetime()))
            if not loads.covered(connection, dataset, Window(start, day.end)):
                raise NotReady(
                    f"{day.key} needs the {dataset} from {start:%Y-%m-%d} to {day.end:%Y-%m-%d}, and a day of them is "
                    "missing; the task tries again by itself, a backfill of the missing day mends it for good")


def forgotten_days(w: Work) -> list[str]:
    """Partition keys of days that were ingested as a day, but that monitoring has not seen for every line on bars: a
    bell was lost (a paused DAG, a failed run) and has to ring again. The newest first, of the look-back only."""
    from pipelines.contracts.window import Window
    from pipelines.store import derived, tables

    watched = [name for name, line in w.lines().items() if line.on_bars]
    with w.warehouse.begin() as connection:
        loaded = derived.read(connection, tables.loads, where={"dataset": ["bars", "documents"]},
                              order=["-window_start"], limit=2 * 31)
        days = {Window(row.window_start.to_pydatetime(), row.window_end.to_pydatetime())
                for row in loaded.itertuples() if w.at - row.loaded_at > PATIENCE}
        newest = max((day.end for day in days), default=w.at)
        whole = sorted((day for day in days if len(day.key) == len("2024-01-01") and day.end > newest - LOOK_BACK),
                       reverse=True)
        seen = derived.read(connection, tables.drift_reports, columns=["line", "as_of"], by="as_of",
                            where={"line": watched}, start=newest - LOOK_BACK)
    counts = seen.groupby("as_of")["line"].nunique()
    return tell("forgotten days", [day.key for day in whole if counts.get(day.end, 0) < len(watched)])
