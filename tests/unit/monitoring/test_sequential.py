"""The sequential test: its ratios against numerical integration, its budget and its delays by simulation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, signal, stats

from pipelines.monitoring import blocks, sequential
from pipelines.monitoring.sequential import Question, watch

YEAR = 365
ARL = YEAR / 0.2


@pytest.mark.parametrize("freedom", [3, 6, 30])
@pytest.mark.parametrize("slope", [-4.0, -0.5, 0.0, 1.0, 6.0])
def test_the_chi_integral(freedom: int, slope: float) -> None:
    exact, _ = integrate.quad(lambda s: math.exp(slope * s) * stats.chi(freedom).pdf(s), 0, 40, limit=300,
                              points=[math.sqrt(freedom)])
    found = sequential.log_mean_exp_chi(np.array([slope]), freedom)
    assert found == pytest.approx(math.log(exact), abs=2e-3)


@pytest.mark.parametrize("correlation", [0.0, 0.4])
def test_the_ratio_is_that_of_the_data_without_mean_and_scale(correlation: float) -> None:
    """Brute force: both likelihoods integrated over the mean (flat) and the scale (1 / sigma) on a grid."""
    values = np.array([0.3, -0.8, 0.5, 0.1, -0.2, 1.4, 0.9])
    size, begin, count = 1.0, 5, len(values)
    covariance = correlation ** np.abs(np.subtract.outer(range(count), range(count))) / (1 - correlation**2)
    step = np.zeros(count)
    step[begin:] = size

    def likelihood(shift: np.ndarray) -> float:
        inverse = np.linalg.inv(covariance)

        def inner(log_sigma: float) -> float:
            sigma = math.exp(log_sigma)
            left = values - sigma * shift
            ones = inverse.sum()
            mean = (inverse @ left).sum() / ones
            quadratic = (left - mean) @ inverse @ (left - mean) / sigma**2
            return math.exp(-(count - 1) * log_sigma - quadratic / 2)  # over the mean in closed form: one sigma less

        return integrate.quad(inner, -6, 6, limit=300)[0]

    exact = math.log(likelihood(step) / likelihood(np.zeros(count)))
    question = Question(values[:5], values[5:], "up", correlation)
    found = sequential._ratios(question, 2)
    assert found[0, sequential.SIZES.index(size)] == pytest.approx(exact, abs=2e-3)


def test_scale_and_place_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    then, now = rng.standard_normal(9), rng.standard_normal(6) + 0.5
    one = watch([Question(then, now)], ARL)
    other = watch([Question(1e-6 * then + 3, 1e-6 * now + 3)], ARL)
    assert other.statistic == pytest.approx(one.statistic, abs=1e-4)
    mirrored = watch([Question(-then, -now, "both")], ARL)
    assert mirrored.statistic == pytest.approx(watch([Question(then, now, "both")], ARL).statistic)


def test_only_a_rise_counts_where_only_a_rise_is_asked_for() -> None:
    rng = np.random.default_rng(1)
    then, now = rng.standard_normal(20), rng.standard_normal(10) - 4
    assert not watch([Question(then, now, "up")], ARL).alarm
    assert watch([Question(then, now, "both")], ARL).alarm


def test_the_begin_of_a_change_is_found() -> None:
    rng = np.random.default_rng(2)
    now = rng.standard_normal(30)
    now[18:] += 3
    found = watch([Question(rng.standard_normal(14), now)], ARL)
    assert found.alarm
    assert found.change is not None
    assert abs(found.change - 18) <= 1


@given(st.integers(0, 10_000), st.floats(-1, 1.5), st.integers(1, 45))
def test_in_between_the_last_clear_word_holds(seed: int, shift: float, live: int) -> None:
    """The rule block by block, from the beginning of what is remembered."""
    rng = np.random.default_rng(seed)
    asked = [Question(rng.standard_normal(9), rng.standard_normal(live) + shift * (np.arange(live) < 12))]
    alarm = False
    for end in range(max(0, live - sequential.MEMORY) + 1, live + 1):
        value = watch([Question(asked[0].reference, asked[0].current[:end])], 5.0).statistic
        alarm = value >= math.log(5) or (alarm and value > math.log(5 * sequential.RELEASE))
    assert watch(asked, 5.0).alarm == alarm


def test_an_alarm_goes_off_when_the_harm_is_long_over() -> None:
    rng = np.random.default_rng(3)
    now = rng.standard_normal(90)
    now[10:16] += 4
    then = rng.standard_normal(20)
    assert watch([Question(then, now[:16])], ARL).alarm
    assert not watch([Question(then, now)], ARL).alarm


def test_nothing_is_said_of_nothing_and_constants_never_move() -> None:
    empty = watch([Question(np.zeros(7), np.empty(0))], ARL)
    assert (empty.statistic, empty.alarm, empty.change) == (-math.inf, False, None)
    few = watch([Question(np.zeros(2), np.array([5.0, 5.0]))], ARL)  # the first four blocks are the reference
    assert (few.statistic, few.alarm) == (-math.inf, False)
    constant = watch([Question(np.full(7, 0.69), np.full(20, 0.69))], ARL)
    assert constant.statistic == pytest.approx(math.log(20))
    assert not constant.alarm


def test_the_mean_of_the_statistic_is_the_number_of_blocks() -> None:
    """The martingale behind the promise, at small sizes where a mean can be measured."""
    rng = np.random.default_rng(4)
    drawn = rng.standard_normal((4000, 9))
    sums = []
    for values in drawn:
        ratios = sequential._ratios(Question(values[:6], values[6:], "up"), 3)[:, :2]  # sizes of 0.5 and 1
        sums.append(np.exp(ratios).mean(axis=1).sum())
    error = np.std(sums) / math.sqrt(len(sums))
    assert np.mean(sums) == pytest.approx(3, abs=4 * error)


def first_alarm(rho: float, rng: np.random.Generator, days: int, shift: float = 0.0, after: int = 0,
                reference: int = 23) -> int | None:
    """The day of the first alarm of hourly AR(1) losses whose mean rises by ``shift`` hourly standard deviations."""
    hours = 24 * (reference + days)
    shocks = rng.standard_t(5, hours) * math.sqrt((1 - rho**2) * 3 / 5)
    values = signal.lfilter([1.0], [1.0, -rho], shocks, zi=[rho * rng.standard_normal()])[0]
    values[24 * (reference + after):] += shift
    daily = values.reshape(-1, 24).mean(axis=1)
    correlation = blocks.correlation(pd.Series(values[:24 * reference]), daily[:reference], 24)
    question = Question(daily[:reference], daily[reference:], "up", correlation)
    for day in range(1, days + 1):
        if sequential._log_sum(sequential.ratios([question], day), 0) >= math.log(ARL):
            return day
    return None


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_false_alarms_keep_their_budget_over_a_year(rho: float) -> None:
    """12 years of daily looks each. The budget is 0.2 a year; 1 a year is what a line may cost. Expecting 12 at that
    rate, 5 or fewer come with probability 2 %: the true rate is below 1 with 98 % confidence."""
    rng = np.random.default_rng(11)
    alarms = sum(first_alarm(rho, rng, YEAR // 3) is not None for _ in range(36))
    assert alarms <= 5
    assert stats.poisson.cdf(5, 12) < 0.021


@pytest.mark.parametrize(("rho", "days"), [(0.0, 8), (0.5, 16)])
def test_a_dying_edge_is_seen_within_days(rho: float, days: int) -> None:
    """A rise of half an hourly standard deviation: 2.4 (rho 0) and 1.4 (rho 0.5) standard deviations of a day."""
    rng = np.random.default_rng(12)
    delays = [first_alarm(rho, rng, 40, shift=0.5, after=5) or 99 for _ in range(9)]
    assert np.median(delays) - 5 <= days
