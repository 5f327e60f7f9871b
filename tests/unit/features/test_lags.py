"""A row's own past: the same hours as the rows before it had, wherever the array begins, and neutral where one is
missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.features import catalog
from pipelines.features.declare import Bars
from pipelines.features.view import FIELDS
from tests.unit.features.test_bar_groups import DATA, C, H, L, V

GROUP, = catalog.select(("lags",))


def computed(first: int) -> dict[str, np.ndarray]:
    with np.errstate(all="ignore"):
        return GROUP.on_bars(Bars(**{field: DATA[field][first:].copy() for field in FIELDS}, first=first))


def test_a_lag_is_what_the_row_before_had_bit_for_bit() -> None:
    whole = computed(0)
    for channel in ("return", "range", "volume"):
        newest = whole[f"lag_{channel}_01"]
        for hour in range(2, 25):
            assert whole[f"lag_{channel}_{hour:02d}"][60:].tobytes() == newest[60 - hour + 1:1 - hour].tobytes()


@pytest.mark.parametrize("hour", [1, 2, 24])
def test_equals_pandas(hour: int) -> None:
    whole = computed(0)
    for channel, peer in {"return": np.log(C / C.shift()), "range": np.log(H / L),
                          "volume": np.log1p(V / V.rolling(24).mean())}.items():
        np.testing.assert_allclose(whole[f"lag_{channel}_{hour:02d}"][60:], peer.shift(hour - 1).to_numpy()[60:],
                                   rtol=1e-9, atol=1e-12)


def test_the_look_back_is_all_that_is_needed() -> None:
    whole = computed(0)
    for feature in GROUP.features:
        start = 100 - feature.lookback
        assert computed(start)[feature.name][feature.lookback:].tobytes() == whole[feature.name][100:].tobytes()


def test_a_missing_hour_is_an_hour_in_which_nothing_happened() -> None:
    assert {feature.name[4:-3]: feature.neutral for feature in GROUP.features} == {
        "return": 0.0, "range": 0.0, "volume": math.log(2.0)}
    assert [feature.lookback for feature in GROUP.features[-3:]] == [24, 23, 46]
