from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from arch.bootstrap import SPA, StationaryBootstrap

from pipelines.errors import ContractError
from pipelines.validation.significance import bootstrap, spa, spa_of_gains
from pipelines.validation.significance.superior import reference_spa
from tests.unit.validation.significance.world import ar1, frame, times


def gains(seed: int, periods: int = 200, contenders: int = 6, rho: float = 0.3) -> pd.DataFrame:
    """Correlated and autocorrelated gains of different size; some contenders clearly worse, so that the three
    recentrings differ."""
    rng = np.random.default_rng(seed)
    noise = ar1(rng, rho, contenders, periods).T + 0.5 * rng.standard_normal((periods, 1))
    scale = np.geomspace(0.5, 5, contenders)
    return frame(noise * scale + np.linspace(0.15, -1.2, contenders) * scale)


def drawn_by_arch(periods: int, block: int, draws: int, seed: int) -> np.ndarray:
    sampler = StationaryBootstrap(block, np.arange(periods), seed=seed)
    return np.array([positions[0][0] for positions, in ((draw,) for draw in sampler.bootstrap(draws))])


@pytest.mark.parametrize("seed", [0, 1, 3, 4, 5, 6])
@pytest.mark.parametrize("studentise", [True, False])
def test_equal_to_arch_on_the_same_resamples(seed: int, studentise: bool) -> None:
    table = gains(seed)
    indices = drawn_by_arch(len(table), 6, 500, seed)
    found = spa_of_gains(table, block=6, indices=indices, studentise=studentise)
    assert found.gain > 0
    expected = reference_spa(table, block=6, draws=500, seed=seed, studentise=studentise)
    assert (found.lower, found.p_value, found.upper) == expected


def test_the_plain_statistic_is_what_arch_computes_whatever_it_is_told() -> None:
    """The reason for scaling before arch: its `studentize` leaves the p-values as they are."""
    table = gains(1)
    found = []
    for studentize in (True, False):
        test = SPA(np.zeros(len(table)), -table.to_numpy(), block_size=6, reps=200, studentize=studentize, seed=1)
        test.compute()
        found.append(test.pvalues.tolist())
    assert found[0] == found[1]
    own = spa_of_gains(table, block=6, indices=drawn_by_arch(len(table), 6, 200, 1), studentise=False)
    assert [own.lower, own.p_value, own.upper] == found[0]


def test_hansens_equations_written_out() -> None:
    table, block = gains(9, periods=60), 4.0
    indices = bootstrap.stationary_indices(60, block, 80, 2)
    found = spa_of_gains(table, block=block, draws=80, seed=2)
    values, periods = table.to_numpy(), 60
    mean, omega = values.mean(axis=0), np.sqrt(bootstrap.long_run_variance(values, block))
    statistic = max(max(np.sqrt(periods) * mean / omega), 0.0)
    counts = np.zeros(3)
    for row in indices:
        tops = np.zeros(3)
        for k in range(values.shape[1]):
            star = values[row, k].mean()
            worse = mean[k] < -np.sqrt(omega[k] ** 2 / periods * 2 * np.log(np.log(periods)))
            for which, centre in enumerate((max(mean[k], 0), 0 if worse else mean[k], mean[k])):
                tops[which] = max(tops[which], np.sqrt(periods) * (star - centre) / omega[k])
        counts += tops > statistic
    assert found.statistic == pytest.approx(statistic)
    assert [found.lower, found.p_value, found.upper] == pytest.approx((counts / 80).tolist())
    assert found.best == table.columns[np.argmax(mean / omega)]
    assert found.error == pytest.approx((omega / np.sqrt(periods))[np.argmax(mean / omega)])


def test_own_resamples_give_archs_p_value_up_to_their_noise() -> None:
    table = gains(6)
    ours = np.mean([spa_of_gains(table, block=6, seed=seed).p_value for seed in range(10)])
    theirs = np.mean([reference_spa(table, block=6, seed=seed)[1] for seed in range(10)])
    assert 0.02 < theirs < 0.98
    assert ours == pytest.approx(theirs, abs=4 * np.sqrt(2 * 0.25 / 10_000))


def test_losses_and_returns_of_the_same_data_agree() -> None:
    rng = np.random.default_rng(4)
    losses = frame(rng.exponential(1, (100, 4)))
    turned = losses.mean().mean() - losses
    one, other = spa(losses=losses, benchmark="t0"), spa(returns=turned, benchmark="t0")
    assert (one.p_value, one.best) == (other.p_value, other.best)
    assert one.gain == pytest.approx(losses["t0"].mean() - losses[one.best].mean())
    assert (one.contenders, one.periods, one.draws) == (3, 100, 1000)


@pytest.mark.no_cover
def test_level_and_power_over_many_trials() -> None:
    """504 periods, 20 equal contenders correlated like trials of one search: at most 5 % find something; a test of the
    best alone finds it in more than a third. An edge in one of them is found."""
    rng = np.random.default_rng(11)
    false = naive = found = 0
    for seed in range(200):
        table = frame(rng.standard_normal((504, 20)) * 0.8 + 0.6 * rng.standard_normal((504, 1)))
        result = spa_of_gains(table, seed=seed, draws=400)
        false += result.p_value < 0.05
        naive += result.gain / result.error > 1.645
        table["t7"] += 0.2
        found += spa_of_gains(table, seed=seed, draws=400).p_value < 0.05
    assert false / 200 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert naive / 200 > 0.3
    assert found / 200 > 0.8


def test_poor_contenders_do_not_hide_a_good_one() -> None:
    rng = np.random.default_rng(12)
    values = rng.standard_normal((300, 40)) - 1.0
    values[:, 0] = rng.standard_normal(300) / 4 + 0.04
    result = spa_of_gains(frame(values), studentise=False)
    assert result.best == "t0"
    assert result.p_value < 0.05
    assert result.upper > 0.9  # White's reality check lifts all the poor ones up to the benchmark
    assert spa_of_gains(frame(values)).p_value < 0.05


def test_no_gain_is_no_finding() -> None:
    values = np.random.default_rng(0).standard_normal((100, 3)) - 3
    result = spa_of_gains(frame(values))
    assert (result.p_value, result.lower, result.upper, result.statistic) == (1.0, 1.0, 1.0, 0.0)


def test_a_twin_of_the_benchmark_changes_nothing() -> None:
    table = gains(5)
    alone = spa_of_gains(table, block=5)
    table["twin"] = 0.0
    assert spa_of_gains(table, block=5).p_value == alone.p_value


def test_critical_value_splits_the_level() -> None:
    table = gains(2)
    result = spa_of_gains(table, alpha=0.2)
    assert (result.statistic > result.critical) == (result.p_value < 0.2)


def test_refusals() -> None:
    table = gains(0)
    with pytest.raises(ContractError, match="do not resample"):
        spa_of_gains(table, indices=np.zeros((5, 7), dtype=np.int64))
    with pytest.raises(ContractError, match="level"):
        spa_of_gains(table, alpha=1.0)
    with pytest.raises(ContractError, match="block"):
        spa_of_gains(table, block=1000)
    constant = pd.DataFrame({"same": np.full(50, 0.25)}, times(50))
    with pytest.raises(ContractError, match="same amount"):
        spa_of_gains(constant)
