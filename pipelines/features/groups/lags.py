"""The last day hour by hour: a row's own sequence, for families that read one.

A sequence model needs the rows before a row, and serving asks with single rows. So each row brings its past along: what
one live row says then equals what it said in training, like every other feature. ``01`` is the row's own hour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars, Feature, Group, Lazy
from pipelines.features.numerics.rolling import shift, window_mean

HOURS = 24
_USUAL = 24


def _compute(bars: Bars) -> Mapping[str, Lazy]:
    usual = window_mean(bars.volume, _USUAL)
    # A window without any trade: nothing unusual happened.
    volume = np.log1p(np.where(usual == 0, 0.0, bars.volume / np.where(usual == 0, 1.0, usual)))
    channels = {"return": bars.log_return, "range": bars.log_range, "volume": volume}
    return {f"lag_{channel}_{hour:02d}": _before(values, hour - 1)
            for channel, values in channels.items() for hour in range(1, HOURS + 1)}


def _before(values: FloatArray, hours: int) -> Lazy:
    return lambda: shift(values, hours)


def _features() -> tuple[Feature, ...]:
    # An hour without a bar must not cost the day's rows: it is taken as an hour in which nothing happened.
    declared = []
    for hour in range(1, HOURS + 1):
        at, before = hour - 1, f"t-{hour - 1}"
        declared += [
            Feature(f"lag_return_{hour:02d}", ("close",), at + 1, "log return", f"ln(c[{before}] / c[t-{hour}])", 0.0),
            Feature(f"lag_range_{hour:02d}", ("high", "low"), at, "log ratio", f"ln(h[{before}] / l[{before}])", 0.0),
            Feature(f"lag_volume_{hour:02d}", ("volume",), at + _USUAL - 1, "ln(1 + ratio)",
                    f"ln(1 + v[{before}] / mean of v over 24 h until then); a missing hour is a usual one",
                    math.log(2.0))]
    return tuple(declared)


GROUP = Group("lags", _features(), from_bars=_compute)
