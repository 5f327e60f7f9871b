from __future__ import annotations

import arch.bootstrap as peer
import numpy as np
import pytest

from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.significance import bootstrap
from tests.unit.validation.significance.world import ar1


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 0.99, -0.5])
@pytest.mark.parametrize("periods", [20, 50, 168, 2000])
def test_block_length_equals_arch(rho: float, periods: int) -> None:
    for values in ar1(np.random.default_rng(periods), rho, 5, periods):
        expected = peer.optimal_block_length(values).iloc[0]
        assert bootstrap.block_length(values) == pytest.approx(max(1.0, expected["stationary"]), abs=1e-8)
        assert bootstrap.block_length(values, circular=True) == pytest.approx(max(1.0, expected["circular"]), abs=1e-8)


def test_block_length_of_nothing() -> None:
    assert bootstrap.block_length(np.full(50, 0.1)) == 1
    with pytest.raises(InsufficientData):
        bootstrap.block_length(np.arange(19.0))


def test_joint_length_is_the_whole_median() -> None:
    values = ar1(np.random.default_rng(1), 0.7, 5, 300).T
    own = [bootstrap.block_length(column) for column in values.T]
    assert bootstrap.joint_block_length(values) == np.ceil(np.median(own))


def test_indices_walk_in_blocks_of_the_asked_mean_length() -> None:
    found = bootstrap.stationary_indices(100, 5.0, 4000, 1)
    assert found.shape == (4000, 100)
    assert found.min() == 0
    assert found.max() == 99
    follows = (found[:, 1:] - found[:, :-1]) % 100 == 1
    # a block ends with chance 1/5, and a new one starts at the very next period with chance 1/100
    assert follows.mean() == pytest.approx(0.8 + 0.2 / 100, abs=0.003)
    assert np.bincount(found.ravel()) / 4000 == pytest.approx(np.ones(100), abs=0.12)  # every period alike


def test_block_of_one_is_the_plain_bootstrap() -> None:
    found = bootstrap.stationary_indices(50, 1.0, 2000, 0)
    assert ((found[:, 1:] - found[:, :-1]) % 50 == 1).mean() == pytest.approx(0.02, abs=0.003)


@pytest.mark.parametrize(("periods", "draws"), [(40, 30), (3_000_000, 3), (300_000, 30)])
def test_means_are_means_over_the_indices(periods: int, draws: int) -> None:
    """Below and above the size at which resamples are made in parts."""
    values = np.random.default_rng(2).normal(size=(periods, 2))
    indices = bootstrap.stationary_indices(periods, 4.0, draws, 7)
    expected = np.stack([values[row].mean(axis=0) for row in indices])
    assert bootstrap.bootstrap_means(values, 4.0, draws, 7) == pytest.approx(expected, abs=1e-12)
    if periods < 1000:
        assert bootstrap.means_of(values, indices) == pytest.approx(expected, abs=1e-12)


def test_the_seed_decides_and_nothing_else() -> None:
    first = bootstrap.stationary_indices(60, 3.0, 20, 5)
    bootstrap.stationary_indices(60, 3.0, 20, 6)
    assert (bootstrap.stationary_indices(60, 3.0, 20, 5) == first).all()
    assert (bootstrap.stationary_indices(60, 3.0, 20, 6) != first).any()


def test_long_run_variance_by_the_sum_of_the_paper_and_by_drawing() -> None:
    values = ar1(np.random.default_rng(3), 0.6, 3, 120).T
    block, periods = 7.0, 120
    expected = np.zeros(3)
    centred = values - values.mean(axis=0)
    for lag in range(periods):
        gamma = (centred[lag:] * centred[:periods - lag]).sum(axis=0) / periods
        keep = 1 - 1 / block
        kappa = (1 - lag / periods) * keep**lag + lag / periods * keep ** (periods - lag)
        expected += gamma * (1 if lag == 0 else 2 * kappa)
    found = bootstrap.long_run_variance(values, block)
    assert found == pytest.approx(expected, rel=1e-10)
    drawn = bootstrap.bootstrap_means(values, block, 20_000, 0).var(axis=0) * periods
    assert found == pytest.approx(drawn, rel=0.04)


@pytest.mark.parametrize(("block", "draws"), [(0.5, 10), (41.0, 10), (5.0, 0), (float("nan"), 10)])
def test_nonsense_is_refused(block: float, draws: int) -> None:
    with pytest.raises(ContractError):
        bootstrap.stationary_indices(40, block, draws, 0)
    with pytest.raises(ContractError):
        bootstrap.bootstrap_means(np.zeros((40, 1)), block, draws, 0)
