"""Make ``tests/unit/features/alpha158_qlib.npz``: bars, and what qlib itself computes from them.

``python -m tests.bench.qlib.reference`` (after ``make qlib-env``). The test of the group compares with that file, so
that equality with qlib is tested where qlib is not installed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.bench.qlib import client

FILE = Path(__file__).resolve().parents[2] / "unit" / "features" / "alpha158_qlib.npz"
HOURS, WARM = 110, 60


def bars() -> dict[str, np.ndarray]:
    """(hours, 4) float32: an ordinary price; coarse ticks with ties, a frozen stretch and hours without trades; a coin
    of a thousandth; one whose price is too small for qlib's correlations."""
    rng = np.random.default_rng(20)
    shape = (HOURS, 4)
    close = np.array([100.0, 40.0, 1e-3, 2e-5]) * np.exp(np.cumsum(0.01 * rng.standard_normal(shape), axis=0))
    close[:, 1] = np.round(close[:, 1] * 2) / 2
    close[70:85, 1] = close[70, 1]
    opened = np.vstack([close[:1], close[:-1]])
    high = np.maximum(opened, close) * (1 + 0.003 * rng.random(shape))
    low = np.minimum(opened, close) * (1 - 0.003 * rng.random(shape))
    high[:, 1], low[:, 1] = np.maximum(opened, close)[:, 1], np.minimum(opened, close)[:, 1]
    volume = 1000 * rng.lognormal(0, 1, shape)
    volume[:, 1] = np.round(volume[:, 1] / 500)
    values = {"open": opened, "high": high, "low": low, "close": close, "volume": volume}
    return {name: of_field.astype(np.float32) for name, of_field in values.items()}


def main() -> None:
    peer, values = client.running(), bars()
    vwap = ((values["high"].astype(np.float64) + values["low"] + values["close"]) / 3).astype(np.float32)
    np.savez(peer.home / "bars.npz", **values, vwap=vwap)
    peer.ask("store", bars=str(peer.home / "bars.npz"), home=str(peer.home / "data"))
    peer.ask("features")
    found, names = peer.values()
    panel = found.reshape(values["close"].shape[1], HOURS, len(names)).transpose(1, 0, 2)
    np.savez_compressed(FILE, **values, names=names, qlib=panel[WARM:])


if __name__ == "__main__":
    main()
