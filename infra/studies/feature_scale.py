"""How long the features of many symbols take, and how much memory: the whole catalog of bars, month by month.

    python -m infra.studies.feature_scale --symbols 500 --years 5

Made-up hourly bars go through the warehouse as real ones do; each month is built from there by its parts (64 symbols,
and what looks across all), as the DAG's tasks do it, by ``--processes`` processes of one thread. The values are
computed, counted and dropped, or with ``--keep`` written beside the snapshots (8 bytes a value).
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from infra.studies import scratch
from pipelines import config
from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line, load_lines
from pipelines.contracts.window import Window
from pipelines.features import catalog, columns, matrix
from pipelines.store import Warehouse, asof, facts

END = datetime(2025, 1, 1, tzinfo=UTC)
#: A step of an hour, and how far highs and lows lie out; the size of a large coin's.
_STEP, _RANGE = 0.006, 0.003
_MARKS = (0.25, 0.5, 1.0)
_MIB = 2**20


@dataclass(frozen=True)
class Job:
    """One part of one month."""

    url: str
    root: str
    line: Line
    window: Window
    part: tuple[str, ...]
    keep: bool


@dataclass
class Done:
    """What was done up to some month: values, seconds of all processes in reading and computing, and their CPU time,
    which says how the work grows on a machine that does other things, too."""

    cells: int = 0
    cpu: float = 0.0
    reading: float = 0.0
    computing: float = 0.0


@dataclass
class Memory:
    """Proportional set size of this process and its workers in bytes, the largest sum seen: shared pages count once.
    The database server is not counted."""

    peak: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.stop.wait(0.25):
            own = [os.getpid(), *(child.pid for child in multiprocessing.active_children() if child.pid)]
            self.peak = max(self.peak, sum(map(_resident, own)))


def _resident(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


@contextmanager
def memory() -> Iterator[Memory]:
    seen = Memory()
    thread = threading.Thread(target=seen.watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        seen.stop.set()
        thread.join()


def bars(symbols: list[str], month: Window, close: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """One month of all symbols, going on from ``close`` (symbols,), which is moved to its end."""
    hours = int((month.end - month.start) / timedelta(hours=1))
    path = close * np.exp(np.cumsum(_STEP * rng.standard_normal((hours, len(symbols))), axis=0))
    opens = np.concatenate([close[None], path[:-1]])
    high = np.maximum(opens, path) * (1 + _RANGE * rng.random(path.shape))
    low = np.minimum(opens, path) * (1 - _RANGE * rng.random(path.shape))
    close[:] = path[-1]
    opened = pd.date_range(month.start, periods=hours, freq="h", unit="us")
    opened = opened[np.tile(np.arange(hours), len(symbols))]
    flat = {"open": opens, "high": high, "low": low, "close": path, "volume": 1000 * rng.random(path.shape)}
    return pd.DataFrame({
        "symbol": np.repeat(symbols, hours), "interval": "1h", "event_time": opened,
        "available_at": opened + pd.Timedelta("1h"), **{name: value.T.ravel() for name, value in flat.items()},
        "source": "study"})


def build(job: Job) -> tuple[int, float, float, float]:
    """Values, CPU seconds of this process, seconds of reading and of computing (all of it, if values are written)."""
    started = time.process_time()
    cells, reading, computing = _build(job)
    return cells, time.process_time() - started, reading, computing


def _build(job: Job) -> tuple[int, float, float]:
    store = Warehouse(job.url, job.root, pool_size=1)
    try:
        began = time.perf_counter()
        if job.keep:
            cells = columns.fill(store, job.line, job.window, job.part)
            return cells, 0.0, time.perf_counter() - began
        groups = [group for group in catalog.of(job.line) if group.across_symbols is (not job.part)]
        inputs = matrix.read(store, job.line, groups, job.window, asof.just_before(job.window.end), job.part)
        read = time.perf_counter()
        frame, values = matrix.bar_rows(inputs, groups)
        return len(frame) * len(values), read - began, time.perf_counter() - read
    finally:
        store.close()


def main(
    symbols: Annotated[int, typer.Option()] = 500,
    years: Annotated[float, typer.Option()] = 5.0,
    processes: Annotated[int, typer.Option()] = 2,
    keep: Annotated[bool, typer.Option(help="Write the values.")] = False,
) -> None:
    """Load, read and build times, rows and values a second, memory, and how all of it grows with the rows."""
    console = Console(highlight=False)
    names = [f"S{number:04d}" for number in range(symbols)]
    window = Window(END - timedelta(days=round(365.25 * years)), END)
    months = list(window.months())
    line = _line(names)
    features = catalog.features(catalog.of(line))
    console.print(f"{symbols} symbols, {years:g} years, {len(features)} features of bars, {processes} processes")
    marks = {max(round(share * len(months)), 1) for share in _MARKS}
    with scratch.warehouse() as store:
        loading, seconds = {}, 0.0
        rng, close = np.random.default_rng(0), np.full(symbols, 100.0)
        # With the look-back of the first month, or it would be cheaper than the others.
        before = list(Window(window.start - timedelta(hours=matrix.lead(catalog.of(line)) + 24), window.start).months())
        for number, month in enumerate([*before, *months], 1 - len(before)):
            made = bars(names, month, close, rng)
            began = time.perf_counter()
            facts.write(store, Kind.BARS, made)
            seconds += time.perf_counter() - began
            if number in marks:
                loading[number] = seconds
        store.close()
        url = store.engine.url.render_as_string(hide_password=False)
        parts = columns.parts(line, names) or [tuple(names), *([columns.ACROSS] if any(
            group.across_symbols for group in catalog.of(line)) else [])]
        table = Table("months", "million bars", "load s", "build s", "CPU s", "rows/s", "million values/s",
                      "of it reading", "peak MiB")
        sizes = []
        with ProcessPoolExecutor(processes) as pool, memory() as seen:
            list(pool.map(build, [Job(url, store.snapshot_root, line, next(months[0].days()), part, False)
                                  for part in [parts[0], parts[-1]] * processes]))  # imports, machine code
            began, done = time.perf_counter(), Done()
            for number, month in enumerate(months, 1):
                for cells, cpu, reading, computing in pool.map(
                        build, [Job(url, store.snapshot_root, line, month, part, keep) for part in reversed(parts)]):
                    done.cells += cells
                    done.cpu += cpu
                    done.reading += reading
                    done.computing += computing
                if number in marks:
                    took = time.perf_counter() - began
                    count = sum(int((one.end - one.start) / timedelta(hours=1)) for one in months[:number]) * symbols
                    sizes.append((count, took, done.cpu))
                    table.add_row(f"{number}", f"{count / 1e6:.2f}", f"{loading[number]:.1f}", f"{took:.1f}",
                                  f"{done.cpu:.0f}", f"{count / took:,.0f}", f"{done.cells / took / 1e6:.1f}",
                                  f"{done.reading / (done.reading + done.computing):.0%}", f"{seen.peak / _MIB:,.0f}")
    console.print(table)
    if len(sizes) > 1:
        at = np.array(sizes)
        slope, work = (np.polyfit(np.log(at[:, 0]), np.log(at[:, column]), 1)[0] for column in (1, 2))
        console.print(f"seconds grow as rows^{slope:.2f}, CPU seconds as rows^{work:.2f} (1: linear), "
                      f"{1e6 * at[-1, 1] / at[-1, 0]:.1f} s a million bars; memory is that of one month's parts")


def _line(symbols: list[str]) -> Line:
    """All groups of bars, on these symbols."""
    shipped = next(line for line in load_lines(config.load().lines_dir).values() if line.on_bars)
    groups = tuple(name for name, group in catalog.GROUPS.items() if group.from_bars is not None)
    return shipped.model_copy(update={"symbols": tuple(symbols), "features": shipped.features.model_copy(
        update={"groups": groups})})


if __name__ == "__main__":
    typer.run(main)
