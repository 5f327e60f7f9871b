"""When to look, what a look says, and how often the whole path is wrong."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipelines.contracts.line import Rollback, Shadow
from pipelines.contracts.records import Look, Purpose, Step
from pipelines.errors import ContractError
from pipelines.gate import sequential
from pipelines.gate.sequential import Plan, boundary, dues, look, path, plan
from tests.unit.registry.world import make_line

START = datetime(2024, 3, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PLAN = Plan(looks=4, every=7 * DAY, alpha=0.05, futility=True, min_rows=100, delay=2 * HOUR, overlap=timedelta(0),
            block=DAY)
#: A label of 24 hours: each reaches over the 23 that follow.
DAILY = replace(PLAN, delay=25 * HOUR, overlap=23 * HOUR, block=2 * DAY)


def hours(values: np.ndarray, start: datetime = START) -> pd.Series:
    return pd.Series(values, index=pd.date_range(start, periods=len(values), freq="h", unit="us"))


def noise(days: int = 28, seed: int = 0, effect: float = 0.0) -> pd.Series:
    return hours(np.random.default_rng(seed).standard_normal(days * 24) + effect)


def test_the_plan_comes_from_the_line() -> None:
    line = make_line(gate={"shadow": Shadow(looks=6, every_days=3, alpha=0.1, futility=False, min_rows=50),
                           "rollback": Rollback(watch_days=10, looks=4, alpha=0.02)},
                     target={"kind": "direction", "horizon_bars": 24})
    assert plan(line, Purpose.SHADOW) == Plan(
        6, 3 * DAY, 0.1, False, 50, 25 * HOUR, 23 * HOUR, 2 * DAY, ("the challenger", "the champion"))
    assert plan(line, Purpose.ROLLBACK) == Plan(
        4, 60 * HOUR, 0.02, False, 50, 25 * HOUR, 23 * HOUR, 2 * DAY, ("the predecessor", "the champion"))


@pytest.mark.parametrize(("day", "number", "due"), [
    (0, 0, 7), (6.99, 0, 7), (7, 1, 7), (13.9, 1, 7), (14, 2, 14), (28, 4, 28), (300, 4, 28)])
def test_looks_are_due_in_data_time_and_bounded(day: float, number: int, due: int) -> None:
    found = look(noise(), START, START + day * DAY, PLAN)
    assert (found.number, found.of, found.due) == (number, 4, START + due * DAY)
    assert (found.decision is Step.WAIT) is (number == 0)
    assert len(dues(START, START + day * DAY, PLAN)) == number


def test_the_boundaries_are_those_of_obrien_and_fleming() -> None:
    """Lan-DeMets spending, three looks, one-sided 2.5 %: 3.7103, 2.5114, 1.9930 in R's gsDesign (sfLDOF)."""
    np.testing.assert_allclose(boundary(3, 0.025 / sequential.NOMINAL, False).efficacy, [3.7103, 2.5114, 1.9930],
                               atol=1e-4)
    assert boundary(4, 0.05, False).futility is None
    lower = boundary(4, 0.05, True).futility
    assert lower is not None
    assert list(lower) == sorted(lower)
    assert lower[-1] == boundary(4, 0.05, True).efficacy[-1]
    assert boundary(1, 0.05, True).efficacy == pytest.approx((stats.norm.isf(0.04),))


def test_the_statistic_is_a_t_test_over_block_means() -> None:
    """Against scipy: 14 days of hours known by then, in eight blocks of 42 hours."""
    differences = noise(seed=3, effect=0.05)
    found = look(differences, START, START + 14 * DAY, PLAN)
    known = differences[differences.index <= pd.Timestamp(START + 14 * DAY - 2 * HOUR)]
    means = [known.iloc[block * 42:(block + 1) * 42].mean() for block in range(8)]
    test = stats.ttest_1samp(means, 0, alternative="greater")
    assert (found.effect, found.p_value) == (pytest.approx(np.mean(means)), pytest.approx(test.pvalue))
    assert found.z == pytest.approx(stats.norm.isf(test.pvalue))
    assert (found.timestamps, found.rows, found.blocks) == (335, 335, 8)
    level = 1 - 2 * stats.norm.sf(found.boundary)
    low, high = stats.t.interval(level, 7, np.mean(means), stats.sem(means))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_blocks_give_up_the_time_that_labels_reach_into() -> None:
    """28 days in eight blocks of 84 hours; all but the first lose 23 of them."""
    differences = noise(seed=4)
    found = look(differences, START, START + 28 * DAY, DAILY)
    known = differences[differences.index <= pd.Timestamp(START + 28 * DAY - 25 * HOUR)]
    means = [known.iloc[block * 84 + (23 if block else 0):(block + 1) * 84].mean() for block in range(8)]
    assert found.effect == pytest.approx(np.mean(means))
    first = look(differences, START, START + 7 * DAY, DAILY)
    assert first.decision is Step.CONTINUE  # three blocks of two days are too few to say anything
    assert math.isnan(first.z)
    assert "saw too little" in first.reasons[0]


