"""Simulated live differences, and what the looks make of effects that cannot be missed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pipelines.calibration.gate.live import SPREAD, differences, duel, year
from pipelines.calibration.gate.trainings import LINE
from pipelines.contracts.records import Purpose
from pipelines.gate import sequential

SHADOW, WATCH = (sequential.plan(LINE, purpose) for purpose in (Purpose.SHADOW, Purpose.ROLLBACK))


def test_the_effect_is_per_day_in_standard_deviations_of_a_day() -> None:
    daily = differences(4000, np.random.default_rng(1), 0.5).resample("D").sum() / SPREAD
    assert daily.std() == pytest.approx(math.sqrt(24), rel=0.05)
    assert daily.mean() / daily.std() == pytest.approx(0.5, abs=0.06)


def test_an_effect_may_begin_later() -> None:
    found = differences(200, np.random.default_rng(1), np.repeat([0.0, 10.0], 100))
    assert abs(found.iloc[:2400].mean()) < SPREAD / 10
    assert found.iloc[2400:].mean() == pytest.approx(10 / math.sqrt(24) * SPREAD, rel=0.05)


def test_a_giant_is_promoted_at_an_early_look_and_a_dwarf_never() -> None:
    found = duel(np.random.default_rng(2), SHADOW, 5.0)
    assert found.hit
    assert found.delay <= 14
    assert not duel(np.random.default_rng(2), SHADOW, -5.0).hit


def test_the_delay_counts_from_the_death_of_the_edge() -> None:
    found = duel(np.random.default_rng(3), replace(WATCH, alpha=0.2), np.repeat([0.0, 50.0], 14), since=14)
    assert found.hit
    assert 0 < found.delay <= 14


def test_a_year_ends_with_the_first_promotion() -> None:
    found = year(np.random.default_rng(4), SHADOW, effect=5.0)
    assert found.hit
    assert found.delay <= 14
    assert not year(np.random.default_rng(4), SHADOW, effect=-5.0).promoted
