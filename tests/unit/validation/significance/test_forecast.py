from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.significance import block_t_test, cosine_test, diebold_mariano
from pipelines.validation.significance.forecast import automatic_cosines, diebold_mariano_of, loss_differences
from tests.unit.validation.significance.world import ar1, frame, series


@pytest.mark.parametrize("horizon", [1, 2, 6, 24])
def test_newey_west_equals_statsmodels(horizon: int) -> None:
    values = ar1(np.random.default_rng(horizon), 0.6, 1, 300)[0] + 0.1
    found = diebold_mariano_of(series(values), horizon=horizon, kernel="bartlett")
    peer = sm.OLS(values, np.ones(300)).fit(cov_type="HAC", cov_kwds={"maxlags": horizon - 1, "use_correction": False})
    correction = np.sqrt((301 - 2 * horizon + horizon * (horizon - 1) / 300) / 300)
    assert found.error == pytest.approx(float(peer.bse[0]) / correction, rel=1e-9)
    assert found.effect == pytest.approx(float(peer.params[0]), rel=1e-12)


@pytest.mark.parametrize("horizon", [1, 3, 8])
def test_the_rectangular_variance_by_its_definition(horizon: int) -> None:
    values = np.random.default_rng(horizon).normal(0.1, 1, 120)
    values = np.convolve(values, np.ones(horizon) / horizon, "valid")
    found, periods = diebold_mariano_of(series(values), horizon=horizon), len(values)
    centred = values - values.mean()
    variance = sum(centred[s] * centred[t] for s in range(periods) for t in range(periods)
                   if abs(s - t) < horizon) / periods**2
    statistic = values.mean() / np.sqrt(variance)
    statistic *= np.sqrt((periods + 1 - 2 * horizon + horizon * (horizon - 1) / periods) / periods)
    assert found.statistic == pytest.approx(statistic, rel=1e-9)
    assert found.p_value == pytest.approx(stats.t.sf(statistic, periods - 1), rel=1e-9)
    assert found.p_two_sided == pytest.approx(2 * stats.t.sf(abs(statistic), periods - 1), rel=1e-9)
    half = stats.t.ppf(0.975, periods - 1) * found.error
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half))


def test_one_step_is_the_t_test() -> None:
    values = np.random.default_rng(0).normal(0.1, 1, 80)
    peer = stats.ttest_1samp(values, 0, alternative="greater")
    assert diebold_mariano_of(series(values), horizon=1).p_value == pytest.approx(peer.pvalue, rel=1e-9)


def test_a_variance_that_is_not_positive_falls_back() -> None:
    values = np.tile([1.0, -1.0], 30) + 0.01
    found = diebold_mariano_of(series(values), horizon=2)
    assert "bartlett" in found.method
    assert np.isfinite(found.error)
    assert found.error > 0
    assert found.p_value > 0.05
    assert "rectangular" in diebold_mariano_of(series(values), horizon=1).method


def test_losses_are_the_right_way_round() -> None:
    rng = np.random.default_rng(1)
    losses = frame(rng.exponential(1, (200, 2)) + np.array([0.0, 1.0]))
    assert diebold_mariano(losses, "t0", "t1", horizon=1).p_value < 1e-3  # the contender loses less
    assert diebold_mariano(losses, "t1", "t0", horizon=1).p_value > 1 - 1e-3
    assert loss_differences(losses, "t0", "t1").mean() > 0.5
    with pytest.raises(ContractError, match="no column"):
        diebold_mariano(losses, "t0", "t9", horizon=1)


def test_the_correction_helps_in_short_samples_of_overlapping_forecasts() -> None:
    rng, runs, horizon = np.random.default_rng(2), 1500, 4
    noise = np.apply_along_axis(np.convolve, 1, rng.standard_normal((runs, 67)), np.ones(4) / 2, "valid")
    found = [diebold_mariano_of(series(values), horizon=horizon) for values in noise]
    corrected = np.mean([result.p_value < 0.05 for result in found])
    factor = np.sqrt((65 - 8 + 12 / 64) / 64)
    plain = np.mean([stats.norm.sf(result.statistic / factor) < 0.05 for result in found])
    assert corrected < plain
    assert corrected <= 0.075


def test_cosines_by_their_definition() -> None:
    values = np.random.default_rng(3).normal(0.05, 1, 150)
    found = cosine_test(series(values), cosines=7)
    weights = [np.sqrt(2 / 150) * sum(x * np.cos(np.pi * j * (t - 0.5) / 150) for t, x in enumerate(values, start=1))
               for j in range(1, 8)]
    statistic = np.sqrt(150) * values.mean() / np.sqrt(np.mean(np.square(weights)))
    assert found.statistic == pytest.approx(statistic, rel=1e-9)
    assert found.freedom == 7
    assert found.p_value == pytest.approx(stats.t.sf(statistic, 7), rel=1e-9)


@pytest.mark.parametrize(("rho", "length", "most"), [(0.0, 168, 0.055), (0.8, 168, 0.065), (0.9, 504, 0.07),
                                                     (0.95, 504, 0.08), (0.95, 2000, 0.075)])
def test_size_of_the_cosine_test_under_persistence(rho: float, length: int, most: float) -> None:
    """One-sided 5 %; the ordinary t-test finds something in a third at .9. Some excess is left where a hundred periods
    hold two or three independent ones."""
    runs = 1200
    noise = ar1(np.random.default_rng(7), rho, runs, length)
    size = np.mean([cosine_test(series(values)).p_value < 0.05 for values in noise])
    assert 0.03 <= size <= most + 3 * np.sqrt(0.05 * 0.95 / runs)
    if rho == 0.95 and length == 504:
        assert size < np.mean([block_t_test(series(values), 7, 0.05).p_value < 0.05 for values in noise])


def test_cosines_shrink_with_memory() -> None:
    rng = np.random.default_rng(4)
    number = [automatic_cosines(ar1(rng, rho, 1, 2000)[0]) for rho in (-0.5, 0.0, 0.9, 0.99)]
    assert number[0] == number[1] == round(0.4 * 2000 ** (2 / 3))
    assert number[1] > number[2] > number[3] >= 3
    assert automatic_cosines(np.arange(2000.0)) == 3


@pytest.mark.no_cover
def test_the_minimum_detectable_effect_is_found_with_eighty_percent() -> None:
    rng, runs = np.random.default_rng(5), 1500
    noise = rng.standard_normal((runs, 120))
    shift = np.mean([cosine_test(series(values), cosines=8).minimum_detectable for values in noise[:300]])
    power = np.mean([cosine_test(series(values + shift), cosines=8).p_value < 0.05 for values in noise])
    assert power == pytest.approx(0.8, abs=0.05)


def test_refusals() -> None:
    values = series(np.random.default_rng(0).normal(size=60))
    for call in (lambda: diebold_mariano_of(values, horizon=0), lambda: cosine_test(values, cosines=1),
                 lambda: cosine_test(values, cosines=60), lambda: cosine_test(values, alpha=0.7),
                 lambda: cosine_test(values * 0 + 0.1), lambda: diebold_mariano_of(values * 0, horizon=1)):
        with pytest.raises(ContractError):
            call()
    with pytest.raises(InsufficientData):
        diebold_mariano_of(values, horizon=24)
    with pytest.raises(InsufficientData):
        cosine_test(pd.Series(values.iloc[:19]))
