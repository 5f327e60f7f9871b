"""A hidden Markov model of calm and turbulent hours that never looks ahead.

An hour is seen through two numbers: its log return, and the logarithm of its log range (nearly normal: Alizadeh, Brandt
& Diebold 2002). Each of two hidden states draws both, independently, from normal distributions of its own. The rows of
one week use the model fitted by `STEPS` rounds of EM on the four weeks (`FIT` hours) before that Monday, and Hamilton's
filter alone from the start of those weeks on: P(state | bars up to the row). The smoother is EM's, over the past weeks,
and never gives a value. State 1 is the one whose returns vary more.

A missing hour (no bar, or none before it for the return) tells nothing: the state moves on by the transition matrix. A
row is NaN where its bar is missing, and where less than ``PRESENT`` of the four weeks are there.

References:
    J.D. Hamilton, "A New Approach to the Economic Analysis of Nonstationary Time Series and the Business Cycle",
    Econometrica 57 (1989): the filter.
    C.-J. Kim, "Dynamic Linear Models with Markov-Switching", Journal of Econometrics 60 (1994): the smoother.
    L.E. Baum et al., Annals of Mathematical Statistics 41 (1970): re-estimation (EM).
    S. Alizadeh, M. Brandt & F. Diebold, "Range-Based Estimation of Stochastic Volatility Models", Journal of Finance
    57 (2002).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.numerics.anchors import FIT, WEEK, mondays, plain
from pipelines.features.numerics.jit import kernel
from pipelines.features.numerics.rolling import PRESENT
from pipelines.sentiment.hours import Ints

#: Rounds of EM; always as many, so that a fit depends on its window alone.
STEPS = 12
#: A state's variance is at least this share of the window's, and this much: a state may not collapse on one hour.
_SHARE, _LEAST = 1e-3, 1e-12
#: A change of state is at least this probable, so that no state is ever ruled out.
_RARE = 1e-4


class Model(NamedTuple):
    """``mean`` and ``variance`` of shape (states, numbers), ``transition`` (states, states) from row to column,
    ``start`` (states,): float64, two states, two numbers."""

    mean: FloatArray
    variance: FloatArray
    transition: FloatArray
    start: FloatArray


def turbulence(returns: FloatArray, ranges: FloatArray, first: int) -> tuple[FloatArray, FloatArray]:
    """P(turbulent | bars up to the row), and the standard deviation of the next hour's return that follows.

    Args:
        returns: log returns, shape (hours, symbols). ranges: logarithms of log ranges, finite or NaN.
        first: hour since 1970-01-01 00:00 UTC of row 0.
    """
    weeks = mondays(first, len(returns), FIT + 1)  # the first return needs the bar before
    return _turbulence(plain(returns), plain(ranges), weeks)  # type: ignore[no-any-return]


@kernel
def likelihood(seen: FloatArray, model: Model) -> FloatArray:
    """How well each state explains each hour, shape (hours, states), the better one as 1; both 1 where ``seen`` (hours,
    numbers) is NaN."""
    result = np.ones((len(seen), 2))
    constant = 0.5 * (math.log(model.variance[1, 0]) + math.log(model.variance[1, 1])
                      - math.log(model.variance[0, 0]) - math.log(model.variance[0, 1]))
    for row in range(len(seen)):
        lead = constant
        for number in range(2):
            value = seen[row, number]
            for state, sign in ((0, -0.5), (1, 0.5)):
                gap = value - model.mean[state, number]
                lead += sign * gap * gap / model.variance[state, number]
        if lead > 0:  # state 0 explains it better
            result[row, 1] = math.exp(-lead)
        elif lead < 0:
            result[row, 0] = math.exp(lead)
    return result


@kernel
def filtered(likely: FloatArray, model: Model) -> FloatArray:
    """P(state | hours up to the row), shape (hours, states) (Hamilton 1989)."""
    result = np.empty_like(likely)
    calm = model.start[0]
    for row in range(len(likely)):
        if row:
            calm = calm * model.transition[0, 0] + (1.0 - calm) * model.transition[1, 0]
        first, second = calm * likely[row, 0], (1.0 - calm) * likely[row, 1]
        calm = first / (first + second)
        result[row, 0], result[row, 1] = calm, 1.0 - calm
    return result


@kernel
def smoothed(known: FloatArray, model: Model) -> tuple[FloatArray, FloatArray]:
    """P(state | all hours), shape (hours, states), from the filtered ones, and the expected number of moves between
    states, (states, states) (Kim 1994). It sees the future: for fitting only."""
    last = len(known) - 1
    result, moves, total = np.empty_like(known), np.zeros((2, 2)), np.zeros(2)
    result[last, 0], result[last, 1] = known[last, 0], known[last, 1]
    for row in range(last - 1, -1, -1):
        total[0], total[1] = 0.0, 0.0
        for after in range(2):
            expected = known[row, 0] * model.transition[0, after] + known[row, 1] * model.transition[1, after]
            for before in range(2):
                share = known[row, before] * model.transition[before, after] * result[row + 1, after] / expected
                moves[before, after] += share
                total[before] += share
        result[row, 0], result[row, 1] = total[0], total[1]
    return result, moves


@kernel
def _present(seen: FloatArray, row: int) -> bool:
    return not (math.isnan(seen[row, 0]) or math.isnan(seen[row, 1]))


@kernel
def fit(seen: FloatArray, steps: int) -> Model:
    """``steps`` rounds of EM on ``seen`` (hours, numbers; NaN rows tell nothing), begun with the hours whose range is
    below and above its mean; the states in order of the variance of their returns."""
    center, spread, count = np.zeros(2), np.zeros(2), 0
    for row in range(len(seen)):
        if _present(seen, row):
            count += 1
            center[0] += seen[row, 0]
            center[1] += seen[row, 1]
    for number in range(2):
        center[number] /= count
    weights = np.zeros((len(seen), 2))
    for row in range(len(seen)):
        if _present(seen, row):
            weights[row, int(seen[row, 1] > center[1])] = 1.0
            for number in range(2):
                gap = seen[row, number] - center[number]
                spread[number] += gap * gap / count
    model = Model(np.zeros((2, 2)), np.ones((2, 2)), np.array([[0.95, 0.05], [0.05, 0.95]]), np.full(2, 0.5))
    _emissions(seen, weights, center, spread, model)
    for _ in range(steps):
        weights, moves = smoothed(filtered(likelihood(seen, model), model), model)
        model.start[0], model.start[1] = weights[0, 0], weights[0, 1]
        for state in range(2):
            change = moves[state, 1 - state] / (moves[state, 0] + moves[state, 1])
            change = min(max(change, _RARE), 1.0 - _RARE)
            model.transition[state, 1 - state], model.transition[state, state] = change, 1.0 - change
        for row in range(len(seen)):
            if not _present(seen, row):
                weights[row, 0], weights[row, 1] = 0.0, 0.0
        _emissions(seen, weights, center, spread, model)
    if model.variance[0, 0] > model.variance[1, 0]:
        for number in range(2):
            for values in (model.mean, model.variance):
                values[0, number], values[1, number] = values[1, number], values[0, number]
        stay, change = model.transition[0, 0], model.transition[0, 1]
        model.transition[0, 0], model.transition[0, 1] = model.transition[1, 1], model.transition[1, 0]
        model.transition[1, 1], model.transition[1, 0] = stay, change
        model.start[0], model.start[1] = model.start[1], model.start[0]
    return model


@kernel
def _emissions(seen: FloatArray, weights: FloatArray, center: FloatArray, spread: FloatArray, model: Model) -> None:
    """Means and variances of the states from weighted hours, in place; a state without hours takes the window's."""
    for state in range(2):
        for number in range(2):
            total, mean, square = 0.0, 0.0, 0.0
            for row in range(len(seen)):
                if weights[row, state] > 0:
                    gap = seen[row, number] - center[number]
                    total += weights[row, state]
                    mean += weights[row, state] * gap
                    square += weights[row, state] * gap * gap
            model.mean[state, number], model.variance[state, number] = center[number], spread[number]
            if total > 0:
                mean /= total
                model.mean[state, number] += mean
                model.variance[state, number] = square / total - mean * mean
            model.variance[state, number] = max(model.variance[state, number], _SHARE * spread[number], _LEAST)


