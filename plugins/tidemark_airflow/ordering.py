"""Days in order: a day's features look back over the days before, so those have to be there first."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.contracts.window import Window
    from pipelines.store import Warehouse

#: The longest look-back of features (168 bars) and aggregates (1 week), and a day for bars that came late.
LOOK_BACK = timedelta(days=8)


def require_days_before(warehouse: Warehouse, day: Window, datasets: tuple[str, ...] = ("bars", "sentiment")) -> None:
    """Check that nothing is missing between the first day ever loaded and ``day``, as far as it looks back.

    Raises:
        NotReady: a day is missing; the task tries again later.
    """
    from pipelines.contracts.window import Window
    from pipelines.errors import NotReady
    from pipelines.store import derived, loads, tables

    with warehouse.begin() as connection:
        for dataset in datasets:
            first = derived.read(connection, tables.loads, columns=["window_start"], where={"dataset": dataset},
                                 order=["window_start"], limit=1)
            start = day.start if first.empty else max(day.start - LOOK_BACK, first["window_start"][0].to_pydatetime())
            if start < day.start and not loads.covered(connection, dataset, Window(start, day.start)):
                raise NotReady(
                    f"{dataset} of a day between {start:%Y-%m-%d} and {day.start:%Y-%m-%d} are missing, and {day.key} "
                    "looks back on them; the task tries again by itself, a backfill of the missing day mends it")
