"""A row of the spectral groups has the same bits alone, in a batch, and in a batch that begins elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features.declare import Feature, Group
from pipelines.features.spectrum import present, weighted, welch
from tests.unit.features.spectra import GROUPS, MONDAY, bars, computed, part, walk

HOURS, SYMBOLS = 2700, 3
FEATURES = [(group, feature) for group in GROUPS for feature in group.features]


def holed(hours: int, symbols: int) -> np.ndarray:
    path = walk(hours, symbols, seed=3)
    rng = np.random.default_rng(4)
    path[rng.random(path.shape) < 0.01] = np.nan
    path[1500:1530, 1] = np.nan
    path[700:1300, 2] = path[700, 2]  # a price that does not move
    return path


BARS = bars(holed(HOURS, SYMBOLS), MONDAY + 5)
WHOLE = {group.name: computed(group, BARS) for group in GROUPS}


@pytest.mark.parametrize("group", GROUPS, ids=[group.name for group in GROUPS])
def test_every_row_alone_and_in_other_batches(group: Group) -> None:
    longest = max(feature.lookback for feature in group.features)

    @given(st.integers(longest, HOURS - 1), st.integers(0, SYMBOLS - 1), st.integers(0, 700), st.integers(0, 40),
           st.booleans())
    @settings(max_examples=25, derandomize=True, database=None, deadline=None)
    def same(row: int, symbol: int, before: int, after: int, together: bool) -> None:
        columns = slice(0, SYMBOLS) if together else slice(symbol, symbol + 1)
        begin = max(row - longest - before, 0)
        found = computed(group, part(BARS, slice(begin, row + 1 + after), columns))
        for name, value in found.items():
            expected = WHOLE[group.name][name][row, columns]
            assert value[row - begin].tobytes() == np.ascontiguousarray(expected).tobytes(), (name, row)

    same()


@pytest.mark.parametrize(("group", "feature"), FEATURES, ids=[feature.name for _, feature in FEATURES])
def test_its_own_look_back_is_enough(group: Group, feature: Feature) -> None:
    for row in (HOURS - 1, HOURS - 77):
        alone = computed(group, part(BARS, slice(row - feature.lookback, row + 1)), feature.name)[feature.name]
        assert alone[-1].tobytes() == WHOLE[group.name][feature.name][row].tobytes()
        short = computed(group, part(BARS, slice(row - feature.lookback + 1, row + 1)), feature.name)[feature.name]
        assert np.isnan(short).all()  # rows that reach before the array have no value: they cost nothing


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 15, 16, 17, 300])
def test_transforms_do_not_know_how_many_they_are(rows: int) -> None:
    values = walk(1600, seed=7)[:, 0]
    whole = welch(values, np.arange(503, 1600), 168, 5)
    for begin in (503, 504, 507, 1211):
        few = welch(values, np.arange(begin, begin + rows), 168, 5)
        assert few.tobytes() == whole[begin - 503:begin - 503 + rows].tobytes()


@pytest.mark.parametrize("terms", [1, 2, 3, 4, 5, 7, 8, 30])
@pytest.mark.parametrize("step", [1, 3])
def test_weighted_sums(terms: int, step: int) -> None:
    rng = np.random.default_rng(terms)
    values, weights = rng.standard_normal((1500, 3)), rng.standard_normal(terms)
    found = weighted(values, weights, step)
    reach = (terms - 1) * step
    assert np.isnan(found[:reach]).all()
    for row in (reach, reach + 1, 1023, 1499):
        expected = np.zeros(3)
        for k in range(terms):  # newest first, one after the other: equal to the last bit
            expected = expected + weights[k] * values[row - k * step]
        assert found[row].tobytes() == expected.tobytes()


def test_a_sum_longer_than_the_array_has_no_value() -> None:
    assert np.isnan(weighted(np.ones((5, 2)), np.ones(6))).all()
    assert weighted(np.ones((6, 2)), np.ones(6))[-1].tolist() == [6, 6]


def test_a_window_needs_nine_tenths_of_its_returns() -> None:
    path = walk(201)
    path[50:59] = np.nan  # nine bars: ten returns
    there = present(bars(path), 100)[:, 0]
    assert np.flatnonzero(there).tolist() == list(range(100, 201))
    path[59] = np.nan
    there = present(bars(path), 100)[:, 0]
    assert np.flatnonzero(there).tolist() == list(range(150, 201))


@pytest.mark.parametrize("group", GROUPS, ids=[group.name for group in GROUPS])
def test_gaps_and_frozen_prices(group: Group) -> None:
    """A missing hour blinds nothing; a price that does not move, or is not there, is never infinite."""
    assert all(not np.isinf(value).any() for value in WHOLE[group.name].values())
    longest = max(feature.lookback for feature in group.features)
    path = walk(longest + 40, seed=8)
    path[-30], path[-20] = np.nan, -np.inf  # an hour without a bar, and one with a price of 0
    assert all(np.isfinite(value[longest:]).all() for value in computed(group, bars(path)).values())
    still = computed(group, bars(np.zeros((longest + 1, 1))))
    for feature in group.features:
        assert feature.neutral is not None
        value = still[feature.name][-1, 0]
        assert np.isnan(value) or value == 0, feature.name
    empty = bars(np.full((longest + 1, 1), np.nan))
    assert all(np.isnan(value).all() for value in computed(group, empty).values())


def test_a_constant_drift_is_no_movement() -> None:
    """Its returns differ by rounding only, and no share is made of that."""
    path = 0.001 * np.arange(1500.0)
    for group, name in ((GROUPS[0], "price_day_share"), (GROUPS[1], "spectral_entropy")):
        assert np.isnan(computed(group, bars(path), name)[name]).all()
