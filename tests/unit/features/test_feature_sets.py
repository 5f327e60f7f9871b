"""One feature more changes neither the rows' times nor the other features' values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contracts.columns import FEATURE_META, Kind
from pipelines.contracts.window import Window
from pipelines.features import build, catalog, feature_names, view
from pipelines.features.declare import Bars, Group
from pipelines.store import Warehouse, facts
from tests.unit.features.world import DAY, HOUR, START, dirty, line

HOURS = 24 * 16
FEATURES = [replace(group, features=(feature,)) for name in ("returns", "trend", "volatility")
            for group in [catalog.GROUPS[name]] for feature in group.features]


def evaluated(frame: pd.DataFrame, groups: list[Group]) -> view.Evaluated:
    def compute(bars: Bars) -> dict[str, np.ndarray]:
        return {name: value for group in groups for name, value in group.on_bars(bars).items()}

    past = view.history(frame, START, START + HOURS * HOUR)
    return view.evaluate(past, compute, max([0, *(catalog.lookback([group]) for group in groups)]))


@pytest.mark.no_cover
@given(seed=st.integers(0, 10_000), rate=st.sampled_from([0.002, 0.02, 0.2]), data=st.data())
@settings(max_examples=8)
def test_a_set_is_the_same_inside_a_larger_one(seed: int, rate: float, data: st.DataObject) -> None:
    frame = dirty(HOURS, ("AUSDT", "BUSDT", "CUSDT"), seed=seed, rate=rate)
    larger = data.draw(st.lists(st.sampled_from(FEATURES), min_size=1, max_size=5, unique_by=lambda one: one.features))
    smaller = larger[:data.draw(st.integers(0, len(larger)))]
    alone, within = evaluated(frame, smaller), evaluated(frame, larger)
    assert alone.time.tobytes() == within.time.tobytes()
    whole = slice(catalog.lookback(larger), None)
    for name, values in alone.values.items():
        assert values[whole].tobytes() == within.values[name][whole].tobytes(), name


@pytest.fixture(scope="module")
def loaded(shared_warehouse: Warehouse) -> Warehouse:
    facts.write(shared_warehouse, Kind.BARS, dirty(HOURS, seed=3, rate=0.02).drop(columns="revision"))
    return shared_warehouse


@pytest.mark.parametrize("more", ["returns", "volatility", "cross_asset"])
def test_one_group_more_takes_rows_away_at_most(loaded: Warehouse, more: str) -> None:
    window, end = Window(START + 10 * DAY, START + 15 * DAY), START + 15 * DAY
    small = build(loaded, line(groups=("trend", "time")), window=window, as_of=end)
    large = build(loaded, line(groups=("trend", more, "time")), window=window, as_of=end)
    mine = [*FEATURE_META, *feature_names(small)]
    both = small.merge(large[mine], on=["symbol", "event_time"], suffixes=("", "_large"))
    assert len(both) == len(large) > 100
    for name in mine[2:]:
        assert both[name].tolist() == both[f"{name}_large"].tolist()
    assert (len(small) > len(large)) == (more == "returns")  # returns need the bar of the hour before
