from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import signal, stats

from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.significance import block_t_test, noncentrality


def hourly(values: np.ndarray | list[float]) -> pd.Series:
    return pd.Series(values, index=pd.date_range("2024-01-01", periods=len(values), freq="h", tz="UTC"))


def ar1(rng: np.random.Generator, rho: float, runs: int, length: int) -> np.ndarray:
    """Stationary AR(1) with unit variance, shape (runs, length)."""
    noise = rng.standard_normal((runs, length + 200)) * np.sqrt(1 - rho**2)
    return signal.lfilter([1.0], [1.0, -rho], noise, axis=1)[:, 200:]


def test_equal_to_the_plain_t_test_on_block_means() -> None:
    values = np.random.default_rng(1).normal(0.1, 1, 140)
    found = block_t_test(hourly(values), blocks=7, alpha=0.05)
    means = values.reshape(7, 20).mean(axis=1)
    peer = stats.ttest_1samp(means, 0, alternative="greater")
    interval = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert found.effect == pytest.approx(values.mean())
    assert found.p_value == pytest.approx(peer.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.blocks == 7


@pytest.mark.no_cover
@pytest.mark.parametrize(("rho", "length"), [(0.0, 168), (0.5, 168), (0.9, 336)])
def test_size_and_coverage_under_autocorrelated_noise(rho: float, length: int) -> None:
    """At most 5 % false alarms and at least 95 % coverage, up to three binomial standard errors of the simulation and
    a fifth for the correlation that is left between neighbouring blocks; a test on single periods has 37 % at .9."""
    runs, alpha = 2000, 0.05
    noise = ar1(np.random.default_rng(7), rho, runs, length)
    found = [block_t_test(hourly(values), 7, alpha) for values in noise]
    slack = 3 * np.sqrt(alpha * (1 - alpha) / runs)
    size = np.mean([result.p_value < alpha for result in found])
    assert size <= alpha * 1.2 + slack
    assert size >= alpha * 0.8 - slack  # not by being deaf
    covered = np.mean([result.low <= 0 <= result.high for result in found])
    assert covered >= 0.95 - alpha * 0.2 - slack
    if rho == 0.9:
        naive = np.mean(stats.ttest_1samp(noise, 0, axis=1, alternative="greater").pvalue < alpha)
        assert naive > 0.25


@pytest.mark.no_cover
def test_the_minimum_detectable_effect_is_found_with_eighty_percent() -> None:
    """Normal block means with a known error: power at `noncentrality` standard errors is 80 %."""
    rng, runs, blocks = np.random.default_rng(3), 4000, 7
    shift = noncentrality(0.05, blocks - 1) / np.sqrt(blocks)
    means = rng.standard_normal((runs, blocks)) + shift
    power = np.mean([block_t_test(hourly(np.repeat(row, 2)), blocks, 0.05).p_value < 0.05 for row in means])
    assert power == pytest.approx(0.80, abs=3 * np.sqrt(0.8 * 0.2 / runs))


def test_a_clear_effect_is_found_and_its_mirror_is_not() -> None:
    values = np.random.default_rng(5).normal(1.0, 1, 70)
    assert block_t_test(hourly(values), 7, 0.05).p_value < 0.001
    assert block_t_test(hourly(-values), 7, 0.05).p_value > 0.999


@pytest.mark.parametrize(("constant", "p"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 0.0)])
def test_constant_differences_leave_nothing_uncertain(constant: float, p: float) -> None:
    found = block_t_test(hourly([constant] * 20), 4, 0.05)
    assert (found.effect, found.low, found.high, found.p_value, found.minimum_detectable) == (
        constant, constant, constant, p, 0.0)


def test_refusals() -> None:
    good = hourly([0.1, 0.2] * 10)
    with pytest.raises(InsufficientData, match="13 periods do not fill 7 blocks; at least 14"):
        block_t_test(good.iloc[:13], 7, 0.05)
    with pytest.raises(ContractError, match="not in time order"):
        block_t_test(good.iloc[::-1], 4, 0.05)
    with pytest.raises(ContractError, match="not in time order"):
        block_t_test(pd.concat([good, good.iloc[-1:]]), 4, 0.05)
    with pytest.raises(ContractError, match="1 differences are missing"):
        block_t_test(good.where(good.index != good.index[3]), 4, 0.05)
    with pytest.raises(ContractError, match="at least 2"):
        block_t_test(good, 1, 0.05)
    with pytest.raises(ContractError, match="one-sided level"):
        block_t_test(good, 4, 0.9)
