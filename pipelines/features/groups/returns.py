"""Log returns over several horizons, and how unusual the volume is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars, Feature, Group
from pipelines.features.numerics.rolling import shift, window_mean

_HORIZONS = (1, 4, 12, 24)
_VOLUME_HOURS = 24


def _compute(bars: Bars) -> Mapping[str, FloatArray]:
    values = {f"return_{hours}h": np.log(bars.close / shift(bars.close, hours)) for hours in _HORIZONS}
    usual = window_mean(bars.volume, _VOLUME_HOURS)
    # A window without any trade: nothing unusual happened.
    ratio = np.where(usual == 0, 0.0, bars.volume / np.where(usual == 0, 1.0, usual))
    return {**values, "volume_ratio_24h": np.log1p(ratio)}


GROUP = Group(
    "returns",
    (*(Feature(f"return_{hours}h", ("close",), hours, "log return", f"ln(c[t] / c[t-{hours}])")
       for hours in _HORIZONS),
     Feature("volume_ratio_24h", ("volume",), _VOLUME_HOURS - 1, "ln(1 + ratio)",
             "ln(1 + v[t] / mean of v over 24 h)")),
    from_bars=_compute)
