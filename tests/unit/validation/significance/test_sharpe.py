from __future__ import annotations

import math

import numpy as np
import purgedcv
import pytest
from scipy import stats

from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.significance import (
    Moments,
    deflated_sharpe,
    effective_trials,
    expected_maximum_sharpe,
    minimum_track_record,
    moments,
    probabilistic_sharpe,
    psr,
    sharpe_ratio,
)
from tests.unit.validation.significance.world import frame, series

YEAR = math.sqrt(250)


@pytest.mark.parametrize(("skewness", "kurtosis", "published"), [(0.0, 3.0, 0.982), (-2.448, 10.164, 0.913)])
def test_psr_of_the_papers_hedge_fund(skewness: float, kurtosis: float, published: float) -> None:
    """Bailey and López de Prado 2012: two years of months, Sharpe ratio .458 a month (1.59 a year)."""
    assert psr(Moments(0.458, skewness, kurtosis, 24)) == pytest.approx(published, abs=6e-4)


@pytest.mark.parametrize(("periods_a_year", "published"), [(250, 2.73), (52, 2.83), (12, 3.24)])
def test_minimum_track_record_of_the_paper(periods_a_year: int, published: float) -> None:
    """The same paper: years to tell an annual Sharpe ratio of 2 from 1 at 95 %, normal returns."""
    root = math.sqrt(periods_a_year)
    needed = minimum_track_record(Moments(2 / root, 0.0, 3.0, 100), 1 / root)
    assert needed / periods_a_year == pytest.approx(published, abs=6e-3)


def test_the_minimum_track_record_is_where_the_probability_arrives() -> None:
    record = Moments(0.1, -0.5, 5.0, 300)
    needed = minimum_track_record(record, 0.02, 0.05)
    assert psr(Moments(0.1, -0.5, 5.0, math.ceil(needed)), 0.02) >= 0.95
    assert psr(Moments(0.1, -0.5, 5.0, math.floor(needed)), 0.02) < 0.95
    assert minimum_track_record(record, 0.1) == math.inf
    peer = purgedcv.min_track_record_length(0.1, 0.02, 0.05, -0.5, 5.0)
    assert math.ceil(needed - 1) + 1 == peer


@pytest.mark.parametrize(("trials", "published"), [(100, 0.9004), (46, 0.9505)])
def test_deflated_sharpe_of_the_paper(trials: int, published: float) -> None:
    """Bailey and López de Prado 2014: annual 2.5 over 1,250 days, skewness -3, kurtosis 10, variance 1/2 a year."""
    expected = expected_maximum_sharpe(0.5 / 250, trials)
    assert psr(Moments(2.5 / YEAR, -3.0, 10.0, 1250), expected) == pytest.approx(published, abs=5e-5)
    if trials == 100:
        assert expected == pytest.approx(0.1132, abs=5e-5)


@pytest.mark.parametrize("trials", [2, 5, 20, 200, 5000])
def test_the_expected_maximum_equals_purgedcv_and_nearly_the_truth(trials: int) -> None:
    found = expected_maximum_sharpe(0.04, trials)
    peer = purgedcv.deflated_sharpe_ratio_full(np.random.default_rng(0).normal(0, 1, 50), trials, 0.04)
    assert found == pytest.approx(peer.sr_star, abs=1e-12)
    grid = np.linspace(-8, 10, 20_001)
    truth = 0.2 * np.trapezoid(grid * trials * stats.norm.pdf(grid) * stats.norm.cdf(grid) ** (trials - 1), grid)
    assert found == pytest.approx(truth, rel=0.09 if trials < 5 else 0.03)


def test_deflation_over_labelled_trials_puts_the_pieces_together() -> None:
    returns = frame(np.random.default_rng(4).normal(0.0002, 0.01, (400, 12)))
    found = deflated_sharpe(returns, method="none")
    ratios = returns.mean() / returns.std()
    chosen = returns[ratios.idxmax()].to_numpy()
    ratio = chosen.mean() / chosen.std(ddof=1)
    benchmark = purgedcv.deflated_sharpe_ratio_full(chosen, 12, float(ratios.var())).sr_star
    error = np.sqrt(1 - stats.skew(chosen) * ratio + (stats.kurtosis(chosen, fisher=False) - 1) / 4 * ratio**2)
    assert found.trial == ratios.idxmax()
    assert (found.trials, found.effective) == (12, 12.0)
    assert found.expected_maximum == pytest.approx(benchmark, abs=1e-12)
    assert found.probability == pytest.approx(stats.norm.cdf((ratio - benchmark) * np.sqrt(399) / error), abs=1e-9)
    assert deflated_sharpe(returns, "t3", "none").trial == "t3"
    assert deflated_sharpe(returns, "t3").probability < found.probability
    with pytest.raises(ContractError, match="no trial"):
        deflated_sharpe(returns, "t99")


