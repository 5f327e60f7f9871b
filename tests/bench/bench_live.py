"""One live row of one symbol, all groups, from bars that are stored: beside ``features.build`` for the same row.

The table shows rows per second, by the medians. What a live service feels is the tail, which is printed beside it: p50
and p99 of 600 calls at as many times, with the reads from PostgreSQL and without them, and the slowest groups.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.features import build, catalog, live
from pipelines.features.declare import Bars
from tests.bench import server
from tests.bench.harness import Case
from tests.unit.features.world import DAY, ON_BARS, PRICES, START, SYMBOLS, clean, everything, line, load

CALLS = 600
ALIVE = 6
LOOKBACK = catalog.lookback(catalog.select(ON_BARS))
DAYS = -(-LOOKBACK // 24) + ALIVE
END = START + DAYS * DAY
#: Every bar on time: what is timed is a whole row at each call.
BARS = clean(DAYS * 24, SYMBOLS)
LINE = line(groups=ON_BARS, symbols=SYMBOLS)


def cases() -> list[Case]:
    def fresh() -> None:
        if not getattr(fresh, "done", False):
            server.no_bars()
            load(server.warehouse(), everything(DAYS, ALIVE) | {Kind.BARS: BARS.drop(columns="revision")})
            fresh.done = True  # type: ignore[attr-defined]

    def peer() -> pd.DataFrame:
        frame = build(server.warehouse(), LINE, window=Window(END, END + timedelta(microseconds=1)), as_of=END)
        return frame[frame["symbol"] == SYMBOLS[0]].reset_index(drop=True)

    def same(ours: live.LiveRow, theirs: pd.DataFrame) -> bool:
        report()
        return len(theirs) == 1 and ours.frame().equals(theirs)

    return [Case("live_row", lambda: live.row(server.warehouse(), LINE, SYMBOLS[0], END), peer, 1, "rows", same, fresh,
                 runs=15)]


def report() -> None:
    """The tail, and where the time goes."""
    times = [END - timedelta(minutes=9 * number) for number in range(CALLS)]
    console = Console(highlight=False)
    console.print(f"live_row: {len(catalog.features(catalog.of(LINE)))} features of {len(ON_BARS)} groups, look-back "
                  f"{LOOKBACK} bars, {CALLS} calls: {_tail(_rows(ON_BARS), times)}", soft_wrap=True)
    console.print(f"  without reading (the groups that are computed from bars): {_tail(_computing(), times)}",
                  soft_wrap=True)
    medians = {name: float(np.median(_milliseconds(_rows((name,)), times[:100]))) for name in ON_BARS}
    slowest = sorted(medians, key=lambda name: -medians[name])[:3]
    console.print("  slowest groups, each as a line by itself: "
                  + ", ".join(f"{name} {medians[name]:.2f} ms" for name in slowest), soft_wrap=True)


def _rows(groups: Sequence[str]) -> Callable[[datetime], Any]:
    rows = live.LiveRows(server.warehouse(), line(groups=tuple(groups), symbols=SYMBOLS))
    return lambda at: rows.row(SYMBOLS[0], at)


def _computing() -> Callable[[datetime], Any]:
    groups = [group for group in catalog.of(LINE) if group.from_bars is not None]
    arrays = [np.ascontiguousarray(BARS.pivot(index="event_time", columns="symbol", values=field).to_numpy())
              for field in PRICES]

    def compute(at: datetime) -> None:
        end = (at - START) // timedelta(hours=1)
        for group in groups:
            width = len(SYMBOLS) if group.across_symbols else 1
            begin = end - catalog.lookback([group]) - 1
            group.on_bars(Bars(*(np.ascontiguousarray(field[begin:end, :width]) for field in arrays), first=begin))

    return compute


def _milliseconds(call: Callable[[datetime], Any], times: Sequence[datetime]) -> list[float]:
    call(times[0])
    took = []
    for at in times:
        began = time.perf_counter()
        call(at)
        took.append((time.perf_counter() - began) * 1000)
    return took


def _tail(call: Callable[[datetime], Any], times: Sequence[datetime]) -> str:
    p50, p99 = np.percentile(_milliseconds(call, times), [50, 99])
    return f"p50 {p50:.2f} ms, p99 {p99:.2f} ms"
