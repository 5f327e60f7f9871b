from __future__ import annotations

import math

import numpy as np
import purgedcv
import pytest

from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.significance import pbo
from pipelines.validation.significance.overfitting import halves
from tests.unit.validation.significance.world import frame


@pytest.mark.parametrize(("periods", "trials", "blocks"), [(120, 2, 2), (121, 7, 6), (203, 20, 8), (97, 3, 8)])
def test_equal_to_purgedcv(periods: int, trials: int, blocks: int) -> None:
    rng = np.random.default_rng(periods)
    values = rng.normal(0.0005, 0.01, (periods, trials)) + rng.normal(0, 0.01, (periods, 1))
    ours = pbo(frame(values), blocks)
    peer = purgedcv.probability_of_backtest_overfitting(values.T, blocks)
    assert ours.probability == peer.pbo
    assert ours.logits == pytest.approx(peer.logits, abs=1e-12)
    assert ours.in_sample == pytest.approx(peer.is_oos_performance[:, 0], rel=1e-9)
    assert ours.out_of_sample == pytest.approx(peer.is_oos_performance[:, 1], rel=1e-9, abs=1e-12)
    assert ours.slope == pytest.approx(peer.slope, rel=1e-9)
    assert ours.probability_of_loss == np.mean(peer.is_oos_performance[:, 1] < 0)


def test_equal_trials_and_pauses_are_ranked_as_purgedcv_does() -> None:
    """A trial under two names (ties), and one that pauses for whole blocks (no variance there: Sharpe ratio 0)."""
    values = np.random.default_rng(3).normal(0.0, 0.01, (160, 4))
    values[:, 2] = values[:, 0]
    values[:100, 3] = 0.0
    ours, peer = pbo(frame(values), 8), purgedcv.probability_of_backtest_overfitting(values.T, 8)
    assert ours.logits == pytest.approx(peer.logits, abs=1e-12)
    assert 2 not in ours.chosen  # the first of two equals, as argmax does


def test_by_hand() -> None:
    """Two blocks, two trials: each is best in one half and worst in the other, so every choice disappoints."""
    values = np.array([[0.02, -0.02], [0.03, -0.01], [-0.02, 0.02], [-0.01, 0.03]])
    found = pbo(frame(values), 2)
    assert found.probability == found.probability_of_loss == 1
    assert found.logits == pytest.approx([math.log((1 / 3) / (2 / 3))] * 2)
    assert found.in_sample == pytest.approx([0.025 / np.std([0.02, 0.03], ddof=1)] * 2)
    assert found.out_of_sample == pytest.approx([-0.015 / np.std([-0.02, -0.01], ddof=1)] * 2)
    assert math.isnan(found.slope)


def test_a_true_edge_is_no_overfitting_and_noise_is() -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 0.01, (480, 10))
    edge = noise.copy()
    edge[:, 3] += 0.004
    assert pbo(frame(edge), 12).probability < 0.02
    assert pbo(frame(edge), 12).probability_of_loss < 0.02
    average = np.mean([pbo(frame(rng.normal(0, 0.01, (240, 10))), 8).probability for _ in range(60)])
    assert average == pytest.approx(0.5, abs=0.12)


def test_unmoved_by_scale() -> None:
    values = np.random.default_rng(1).normal(0, 0.01, (128, 6))
    assert pbo(frame(values * 1e-6), 8).logits == pytest.approx(pbo(frame(values), 8).logits)


def test_halves_are_all_halves() -> None:
    table = halves(8)
    assert table.shape == (math.comb(8, 4), 8)
    assert (table.sum(axis=1) == 4).all()
    assert len({tuple(row) for row in table}) == len(table)
    assert (table + table[::-1] == 1).all()  # complements stand opposite each other


@pytest.mark.parametrize("blocks", [0, 3, 15, 22])
def test_odd_or_endless_blocks_are_refused(blocks: int) -> None:
    with pytest.raises(ContractError, match="even"):
        pbo(frame(np.random.default_rng(0).normal(size=(100, 3))), blocks)


def test_blocks_of_one_period_are_refused() -> None:
    with pytest.raises(InsufficientData, match="at least 32"):
        pbo(frame(np.random.default_rng(0).normal(size=(31, 3))), 16)
