"""Features from bars: windows beside numpy, snapshots beside pandas, and what each group of the catalog costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table

from pipelines.features import catalog
from pipelines.features.declare import Bars, Group
from pipelines.features.groups import indicators
from pipelines.features.numerics import rolling
from pipelines.sentiment.hours import microseconds
from pipelines.store import snapshots
from tests.bench import server
from tests.bench.harness import Case
from tests.unit.features import rolling_oracle

HOURS, SYMBOLS = 2_000, 50
#: Monday 2024-01-01 00:00 UTC.
FIRST = 473_352
START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC)


def cases() -> list[Case]:
    return [
        _windows("windows_vs_numpy", 912, 500),
        _windows("windows_one_symbol_vs_numpy", 43_800, 1),
        _windows("windows_one_row_vs_numpy", 169, 1, runs=25),
        _snapshot(200_000, 40),
    ]


def printed() -> dict[str, Callable[[], Table]]:
    return {"feature_groups": feature_groups}


def market(hours: int, symbols: int, *, gaps: float = 0.001) -> Bars:
    """Random walks, a share of whose bars is missing."""
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(0.006 * rng.standard_normal((hours, symbols)), axis=0))
    opens = np.concatenate([np.full((1, symbols), 100.0), close[:-1]])
    high = np.maximum(opens, close) * (1 + 0.003 * rng.random(close.shape))
    low = np.minimum(opens, close) * (1 - 0.003 * rng.random(close.shape))
    gone = rng.random(close.shape) < gaps
    return Bars(*(np.where(gone, np.nan, field) for field in (opens, high, low, close, rng.random(close.shape))), FIRST)


def _windows(name: str, hours: int, symbols: int, runs: int = 5) -> Case:
    """Mean, deviation and maximum of a day and a week: the compiled loops and the whole-array additions before them."""
    values = market(hours, symbols).close

    def side(module: object) -> list[np.ndarray]:
        return [getattr(module, f"window_{what}")(values, width) for what in ("mean", "std", "max")
                for width in (24, 168)]

    def same(ours: list[np.ndarray], peer: list[np.ndarray]) -> bool:
        return all(np.array_equal(one, other, equal_nan=True) for one, other in zip(ours, peer, strict=True))

    return Case(name, lambda: side(rolling), lambda: side(rolling_oracle), 6 * values.size, "values", same, runs=runs)


def _snapshot(rows: int, columns: int) -> Case:
    """Join an index as of each row's time, write rows, read them back. Ours checks the content against its digest and
    records the file in the warehouse; pandas and pyarrow join (``merge_asof``), write and read."""
    warehouse, rng = server.warehouse(), np.random.default_rng(0)
    opened = pd.date_range(START, periods=rows // SYMBOLS, freq="30min", unit="us")
    frame = pd.DataFrame({"symbol": np.tile([f"S{number}" for number in range(SYMBOLS)], len(opened)),
                          "event_time": opened.repeat(SYMBOLS), "available_at": opened.repeat(SYMBOLS),
                          **{f"f{number}": rng.standard_normal(rows) for number in range(columns)}})
    days = pd.date_range(START - pd.Timedelta(days=3), opened[-1], freq="D", unit="us")
    index = pd.DataFrame({"event_time": days, "available_at": days + pd.Timedelta("5min"), "revision": 1,
                          "value": rng.uniform(10, 90, len(days))})
    path = Path(warehouse.snapshot_root).parent / "plain.parquet"

    def ours() -> pd.DataFrame:
        joined = frame.assign(index=indicators.latest(
            microseconds(index["event_time"]), microseconds(index["available_at"]), index["value"].to_numpy(),
            microseconds(frame["available_at"])))
        ref = snapshots.put(warehouse, joined, kind="training", line="bench", start=START, end=END)
        return snapshots.get(warehouse, ref.digest)

    def peer() -> pd.DataFrame:
        joined = pd.merge_asof(frame, index[["available_at", "value"]].rename(columns={"value": "index"}),
                               on="available_at")
        joined.to_parquet(path, compression="zstd", index=False)
        return pd.read_parquet(path)

    def fresh() -> None:
        for kept in Path(warehouse.snapshot_root).rglob("*.parquet"):
            kept.unlink()

    return Case("snapshot_write_read", ours, peer, rows, "rows", lambda one, other: one.equals(other[one.columns]),
                fresh, runs=3)


def feature_groups() -> Table:
    """Rows and values a second of each group of bars, one core, and the three features that take longest alone."""
    bars, few = market(HOURS, SYMBOLS), market(HOURS // 4, SYMBOLS // 10)
    groups = [group for group in catalog.GROUPS.values() if group.from_bars is not None]
    table = Table("group", "features", "rows/s", "values/s", "slowest features (us a row, alone)",
                  title=f"Groups of bars: {SYMBOLS} symbols x {HOURS:,} hours, one core", title_justify="left")
    whole = 0.0
    for group in groups:
        seconds = _seconds(group, bars)
        whole += seconds
        alone = sorted(((_seconds(replace(group, features=(feature,)), few) / few.close.size, feature.name)
                        for feature in group.features), reverse=True)
        table.add_row(group.name, str(len(group.features)), f"{bars.close.size / seconds:,.0f}",
                      f"{bars.close.size * len(group.features) / seconds:,.0f}",
                      ", ".join(f"{name} {1e6 * each:.2f}" for each, name in alone[:3]))
    count = len(catalog.features(groups))
    table.add_row("all", str(count), f"{bars.close.size / whole:,.0f}", f"{bars.close.size * count / whole:,.0f}", "")
    return table


def _seconds(group: Group, bars: Bars) -> float:
    """The faster of two runs; the first also compiles."""
    took = []
    for _ in range(2):
        given = replace(bars)  # without what another group has left in its cached properties
        began = time.perf_counter()
        with np.errstate(all="ignore"):
            group.on_bars(given)
        took.append(time.perf_counter() - began)
    return min(took)
