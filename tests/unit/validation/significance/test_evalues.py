from __future__ import annotations

import numpy as np
import pytest

from pipelines.errors import ContractError
from pipelines.validation.significance import bet
from pipelines.validation.significance.evalues import BETS, agrapa_bets
from tests.unit.validation.significance.world import ar1, series


def fair(kind: str, rng: np.random.Generator, runs: int, periods: int) -> np.ndarray:
    """Gains in [-1, 1] with conditional mean 0, (runs, periods)."""
    if kind == "coin":
        return rng.choice([-1.0, 1.0], (runs, periods))
    if kind == "rare":  # seldom a large gain, often a small loss: hard for a normal test
        return np.where(rng.random((runs, periods)) < 0.02, 0.98, -0.02)
    volatility = np.clip(np.exp(ar1(rng, 0.95, runs, periods) - 1.5), 0, 1)
    return volatility * rng.uniform(-1, 1, (runs, periods))


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", ["coin", "rare", "volatility"])
@pytest.mark.parametrize("strategy", ["mixture", "agrapa"])
def test_watched_for_ever_it_errs_at_most_as_promised(kind: str, strategy: str) -> None:
    runs, periods, alpha = 400, 4000, 0.1
    gains = fair(kind, np.random.default_rng(1), runs, periods)
    crossed = np.mean([bet(series(row), 1.0, alpha=alpha, strategy=strategy).crossed_at is not None  # type: ignore[arg-type]
                       for row in gains])
    assert crossed <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / runs)
    if kind == "coin":
        z = gains.cumsum(axis=1) / np.sqrt(np.arange(1, periods + 1))
        assert np.mean((z[:, 20:] > 1.2816).any(axis=1)) > 0.4  # what peeking with a normal test does


@pytest.mark.parametrize("strategy", ["mixture", "agrapa"])
def test_an_edge_is_found_and_its_time_named(strategy: str) -> None:
    rng = np.random.default_rng(2)
    found = [bet(series(np.clip(rng.normal(0.1, 0.3, 1500), -1, 1)), 1.0, strategy=strategy)  # type: ignore[arg-type]
             for _ in range(100)]
    crossings = [result.crossed_at for result in found]
    assert np.mean([moment is not None for moment in crossings]) > 0.97
    for result in found[:10]:
        reached = result.log_wealth[result.log_wealth >= np.log(20)]
        assert result.crossed_at == reached.index[0]
        assert result.p_value == pytest.approx(np.exp(-result.log_wealth.max()))


def test_the_mixture_by_its_definition() -> None:
    gains = np.random.default_rng(3).uniform(-2, 2, 60)
    found = bet(series(gains), 2.0)
    wealth = np.mean([np.cumprod(1 + share * gains / 2) for share in BETS], axis=0)
    assert np.exp(found.log_wealth.to_numpy()) == pytest.approx(wealth, rel=1e-9)


def test_agrapa_by_its_definition() -> None:
    gains = np.random.default_rng(4).uniform(-1, 1, 60) + 0.1
    gains = np.clip(gains, -1, 1)
    wealth, expected = 1.0, []
    for now in range(60):
        past = np.concatenate([[0.0], gains[:now]])  # one imagined fair period, with mean square 1/4
        variance = (0.25 + (gains[:now] ** 2).sum()) / (now + 1) - past.mean() ** 2
        share = min(max(past.mean() / (variance + past.mean() ** 2), 0.0), 0.75)
        wealth *= 1 + share * gains[now]
        expected.append(wealth)
    assert np.exp(bet(series(gains), 1.0, strategy="agrapa").log_wealth.to_numpy()) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("cut", [1, 7, 30])
def test_no_bet_knows_the_future(cut: int) -> None:
    gains = np.random.default_rng(5).uniform(-1, 1, 60)
    other = np.concatenate([gains[:cut], -gains[cut:]])
    assert (agrapa_bets(gains)[:cut + 1] == agrapa_bets(other)[:cut + 1]).all()
    for strategy in ("mixture", "agrapa"):
        whole = bet(series(gains), 1.0, strategy=strategy).log_wealth  # type: ignore[arg-type]
        part = bet(series(gains[:cut]), 1.0, strategy=strategy).log_wealth  # type: ignore[arg-type]
        assert (whole.iloc[:cut] == part).all()


def test_overlapping_gains_break_the_promise_as_the_docs_say() -> None:
    """Means over 24 overlapping periods of a fair coin: unconditional mean 0, but the past predicts the next."""
    rng, runs = np.random.default_rng(6), 150
    steps = rng.choice([-1.0, 1.0], (runs, 2023))
    crossed = {"overlapping": 0.0, "apart": 0.0}
    for row in steps:
        overlapping = np.convolve(row, np.ones(24) / 24, "valid")
        crossed["overlapping"] += (bet(series(overlapping), 1.0).crossed_at is not None) / runs
        crossed["apart"] += (bet(series(overlapping[::24]), 1.0).crossed_at is not None) / runs
    assert crossed["overlapping"] > 0.2
    assert crossed["apart"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_scale_and_sign() -> None:
    gains = np.random.default_rng(7).uniform(-1, 1, 200) * 0.5 + 0.2
    assert bet(series(gains * 7), 7.0).log_wealth.tolist() == pytest.approx(bet(series(gains), 1.0).log_wealth.tolist())
    assert bet(series(-gains), 1.0).p_value == 1.0


def test_refusals() -> None:
    gains = series([0.1, -0.2, 0.3])
    for call in (lambda: bet(gains, 0.25), lambda: bet(gains, 0.0), lambda: bet(gains, float("inf")),
                 lambda: bet(gains, 1.0, alpha=0.0), lambda: bet(gains, 1.0, strategy="kelly")):  # type: ignore[arg-type]
        with pytest.raises(ContractError):
            call()
