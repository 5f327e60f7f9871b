"""The 158 columns of ``alpha158``, beside qlib's own in its own environment, on the same bars, one core each.

qlib keeps bars and results as float32, and does the steps between bars in it: the bars are float32 numbers on both
sides, and equal is what differs by no more than that explains (``TOLERANCE``), from bar 60 on, where its shorter first
windows are over. Its time is that of its expression engine from its own files (memory cache emptied, disk caches off,
one process, started and imported beforehand), to which its ``Alpha158`` handler would add a label and copies; ours is
from arrays (``alpha158_vs_qlib``), and from PostgreSQL to a finished feature matrix, as a partition is built
(``alpha158_vs_qlib_read``). The column that stands for a VWAP is given to qlib as ``$vwap``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
import pandas as pd

from pipelines.contracts.columns import Kind
from pipelines.contracts.line import parse_line
from pipelines.contracts.window import Window
from pipelines.features import build
from pipelines.features.declare import Bars
from pipelines.features.groups import alpha158
from pipelines.store import facts
from tests.bench import server
from tests.bench.harness import Case
from tests.bench.qlib import client

SYMBOLS, HOURS, WARM = 20, 2_500, 60
START = datetime(2022, 1, 1, tzinfo=UTC)
FIELDS = ("open", "high", "low", "close", "volume")
#: (relative, absolute): of a float32 result; where the price stands still and qlib's running sums leave a rest; of
#: what is made of the float32 ratio of two closes, which keeps 5 digits of a return; of differences and logarithms of
#: float32 volumes.
ROUNDED = (3e-7, 1e-9)
TOLERANCE: Mapping[str, tuple[float, float]] = {
    "STD": (3e-7, 1e-8), "CORR": (0.0, 1e-4), "CORD": (0.0, 5e-4), "WVMA": (1e-3, 0.0), "VSUMP": (0.0, 1e-6),
    "VSUMN": (0.0, 1e-6), "VSUMD": (0.0, 1e-6)}


def cases() -> list[Case]:
    if not client.there("alpha158_vs_qlib"):
        return []
    return [_arrays(), _read()]


@lru_cache(maxsize=1)
def generated() -> dict[str, np.ndarray]:
    """Random bars, (hours, symbols) float64 that are float32 numbers."""
    rng = np.random.default_rng(158)
    shape = (HOURS, SYMBOLS)
    close = 100 * np.exp(np.cumsum(0.005 * rng.standard_normal(shape), axis=0))
    opened = np.vstack([np.full((1, SYMBOLS), 100.0), close[:-1]])
    values = {"open": opened, "high": np.maximum(opened, close) * (1 + 0.003 * rng.random(shape)),
              "low": np.minimum(opened, close) * (1 - 0.003 * rng.random(shape)), "close": close,
              "volume": 1000 * rng.lognormal(0, 1, shape)}
    return {name: of_field.astype(np.float32).astype(np.float64) for name, of_field in values.items()}


@lru_cache(maxsize=1)
def _peer() -> client.Qlib:
    peer, bars = client.running(), generated()
    vwap = (bars["high"] + bars["low"] + bars["close"]) / 3
    np.savez(peer.home / "bars.npz", **bars, vwap=vwap)
    peer.ask("store", bars=str(peer.home / "bars.npz"), home=str(peer.home / "data"))
    return peer


def equal(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> bool:
    """All 158 columns, by qlib's names, within what float32 explains; the same of them undefined."""
    return list(ours) == list(theirs) and all(
        np.allclose(theirs[name], value, *TOLERANCE.get(name.rstrip("0123456789"), ROUNDED), equal_nan=True)
        for name, value in ours.items())


def _theirs() -> dict[str, np.ndarray]:
    """qlib's columns by its names, (hours after the warm-up, symbols)."""
    values, names = _peer().values()
    panel = values.reshape(SYMBOLS, HOURS, len(names)).astype(np.float64)
    return {name: panel[:, WARM:, place].T for place, name in enumerate(names)}


def _arrays() -> Case:
    def ours() -> dict[str, np.ndarray]:
        with np.errstate(all="ignore"):
            return alpha158.GROUP.on_bars(Bars(**generated()))

    def same(found: dict[str, np.ndarray], _: object) -> bool:
        return equal({theirs: found[name][WARM:] for name, theirs in alpha158.QLIB.items()}, _theirs())

    return Case("alpha158_vs_qlib", ours, lambda: _peer().ask("features"), HOURS * SYMBOLS, "rows", same, runs=3,
                fresh_peer=lambda: _peer().ask("forget"))


def _read() -> Case:
    line = parse_line("""
        name = "alpha"
        title = "qlib's columns alone"
        [target]
        kind = "direction"
        horizon_bars = 1
        [features]
        groups = ["alpha158"]
        [walk_forward]
        train_days = 4
        test_days = 1
        search_folds = 2
        evidence_days = 2
        [search]
        families = ["lightgbm"]
        trials = 1
    """)
    end = START + pd.Timedelta(hours=HOURS + 1).to_pytimedelta()

    @lru_cache(maxsize=1)
    def fill() -> None:
        server.no_bars()
        facts.write(server.warehouse(), Kind.BARS, _frame())

    def ours() -> pd.DataFrame:
        return build(server.warehouse(), line, window=Window(START, end), as_of=end)

    def same(found: pd.DataFrame, _: object) -> bool:
        rows = len(found) // SYMBOLS
        panel = {theirs: found[name].to_numpy().reshape(rows, SYMBOLS)[-(HOURS - WARM):]
                 for name, theirs in alpha158.QLIB.items()}
        # What is undefined has become the declared neutral value.
        return equal(panel, {name: np.where(np.isnan(value), 0.0, value) for name, value in _theirs().items()})

    return Case("alpha158_vs_qlib_read", ours, lambda: _peer().ask("features"), HOURS * SYMBOLS, "rows", same, fill,
                runs=3, fresh_peer=lambda: _peer().ask("forget"))


def _frame() -> pd.DataFrame:
    opened = pd.date_range(START, periods=HOURS, freq="h").as_unit("us")
    return pd.DataFrame({
        "symbol": np.repeat([f"S{number:04d}" for number in range(SYMBOLS)], HOURS), "interval": "1h",
        "event_time": np.tile(opened, SYMBOLS), "available_at": np.tile(opened + pd.Timedelta("1h"), SYMBOLS),
        **{name: generated()[name].T.ravel() for name in FIELDS}, "source": "bench"})
