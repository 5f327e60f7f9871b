"""The traps at the door: each is refused with its remedy, by every test that takes such input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.significance import (
    best_by_rotation,
    bet,
    cosine_test,
    deflated_sharpe,
    effective_trials,
    labelled,
    model_confidence_set,
    pbo,
    probabilistic_sharpe,
    sharpe_difference,
    sharpe_ratio,
    spa,
    step_m,
)
from pipelines.validation.significance.forecast import diebold_mariano
from tests.unit.validation.significance.world import frame, series, times

RETURNS = frame(np.random.default_rng(0).normal(0, 0.01, (64, 4)))
LOSSES = RETURNS.abs()

OF_RETURNS: dict[str, Callable[[Any], Any]] = {
    "pbo": lambda table: pbo(table, 4),
    "dsr": deflated_sharpe,
    "trials": effective_trials,
    "difference": lambda table: sharpe_difference(table, "t0", "t1", draws=0),
    "rotation": lambda table: best_by_rotation(returns=table, benchmark="t0", draws=10),
    "spa": lambda table: spa(returns=table, benchmark="t0", draws=10),
    "step_m": lambda table: step_m(returns=table, benchmark="t0", draws=10),
    "mcs": lambda table: model_confidence_set(returns=table, draws=10),
}
OF_LOSSES: dict[str, Callable[[Any], Any]] = {
    "dm": lambda table: diebold_mariano(table, "t0", "t1", horizon=1),
    "rotation": lambda table: best_by_rotation(losses=table, benchmark="t0", draws=10),
    "spa": lambda table: spa(losses=table, benchmark="t0", draws=10),
    "step_m": lambda table: step_m(losses=table, benchmark="t0", draws=10),
    "mcs": lambda table: model_confidence_set(losses=table, draws=10),
}
OF_SERIES: dict[str, Callable[[Any], Any]] = {
    "sharpe": sharpe_ratio,
    "psr": probabilistic_sharpe,
    "cosines": cosine_test,
    "bet": lambda values: bet(values, 1.0),
}

WRONG: dict[str, tuple[Callable[[pd.DataFrame], Any], str]] = {
    "transposed": (lambda table: table.T, "transposed"),
    "an array": (lambda table: table.to_numpy(), "DataFrame"),
    "positions": (lambda table: table.reset_index(drop=True), "UTC times"),
    "no zone": (lambda table: table.tz_localize(None), "UTC"),
    "another zone": (lambda table: table.tz_convert("Europe/Berlin"), "UTC"),
    "backwards": (lambda table: table[::-1], "sort_index"),
    "times twice": (lambda table: pd.concat([table, table.iloc[-1:]]), "repeated"),
    "names twice": (lambda table: table.set_axis(["t0", "t1", "t1", "t2"], axis=1), "more than once"),
    "missing": (lambda table: table.mask(table == table.iloc[5, 0]), "missing"),
    "words": (lambda table: table.astype(str).astype(object), "not numbers"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("test", OF_RETURNS)
def test_a_wrong_frame_of_returns_is_refused(test: str, wrong: str) -> None:
    spoil, remedy = WRONG[wrong]
    OF_RETURNS[test](RETURNS)
    with pytest.raises(ContractError, match=remedy):
        OF_RETURNS[test](spoil(RETURNS))


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("test", OF_LOSSES)
def test_a_wrong_frame_of_losses_is_refused(test: str, wrong: str) -> None:
    spoil, remedy = WRONG[wrong]
    OF_LOSSES[test](LOSSES)
    with pytest.raises(ContractError, match=remedy):
        OF_LOSSES[test](spoil(LOSSES))


@pytest.mark.parametrize("wrong", ["an array", "positions", "no zone", "another zone", "backwards", "times twice",
                                   "missing"])
@pytest.mark.parametrize("test", OF_SERIES)
def test_a_wrong_series_is_refused(test: str, wrong: str) -> None:
    spoil, _ = WRONG[wrong]
    OF_SERIES[test](RETURNS["t0"])
    spoilt = spoil(RETURNS[["t0"]])
    with pytest.raises(ContractError):
        OF_SERIES[test](spoilt["t0"] if isinstance(spoilt, pd.DataFrame) else spoilt[:, 0])


@pytest.mark.parametrize("test", OF_LOSSES)
def test_returns_passed_as_losses_are_refused(test: str) -> None:
    with pytest.raises(ContractError, match="look like returns"):
        OF_LOSSES[test](RETURNS)


@pytest.mark.parametrize("test", OF_RETURNS)
def test_losses_passed_as_returns_are_refused(test: str) -> None:
    with pytest.raises(ContractError, match="look like losses"):
        OF_RETURNS[test](LOSSES)


def test_an_equity_curve_is_not_returns() -> None:
    with pytest.raises(ContractError, match="equity curve"):
        sharpe_ratio((1 + RETURNS["t0"]).cumprod())


def test_exactly_one_of_losses_and_returns() -> None:
    for both in ({}, {"losses": LOSSES, "returns": RETURNS}):
        with pytest.raises(ContractError, match="not both"):
            spa(benchmark="t0", **both)


def test_losses_are_turned_and_returns_are_not() -> None:
    assert (labelled.gains(LOSSES, None) == -LOSSES).all().all()
    assert (labelled.gains(None, RETURNS) == RETURNS).all().all()


def test_against_measures_gain_over_the_benchmark() -> None:
    better = pd.DataFrame({"old": [1.0, 2.0], "new": [3.0, 1.0]}, times(2))
    assert labelled.against(better, "old").to_dict("list") == {"new": [2.0, -1.0]}
    with pytest.raises(ContractError, match="no column"):
        labelled.against(better, "other")


def test_too_little_is_said_to_be_too_little() -> None:
    with pytest.raises(InsufficientData, match="wait"):
        spa(losses=LOSSES.iloc[:10], benchmark="t0")
    with pytest.raises(InsufficientData, match="contender"):
        spa(losses=LOSSES[["t0"]], benchmark="t0")


@pytest.mark.parametrize(("freq", "expected"), [("h", 8766.0), ("D", 365.25), ("7D", 52.178571)])
def test_periods_in_a_year(freq: str, expected: float) -> None:
    assert labelled.periods_per_year(times(50, freq)) == pytest.approx(expected)


@given(order=st.permutations(range(6)))
def test_only_the_one_order_of_times_passes(order: list[int]) -> None:
    values = series([0.1, -0.2, 0.3, -0.1, 0.2, -0.3]).iloc[order]
    if order == sorted(order):
        assert labelled.series_values(values, "x").tolist() == values.tolist()
    else:
        with pytest.raises(ContractError, match="time order"):
            labelled.series_values(values, "x")