@kernel
def _turbulence(returns: FloatArray, ranges: FloatArray, weeks: Ints) -> tuple[FloatArray, FloatArray]:
    hours, symbols = returns.shape
    probability, forecast = np.full((hours, symbols), np.nan), np.full((hours, symbols), np.nan)
    for monday in weeks:
        stop = min(monday + WEEK, hours)
        for symbol in range(symbols):
            seen, whole = np.empty((stop - monday + FIT, 2)), 0
            for row in range(len(seen)):
                seen[row, 0] = returns[monday - FIT + row, symbol]
                seen[row, 1] = ranges[monday - FIT + row, symbol]
                whole += int(row < FIT and _present(seen, row))
            if whole < PRESENT * FIT:
                continue
            model = fit(seen[:FIT], STEPS)
            states = filtered(likelihood(seen, model), model)
            calm = model.variance[0, 0] + model.mean[0, 0] * model.mean[0, 0]
            wild = model.variance[1, 0] + model.mean[1, 0] * model.mean[1, 0]
            for row in range(monday, stop):
                if seen[row - monday + FIT, 1] == seen[row - monday + FIT, 1]:
                    turbulent = states[row - monday + FIT, 1]
                    probability[row, symbol] = turbulent
                    ahead = (1.0 - turbulent) * model.transition[0, 1] + turbulent * model.transition[1, 1]
                    forecast[row, symbol] = math.sqrt((1.0 - ahead) * calm + ahead * wild)
    return probability, forecast
