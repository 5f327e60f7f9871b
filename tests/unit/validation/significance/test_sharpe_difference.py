from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.significance import sharpe_difference
from pipelines.validation.significance.sharpe_difference import hac, studentised_draws
from tests.unit.validation.significance.world import ar1, frame


def ratio(values: np.ndarray) -> float:
    return float(values.mean() / values.std())


def test_the_error_is_the_known_one_for_normal_returns() -> None:
    """Memmel's (2003) form of Jobson and Korkie for independent normal returns: 2 - 2 r + (a² + b² - 2 a b r²) / 2."""
    rng, periods = np.random.default_rng(1), 40_000
    a, b, r = 0.3, 0.1, 0.6
    values = rng.multivariate_normal([a, b], [[1, r], [r, 1]], periods) * [0.01, 0.03]
    found = sharpe_difference(frame(values), "t0", "t1", draws=0)
    expected = np.sqrt((2 - 2 * r + (a**2 + b**2 - 2 * a * b * r**2) / 2) / periods)
    assert found.error == pytest.approx(expected, rel=0.03)
    assert found.difference == pytest.approx(ratio(values[:, 0]) - ratio(values[:, 1]), abs=1e-12)
    assert found.p_normal == found.p_value == pytest.approx(stats.norm.sf(found.difference / found.error))


def test_the_covariance_by_its_definition() -> None:
    """Parzen kernel, Andrews' bandwidth (Ledoit and Wolf's own defaults), written out without prewhitening."""
    values = ar1(np.random.default_rng(2), 0.4, 3, 300).T
    values -= values.mean(axis=0)
    periods, columns = values.shape
    top = bottom = 0.0
    for column in values.T:
        slope, _ = np.polyfit(column[:-1], column[1:], 1)
        rest = column[1:] - np.polyval(np.polyfit(column[:-1], column[1:], 1), column[:-1])
        top += 4 * slope**2 * rest.var() ** 2 / (1 - slope) ** 8
        bottom += rest.var() ** 2 / (1 - slope) ** 4
    bandwidth = 2.6614 * (top / bottom * periods) ** 0.2
    expected = np.zeros((columns, columns))
    for s in range(periods):
        for t in range(periods):
            x = abs(s - t) / bandwidth
            weight = 1 - 6 * x**2 + 6 * x**3 if x <= 0.5 else 2 * (1 - x) ** 3 if x <= 1 else 0
            expected += weight * np.outer(values[s], values[t]) / periods
    assert hac(values, prewhiten=False) == pytest.approx(expected * periods / (periods - columns), rel=1e-8)


@pytest.mark.parametrize("prewhiten", [True, False])
def test_the_covariance_is_near_the_true_one(prewhiten: bool) -> None:
    values = ar1(np.random.default_rng(3), 0.5, 2, 60_000).T
    found = hac(values - values.mean(axis=0), prewhiten)
    assert np.diag(found) == pytest.approx([3.0, 3.0], rel=0.12)  # (1 + r) / (1 - r)
    assert found[0, 1] == pytest.approx(0, abs=0.2)


def test_the_bootstrap_by_its_definition() -> None:
    rng, block, draws = np.random.default_rng(4), 5, 40
    pair = rng.normal(0.1, 1, (63, 2)) + rng.normal(size=(63, 1))
    samples = np.column_stack([pair, pair**2])
    starts = rng.integers(63, size=(draws, 63 // block))
    point = ratio(pair[:, 0]) - ratio(pair[:, 1])
    found = studentised_draws(samples, point, starts, block)
    for draw in range(draws):
        rows = ((starts[draw][:, None] + np.arange(block)) % 63).ravel()
        first, second = pair[rows, 0], pair[rows, 1]
        means = samples[rows].mean(axis=0)
        gradient = np.array([means[2] / first.var() ** 1.5, -means[3] / second.var() ** 1.5,
                             -means[0] / 2 / first.var() ** 1.5, means[1] / 2 / second.var() ** 1.5])
        deviations = (samples[rows] - means).reshape(-1, block, 4).sum(axis=1) / np.sqrt(block)
        covariance = deviations.T @ deviations / len(deviations)
        error = np.sqrt(gradient @ covariance @ gradient / len(rows))
        assert found[draw] == pytest.approx((ratio(first) - ratio(second) - point) / error, rel=1e-8)


@pytest.mark.no_cover
def test_level_and_power() -> None:
    """Equal Sharpe ratios under heavy tails and volatility clusters: about 5 % one-sided; +0.3 a day is found."""
    rng, runs, false, found = np.random.default_rng(5), 200, 0, 0
    for seed in range(runs):
        volatility = np.exp(ar1(rng, 0.9, 1, 250)[0] / 3)[:, None]
        shocks = rng.standard_t(5, (250, 2)) + rng.standard_t(5, (250, 1))
        returns = (shocks + 0.1) * volatility * 0.01
        false += sharpe_difference(frame(returns * [1, 3]), "t0", "t1", draws=299, seed=seed).p_value < 0.05
        returns[:, 0] += 0.3 * returns[:, 0].std()
        found += sharpe_difference(frame(returns), "t0", "t1", draws=299, seed=seed).p_value < 0.05
    assert 0.02 <= false / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert found / runs > 0.9


def test_turning_the_pair_turns_the_result() -> None:
    table = frame(np.random.default_rng(6).normal(0.1, 1, (200, 2)))
    one, other = (sharpe_difference(table, *names, seed=3) for names in (("t0", "t1"), ("t1", "t0")))
    assert one.difference == pytest.approx(-other.difference)
    assert one.p_value == pytest.approx(1 - other.p_value, abs=1e-3)
    assert one.p_two_sided == pytest.approx(other.p_two_sided, abs=1e-3)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert (one.low > 0 or one.high < 0) == (one.p_two_sided < 0.05)


def test_refusals() -> None:
    table = frame(np.random.default_rng(0).normal(0, 1, (60, 2)))
    with pytest.raises(ContractError, match="no column"):
        sharpe_difference(table, "t0", "t9")
    with pytest.raises(ContractError, match="itself"):
        sharpe_difference(table, "t0", "t0")
    with pytest.raises(ContractError, match="twice"):
        sharpe_difference(table, "t0", "t1", block=31)
    with pytest.raises(ContractError, match="up to scale"):
        sharpe_difference(table.assign(t1=table["t0"] * 2), "t0", "t1")
    with pytest.raises(ContractError, match="do not vary"):
        sharpe_difference(table.assign(t1=0.0), "t0", "t1")
    with pytest.raises(InsufficientData):
        sharpe_difference(table.iloc[:19], "t0", "t1")