@pytest.mark.parametrize(("effect", "decisions", "words"), [
    (1.0, ["promote"], "Look 1 of 4: the challenger is better than the champion by +0.92705 nats"),
    (0.25, ["continue", "promote"], "past the boundary 2.68"),
    (-1.0, ["reject"], "there is little hope that the challenger will be shown to be better"),
])
def test_what_a_path_comes_to(effect: float, decisions: list[str], words: str) -> None:
    found = path(noise(effect=effect, seed=1), START, START + 40 * DAY, PLAN)
    assert [item.decision.value for item in found] == decisions
    assert words in found[-1].reasons[0]
    assert found[-1].final


def test_the_last_look_ends_it() -> None:
    """Without futility, equal versions are looked at four times, and then it is over."""
    found = path(noise(seed=5), START, START + 40 * DAY, replace(PLAN, futility=False))
    assert [item.decision.value for item in found] == ["continue", "continue", "continue", "reject"]
    assert found[-1].reasons[0].startswith("Look 4 of 4, the last: the challenger was not shown to be better than the "
                                           "champion: ")
    assert "the next look is due at 2024-03-08 00:00 UTC" not in found[0].reasons[0]
    assert "the next look is due at 2024-03-15 00:00 UTC" in found[0].reasons[0]


def test_a_shadow_without_predictions_ends_too() -> None:
    found = path(pd.Series(dtype=float), START, START + 40 * DAY, PLAN)
    assert [item.decision.value for item in found] == ["continue"] * 3 + ["reject"]
    assert found[-1].reasons[-1] == "It was the last look: the challenger was not shown to be better."


def test_too_few_rows_do_not_decide() -> None:
    differences = noise(effect=1.0)
    rows = pd.Series(1, index=differences.index)
    assert look(differences, START, START + 7 * DAY, replace(PLAN, min_rows=168), rows).decision is Step.CONTINUE
    assert look(differences, START, START + 7 * DAY, replace(PLAN, min_rows=168), 3 * rows).decision is Step.PROMOTE
    assert look(differences, START, START + 7 * DAY, replace(PLAN, min_rows=168), 3 * rows).rows == 3 * 167


def test_a_night_without_data_is_no_observation() -> None:
    """A day of which one hour is there does not count like a whole one."""
    differences = noise(days=7, seed=2)
    lonely = differences.drop(differences.index[24:47])
    lonely.iloc[24] = 1000.0
    assert look(lonely, START, START + 7 * DAY, PLAN).blocks == 6
    assert abs(look(lonely, START, START + 7 * DAY, PLAN).effect) < 1


@pytest.mark.parametrize(("value", "decision", "z"), [(0.0, Step.CONTINUE, 0.0), (0.1, Step.PROMOTE, 37.0),
                                                       (-0.1, Step.REJECT, -37.0)])
def test_constant_differences_leave_nothing_uncertain(value: float, decision: Step, z: float) -> None:
    found = look(hours(np.full(168, value)), START, START + 7 * DAY, PLAN)
    assert (found.decision, found.z) == (decision, z)


