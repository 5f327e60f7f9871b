"""A row's own past: the same hours as the rows before it had, wherever the array begins, and neutral where one is
missing."""

from __future__ import annotations

import math

import numpy as np

from pipelines.features import catalog
from pipelines.features.declare import Bars
from pipelines.features.view import FIELDS
from tests.unit.features.test_bar_groups import DATA

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


def test_the_look_back_is_all_that_is_needed() -> None:
    whole = computed(0)
    for feature in GROUP.features:
        start = 100 - feature.lookback
        assert computed(start)[feature.name][feature.lookback:].tobytes() == whole[feature.name][100:].tobytes()


def test_a_missing_hour_is_an_hour_in_which_nothing_happened() -> None:
    assert {feature.name[4:-3]: feature.neutral for feature in GROUP.features} == {
        "return": 0.0, "range": 0.0, "volume": math.log(2.0)}
    assert [feature.lookback for feature in GROUP.features[-3:]] == [24, 23, 46]
