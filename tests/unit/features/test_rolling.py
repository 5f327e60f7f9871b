"""Finite windows: right, and the same to the bit wherever the array begins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numba import njit

from pipelines.features.numerics import jit, kernels, rolling
from tests.unit.features import rolling_oracle

FUNCTIONS = [rolling.window_sum, rolling.window_mean, rolling.window_max, rolling.window_min, rolling.window_std]
ORACLES = {"window_sum": "sum", "window_mean": "mean", "window_max": "max", "window_min": "min"}

NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)
ARRAYS = hnp.arrays(np.float64, st.integers(1, 60), elements=st.one_of(NUMBERS, NUMBERS, NUMBERS, st.just(np.nan)))


PANELS = hnp.arrays(np.float64, st.one_of(
    st.tuples(st.integers(0, 40)), st.tuples(st.integers(0, 40), st.integers(0, 19))),
    elements=st.one_of(NUMBERS, NUMBERS, NUMBERS, st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0])))


def bits(values: np.ndarray, *, one_zero: bool = False) -> bytes:
    """The bits, but for those of a NaN, and of a zero's sign if that says nothing."""
    known = np.where(np.isnan(values), np.nan, values + 0.0 if one_zero else values)
    return known.tobytes()


def oracle(function: object, values: np.ndarray, width: int) -> bytes:
    name = function.__name__  # type: ignore[attr-defined]
    with np.errstate(all="ignore"):
        return bits(getattr(rolling_oracle, name)(values, width), one_zero=name in ("window_max", "window_min"))


@pytest.mark.parametrize("function", [*FUNCTIONS, rolling.window_count], ids=lambda function: function.__name__)
class TestEqualsTheFirstVersionToTheBit:
    @given(values=PANELS, width=st.integers(1, 30))
    @settings(max_examples=40)
    def test_any_shape_and_any_gap(self, function: object, values: np.ndarray, width: int) -> None:
        assert bits(function(values, width)) == oracle(function, values, width)  # type: ignore[operator]

    @pytest.mark.parametrize("shape", [(3 * kernels.BLOCK + 5,), (kernels.BLOCK + 1, 2 * kernels.LANES + 3)])
    @pytest.mark.parametrize("width", [1, 7, 24, 168, 1500])
    def test_windows_across_blocks(self, function: object, shape: tuple[int, ...], width: int) -> None:
        values = np.random.default_rng(width).standard_normal(shape)
        assert bits(function(values, width)) == oracle(function, values, width)  # type: ignore[operator]
        values[np.random.default_rng(0).random(shape) < 0.03] = np.nan
        assert bits(function(values, width)) == oracle(function, values, width)  # type: ignore[operator]

    def test_whatever_the_strides(self, function: object) -> None:
        values = np.random.default_rng(1).standard_normal((60, 12))
        values[values > 2] = np.nan
        for view in (values[::-1], values[:, ::3], np.asfortranarray(values), values[5:, 2], values.T):
            before = view.copy()
            assert bits(function(view, 6)) == oracle(function, before, 6)  # type: ignore[operator]
            np.testing.assert_array_equal(view, before)


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])  # a read-only image without a home

    def double(value: float) -> float:
        return 2 * value

    with pytest.raises(RuntimeError, match="no locator"):
        njit(cache=True)(double)
    assert jit.kernel(double)(21.0) == 42


def random_walk(hours: int, seed: int = 3) -> np.ndarray:
    return 100 * np.exp(np.cumsum(0.01 * np.random.default_rng(seed).standard_normal(hours)))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
@given(values=ARRAYS, width=st.integers(1, 20), data=st.data())
@settings(max_examples=40)
def test_the_start_does_not_matter(function: object, values: np.ndarray, width: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, max(len(values) - width, 0)))
    whole = function(values, width)  # type: ignore[operator]
    part = function(values[start:].copy(), width)  # type: ignore[operator]
    assert whole[start + width - 1:].tobytes() == part[width - 1:].tobytes()


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_columns_do_not_touch_each_other(function: object) -> None:
    panel = np.ascontiguousarray(np.stack([random_walk(300, seed) for seed in range(3)], axis=1))
    panel[40:45, 1] = np.nan
    whole = function(panel, 24)  # type: ignore[operator]
    for column in range(3):
        alone = function(np.ascontiguousarray(panel[:, column]), 24)  # type: ignore[operator]
        assert whole[:, column].tobytes() == alone.tobytes()


@pytest.mark.parametrize("width", [1, 6, 24, 168])
@pytest.mark.parametrize("name", ORACLES)
def test_equals_pandas(name: str, width: int) -> None:
    values = random_walk(500)
    ours = getattr(rolling, name)(values, width)
    theirs = getattr(pd.Series(values).rolling(width), ORACLES[name])().to_numpy()
    full = slice(width - 1, None)
    np.testing.assert_allclose(ours[full], theirs[full], rtol=1e-9)


@pytest.mark.parametrize("width", [2, 20, 168])
def test_standard_deviation_equals_pandas(width: int) -> None:
    values = random_walk(500)
    theirs = pd.Series(values).rolling(width).std(ddof=0).to_numpy()
    np.testing.assert_allclose(rolling.window_std(values, width)[width - 1:], theirs[width - 1:], rtol=1e-9)


def test_a_large_mean_does_not_eat_the_digits() -> None:
    assert rolling.window_std(np.array([1e9, 1e9 + 1, 1e9 + 2]), 3)[-1] == pytest.approx(np.sqrt(2 / 3), rel=1e-12)


@pytest.mark.parametrize(("missing", "there"), [(0, True), (1, True), (2, True), (3, False)])
def test_a_tenth_of_a_window_may_be_missing(missing: int, there: bool) -> None:
    values = np.arange(24.0)
    values[5:5 + missing] = np.nan
    for function in FUNCTIONS:
        assert np.isfinite(function(values, 24)[-1]) == there
    if there:
        assert rolling.window_mean(values, 24)[-1] == pytest.approx(np.nanmean(values))
        assert rolling.window_std(values, 24)[-1] == pytest.approx(np.nanstd(values))
        assert rolling.window_max(values, 24)[-1] == 23
        assert rolling.window_min(values, 24)[-1] == 0


def test_short_windows_need_every_value() -> None:
    values = np.array([1.0, 2.0, np.nan, 4.0, 5.0, 6.0])
    assert np.isnan(rolling.window_sum(values, 3)).tolist() == [True, True, True, True, True, False]


def test_rows_before_the_array_are_missing() -> None:
    ones = np.ones(30)
    assert np.flatnonzero(np.isfinite(rolling.window_mean(ones, 20)))[0] == 17  # 18 of 20 are nine tenths
    assert rolling.window_count(ones, 20)[[0, 4, 19, 29]].tolist() == [1, 5, 20, 20]
    assert rolling.window_count(np.array([1.0, np.nan, 1.0]), 2).tolist() == [1, 1, 1]


def test_shift() -> None:
    values = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(rolling.shift(values, 1), [np.nan, 1, 2])
    np.testing.assert_array_equal(rolling.shift(values, 0), values)
    np.testing.assert_array_equal(rolling.shift(values, 5), [np.nan] * 3)


def test_a_window_has_a_width() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        rolling.window_sum(np.ones(3), 0)