@pytest.mark.no_cover
def test_worthless_trials_rarely_look_good_after_deflation() -> None:
    """Best of 50 without an edge: the plain probability is fooled, the deflated one at most at its own rate."""
    rng = np.random.default_rng(8)
    plain = deflated = 0
    for _ in range(200):
        returns = frame(rng.normal(0, 0.01, (250, 50)), "D")
        found = deflated_sharpe(returns)
        plain += psr(moments(returns[found.trial])) > 0.95
        deflated += found.probability > 0.95
    assert plain > 150
    assert deflated <= 10


def test_effective_trials() -> None:
    rng = np.random.default_rng(1)
    common, own = rng.standard_normal((2000, 1)), rng.standard_normal((2000, 20))
    equal = frame(np.sqrt(0.5) * common + np.sqrt(0.5) * own)
    correlation = np.corrcoef(equal.to_numpy(), rowvar=False)
    mean = correlation[np.triu_indices(20, 1)].mean()
    assert effective_trials(equal) == pytest.approx(mean + (1 - mean) * 20)
    roots = np.sqrt(np.linalg.eigvalsh(correlation))
    assert effective_trials(equal, "eigenvalue") == pytest.approx(roots.sum() ** 2 / 20)
    assert effective_trials(equal, "none") == 20
    assert effective_trials(frame(own)) == pytest.approx(20, abs=0.1)
    assert effective_trials(frame(own), "eigenvalue") == pytest.approx(20, abs=0.2)
    clones = frame(np.repeat(own[:, :4], 5, axis=1))
    assert effective_trials(clones, "eigenvalue") == pytest.approx(4, abs=0.05)  # sees the four clusters
    assert effective_trials(clones) > 15  # the average does not, on the safe side
    assert effective_trials(frame(np.repeat(own[:, :1], 5, axis=1))) == pytest.approx(1)
    with pytest.raises(ContractError, match="no method"):
        effective_trials(equal, "cluster")  # type: ignore[arg-type]


def test_moments_are_the_plain_estimators_with_raw_kurtosis() -> None:
    values = np.random.default_rng(2).standard_t(6, 5000) * 0.01 + 0.001
    record = moments(series(values))
    centred = values - values.mean()
    deviation = np.sqrt(np.mean(centred**2))
    assert record.sharpe == pytest.approx(values.mean() / values.std(ddof=1), rel=1e-12)
    assert record.skewness == pytest.approx(np.mean(centred**3) / deviation**3, rel=1e-9)
    assert record.kurtosis == pytest.approx(np.mean(centred**4) / deviation**4, rel=1e-9)
    assert record.kurtosis > 3
    assert probabilistic_sharpe(series(values)) == psr(record)


@pytest.mark.parametrize(("skewness", "excess"), [(0.0, 0.0), (-2.448, 5.78), (0.5, 1.0)])
def test_excess_kurtosis_is_refused_where_no_distribution_has_it(skewness: float, excess: float) -> None:
    with pytest.raises(ContractError, match="add 3 to excess"):
        Moments(0.1, skewness, excess, 100)


def test_annualised_ratios_are_refused() -> None:
    with pytest.raises(ContractError, match="annualised"):
        Moments(1.59, 0.0, 3.0, 24)
    with pytest.raises(ContractError, match="annualised"):
        psr(Moments(0.1, 0.0, 3.0, 24), 1.5)
    with pytest.raises(ContractError, match="annualised"):
        minimum_track_record(Moments(0.1, 0.0, 3.0, 24), -1.5)
    with pytest.raises(ContractError, match="annualised"):
        expected_maximum_sharpe(4.0, 100)
    hours = series(np.random.default_rng(0).normal(0, 0.01, 100))
    with pytest.raises(ContractError, match=r"0\.5 per period is 46.8 a year .* per period it is 0.00534"):
        probabilistic_sharpe(hours, 0.5)
    assert 0 < probabilistic_sharpe(hours, 0.5 / math.sqrt(8766)) < 1


def test_what_has_no_sharpe_ratio_is_refused() -> None:
    with pytest.raises(ContractError, match="do not vary"):
        sharpe_ratio(series([0.0] * 50))
    with pytest.raises(InsufficientData, match="at least 3"):
        sharpe_ratio(series([0.1, -0.1]))
    with pytest.raises(InsufficientData, match="at least 3"):
        Moments(0.1, 0.0, 3.0, 2)
    with pytest.raises(ContractError, match="not finite"):
        Moments(float("nan"), 0.0, 3.0, 20)
    flat = frame(np.random.default_rng(0).normal(0, 0.01, (50, 3)))
    flat["t1"] = 0.0
    with pytest.raises(ContractError, match="t1"):
        deflated_sharpe(flat)
    with pytest.raises(ContractError, match="vary"):
        effective_trials(flat)
    with pytest.raises(ContractError, match="at least 1"):
        expected_maximum_sharpe(0.1, 0.5)
    assert expected_maximum_sharpe(0.1, 1) == 0
    assert expected_maximum_sharpe(0.1, 1.1) == 0
