"""The matrix of a line from features that are kept: one feature more computes that one and reads the others.

A feature of bars is kept by window (a UTC day or month), under the fingerprint of its declaration, its code, and the
bars that it looks back on as they were known (``features.fingerprint``). A bar that comes in later, whatever time it
claims, changes the fingerprint of the features that reach back to it, and those are computed anew. Lines with the same
symbols share what they have in common.

Groups of rows are not kept: sentiment, indicators and trades are joined as of each row's time from tables that hold
them ready, and to see that nothing changed there would cost what the join costs.

Many symbols are computed in parts of ``CHUNK``, by as many processes as are granted or by tasks beforehand (``fill``);
groups that look across symbols are a part of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.window import Window
from pipelines.features import catalog, fingerprint, matrix, view
from pipelines.features.declare import Group
from pipelines.sentiment.hours import microseconds
from pipelines.store import Warehouse, asof
from pipelines.store import columns as store

#: Symbols that are computed together, by one process.
CHUNK = 64
#: The part of all symbols: the groups that look across them.
ACROSS: tuple[str, ...] = ()

Values = dict[str, FloatArray]


def build(warehouse: Warehouse, line: Line, *, window: Window, as_of: datetime, workers: int = 1) -> pd.DataFrame:
    """``matrix.build``, to the bit, from what is kept; what is not is computed and kept.

    Args:
        workers: processes for lines of more than ``CHUNK`` symbols.

    Raises:
        As ``matrix.build``; StoreUnavailable: a column cannot be written.
    """
    if not line.on_bars or as_of < window.start:
        return matrix.build(warehouse, line, window=window, as_of=as_of)
    groups, cutoff = catalog.of(line), min(as_of, asof.just_before(window.end))
    # A line of whatever symbols there are is not cut unless that is for something: asking which they are costs time.
    split = parts(line, line.symbols or (_symbols(warehouse, line, window, cutoff) if workers > 1 else ()))
    if workers > 1 and split:
        with ProcessPoolExecutor(min(workers, len(split))) as pool:
            list(pool.map(_fill, [(warehouse.engine.url.render_as_string(hide_password=False),
                                   warehouse.snapshot_root, line, window, part) for part in split]))
    if not split:
        frame, values = _part(warehouse, line, groups, window, cutoff)
    else:
        done = {part: _part(warehouse, line, _of_part(groups, part), window, cutoff, part) for part in split}
        across = done.pop(ACROSS, None)
        frame, values = _together(list(done.values()))
        if across is not None:
            values |= across[1]  # the same rows in the same order
    return matrix.complete(warehouse, line, groups, window, cutoff, frame, values)


def parts(line: Line, symbols: Sequence[str]) -> list[tuple[str, ...]]:
    """How the symbols of a line are computed: all at once (no part), or in chunks and, last, what looks across."""
    ordered = sorted(symbols)
    if len(ordered) <= CHUNK:
        return []
    across = any(group.across_symbols for group in catalog.of(line))
    return [*(tuple(ordered[begin:begin + CHUNK]) for begin in range(0, len(ordered), CHUNK)),
            *([ACROSS] if across else [])]


def fill(warehouse: Warehouse, line: Line, window: Window, symbols: Sequence[str]) -> int:
    """Compute and keep one of the ``parts`` of a window; how many values it has.

    Raises:
        As ``build``.
    """
    part, cutoff = tuple(symbols), asof.just_before(window.end)
    groups = _of_part(catalog.of(line), part)
    if all(group.from_bars is None for group in groups):
        return 0
    frame, values = _part(warehouse, line, groups, window, cutoff, part)
    return len(frame) * len(values)


def _fill(task: tuple[str, str, Line, Window, tuple[str, ...]]) -> None:
    url, root, line, window, part = task
    warehouse = Warehouse(url, root, pool_size=1)
    try:
        fill(warehouse, line, window, part)
    finally:
        warehouse.close()


def _of_part(groups: Sequence[Group], part: tuple[str, ...]) -> list[Group]:
    return [group for group in groups if group.across_symbols is (part == ACROSS)]


def _part(warehouse: Warehouse, line: Line, groups: Sequence[Group], window: Window, cutoff: datetime,
          symbols: tuple[str, ...] = ()) -> tuple[pd.DataFrame, Values]:
    """Rows and features of bars of some symbols, or of all, ordered by (event_time, symbol)."""
    inputs = matrix.read(warehouse, line, groups, window, cutoff, symbols)
    months = [month for month in window.months() if month.start <= cutoff]
    if len(months) == 1:
        return _piece(warehouse, line, inputs, groups)
    return _together([_piece(warehouse, line, matrix.within(inputs, month, min(cutoff, asof.just_before(month.end)),
                                                            groups), groups) for month in months])


def _piece(warehouse: Warehouse, line: Line, inputs: matrix.Inputs,
           groups: Sequence[Group]) -> tuple[pd.DataFrame, Values]:
    """The same of one day or month: what is kept is read, the rest computed and kept."""
    if not (_keeps(inputs.window, inputs.cutoff) and any(group.from_bars is not None for group in groups)):
        return matrix.bar_rows(inputs, groups)
    frame, _ = matrix.bar_rows(inputs, [])
    declared = [(group, feature) for group in groups if group.from_bars is not None for feature in group.features]
    known = fingerprint.of_bars(inputs.bars, inputs.first_row,
                                [view.WAIT, *(matrix.lead([replace(group, features=(feature,))])
                                              for group, feature in declared)])
    place = fingerprint.digest(line.interval, inputs.window.key, inputs.first_row, known[view.WAIT])
    names = {feature.name: fingerprint.digest(fingerprint.of_feature(group, feature),
                                              known[max(view.WAIT, feature.lookback)]) for group, feature in declared}
    found = store.get(warehouse, place, names.values(), len(frame))
    missing = [replace(group, features=wanted) for group in groups if group.from_bars is not None
               if (wanted := tuple(feature for feature in group.features if names[feature.name] not in found))]
    if missing:
        _, computed = matrix.bar_rows(inputs, missing)
        store.put(warehouse, place, {names[name]: value for name, value in computed.items()})
        found |= {names[name]: value for name, value in computed.items()}
    return frame, {name: found[token] for name, token in names.items()}


def _keeps(window: Window, cutoff: datetime) -> bool:
    """Whether it will be asked for again: a whole UTC day or month, as known at its end."""
    midnight = all(at == at.replace(hour=0, minute=0, second=0, microsecond=0) for at in (window.start, window.end))
    day, month = window.end - window.start == timedelta(days=1), window.start.day == window.end.day == 1
    return midnight and (day or month) and cutoff == asof.just_before(window.end)


def _symbols(warehouse: Warehouse, line: Line, window: Window, cutoff: datetime) -> list[str]:
    """The symbols that can have a row in the window: those with a bar that came in it, or that waits until then."""
    found = asof.newest(warehouse, Kind.BARS, as_of=cutoff, since=window.start - view.GRACE - line.bar,
                        series=("symbol", "interval"))
    return sorted(found.loc[found["interval"] == line.interval, "symbol"])


def _together(pieces: list[tuple[pd.DataFrame, Values]]) -> tuple[pd.DataFrame, Values]:
    """Rows of several pieces, ordered by (event_time, symbol)."""
    if len(pieces) == 1:
        return pieces[0]
    frame = pd.concat([piece[0] for piece in pieces], ignore_index=True)
    order = np.lexsort((pd.factorize(frame["symbol"], sort=True)[0], microseconds(frame["event_time"])))
    values = {name: np.concatenate([piece[1][name] for piece in pieces])[order] for name in pieces[0][1]}
    return frame.iloc[order].reset_index(drop=True), values

