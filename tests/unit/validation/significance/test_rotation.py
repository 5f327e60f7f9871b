from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pipelines.errors import ContractError
from pipelines.validation.significance import best_by_rotation, cosine_test, spa_of_gains
from pipelines.validation.significance.rotation import rotation_of_gains
from tests.unit.validation.significance.world import ar1, frame, series


def search(rng: np.random.Generator, rho: float, periods: int, contenders: int = 20) -> np.ndarray:
    """Gains of correlated trials without an edge, (periods, contenders)."""
    noise = ar1(rng, rho, contenders + 1, periods).T
    return 0.8 * noise[:, :contenders] + 0.6 * noise[:, contenders:]


@pytest.mark.parametrize("cosines", [3, 8, 20])
def test_one_contender_is_the_t_test_of_the_cosines(cosines: int) -> None:
    values = np.random.default_rng(cosines).normal(0.1, 1, 200)
    found = rotation_of_gains(frame(values[:, None]), cosines=cosines, draws=100_000)
    peer = cosine_test(series(values), cosines=cosines)
    assert (found.gain, found.error, found.statistic) == pytest.approx((peer.effect, peer.error, peer.statistic))
    assert found.p_value == pytest.approx(peer.p_value, abs=4 * np.sqrt(0.25 / 100_000))
    assert found.critical == pytest.approx(stats.t.isf(0.05, cosines), rel=0.02)
    assert found.minimum_detectable == pytest.approx(peer.minimum_detectable, rel=0.02)


def test_independent_contenders_are_sidak() -> None:
    """Many cosines, independent contenders: the chance of the greatest of K t statistics is 1 - (1 - p)^K."""
    values = np.random.default_rng(1).standard_normal((3000, 10))
    found = rotation_of_gains(frame(values), cosines=300, draws=20_000)
    single = stats.t.sf(found.statistic, 300)
    assert found.upper == pytest.approx(1 - (1 - single) ** 10, abs=0.02)


@pytest.mark.no_cover
@pytest.mark.parametrize(("rho", "periods", "most"), [(0.0, 168, 0.05), (0.8, 168, 0.07), (0.9, 168, 0.08),
                                                      (0.9, 504, 0.06)])
def test_level_where_the_bootstrap_loses_it(rho: float, periods: int, most: float) -> None:
    rng, runs = np.random.default_rng(2), 400
    tables = [frame(search(rng, rho, periods)) for _ in range(runs)]
    size = np.mean([rotation_of_gains(table, seed=seed, draws=400).p_value < 0.05 for seed, table in enumerate(tables)])
    assert 0.01 < size <= most + 3 * np.sqrt(0.05 * 0.95 / runs)
    if rho == 0.8:
        assert np.mean([spa_of_gains(table, draws=200).p_value < 0.05 for table in tables[:150]]) > 0.2


@pytest.mark.no_cover
def test_power_beside_the_bootstrap_where_both_are_valid() -> None:
    rng, runs = np.random.default_rng(3), 100
    ours = theirs = 0
    for seed in range(runs):
        values = search(rng, 0.0, 504)
        values[:, 7] += 0.2
        ours += rotation_of_gains(frame(values), seed=seed).p_value < 0.05
        theirs += spa_of_gains(frame(values), seed=seed).p_value < 0.05
    assert ours / runs > 0.8
    assert ours / runs > theirs / runs - 0.15


def test_poor_contenders_are_left_out() -> None:
    rng = np.random.default_rng(4)
    values = rng.standard_normal((400, 41))
    values[:, 1:] -= 1
    values[:, 0] += 0.13
    found = rotation_of_gains(frame(values))
    assert found.best == "t0"
    assert found.p_value < 0.05
    assert found.p_value < found.upper / 3
    assert rotation_of_gains(frame(values[:, 1:])).p_value == 1.0  # nothing but poor ones


def test_losses_and_a_twin() -> None:
    rng = np.random.default_rng(5)
    losses = frame(rng.exponential(1, (200, 4)) + np.array([0.5, 0.0, 0.5, 0.5]))
    found = best_by_rotation(losses=losses, benchmark="t0")
    assert found.best == "t1"
    assert found.gain == pytest.approx(losses["t0"].mean() - losses["t1"].mean())
    assert found.p_value < 0.01
    again = best_by_rotation(losses=losses.assign(twin=losses["t0"]), benchmark="t0")
    assert (again.p_value, again.best, again.contenders) == (found.p_value, "t1", 4)
    with pytest.raises(ContractError, match="differs"):
        best_by_rotation(losses=losses[["t0"]].assign(twin=losses["t0"]), benchmark="t0")


def test_refusals() -> None:
    table = frame(np.random.default_rng(0).standard_normal((60, 3)))
    for wrong in ({"alpha": 0.6}, {"cosines": 1}, {"cosines": 60}, {"draws": 0}):
        with pytest.raises(ContractError):
            rotation_of_gains(table, **wrong)  # type: ignore[arg-type]