@pytest.mark.parametrize(("broken", "words"), [
    (noise().tz_localize(None), "have no UTC times"), (noise().iloc[::-1], "not in time order"),
    (noise().replace(noise().iloc[5], np.nan), "missing or infinite"),
    (pd.Series([1.0, 2.0]), "have no UTC times"),
])
def test_what_cannot_be_looked_at_is_refused(broken: pd.Series, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        look(broken, START, START + 7 * DAY, PLAN)


def plain(found: list[Look]) -> str:
    return repr(found)


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.floats(-0.3, 0.3), st.integers(7 * 24, 40 * 24), st.booleans())
def test_the_future_changes_no_look(seed: int, effect: float, hour: int, daily: bool) -> None:
    """Looks that are due are the same with what comes later, without it, and one at a time."""
    rules, differences, as_of = DAILY if daily else PLAN, noise(40, seed, effect), START + hour * HOUR
    known = differences[differences.index <= pd.Timestamp(as_of - rules.delay)]
    whole = path(differences, START, as_of, rules)
    assert plain(path(known, START, as_of, rules)) == plain(whole)
    poisoned = differences.where(differences.index <= pd.Timestamp(as_of - rules.delay), 1e6)
    assert plain(path(poisoned, START, as_of, rules)) == plain(whole)
    assert plain([look(known, START, item.due, rules) for item in whole]) == plain(whole)
    for item in whole:
        assert (item.low > 0) is (item.decision is Step.PROMOTE)
    if len(whole) > 1:
        assert plain(path(differences, START, as_of, rules, after=1)) == plain(whole[1:])


def rates(kind: str, rules: Plan, effect: float, reps: int, seed: int) -> float:
    """Share of paths that promote, by the real code."""
    rng, days = np.random.default_rng(seed), int(rules.looks * rules.every / DAY)
    count, burn = days * 24, 48
    shocks = rng.standard_normal((reps, count + burn))
    if kind == "white":
        values = shocks[:, burn:]
    elif kind == "ar":  # hourly differences that remember
        values = np.empty_like(shocks)
        values[:, 0] = shocks[:, 0]
        for hour in range(1, count + burn):
            values[:, hour] = 0.8 * values[:, hour - 1] + shocks[:, hour]
        values = values[:, burn:]
    else:  # labels of 24 hours that overlap
        sums = np.cumsum(shocks, axis=1)
        values = (sums[:, 24:] - sums[:, :-24])[:, -count:]
    index = pd.date_range(START, periods=count, freq="h", unit="us")
    end = START + rules.looks * rules.every
    return float(np.mean([path(pd.Series(row + effect, index), START, end, rules)[-1].decision is Step.PROMOTE
                          for row in values]))


def upper(rate: float, reps: int) -> float:
    """Upper end of Wilson's 95 % interval."""
    z = 1.96
    half = z * math.sqrt(rate * (1 - rate) / reps + z * z / 4 / reps**2)
    return (rate + z * z / 2 / reps + half) / (1 + z * z / reps)


@pytest.mark.no_cover
@pytest.mark.parametrize(("kind", "rules"), [
    ("white", PLAN), ("ar", replace(PLAN, futility=False)), ("overlap", DAILY),
])
def test_the_whole_path_keeps_its_level(kind: str, rules: Plan) -> None:
    """Under the null, all looks together, futility heeded or not: at most 7 % at the upper Wilson bound for 5 %."""
    reps = 2000
    rate = rates(kind, rules, 0.0, reps, seed=7)
    print(kind, rate, upper(rate, reps))
    assert upper(rate, reps) <= 0.07
    assert rate >= 0.015  # a test that never promotes has no error either


@pytest.mark.no_cover
def test_a_fresh_champion_is_seldom_rolled_back_for_nothing() -> None:
    watch = replace(PLAN, alpha=0.01, futility=False, names=("the predecessor", "the champion"))
    reps = 2000
    rate = rates("white", watch, 0.0, reps, seed=8)
    print("rollback", rate, upper(rate, reps))
    assert upper(rate, reps) <= 0.02


def test_a_real_difference_is_seen() -> None:
    """An effect of 3.5 standard errors at the end is found in more than 80 %; 28 days of hours with variance 1."""
    effect = 3.5 / math.sqrt(28 * 24)
    found = rates("white", PLAN, effect, 300, seed=9)
    print("power", found)
    assert found > 0.8


def test_the_module_knows_no_more_blocks_than_it_says() -> None:
    found = look(noise(28), START, START + 28 * DAY, PLAN)
    assert found.blocks == sequential.MOST_BLOCKS
