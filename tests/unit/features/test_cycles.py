"""Planted cycles are found with their size and phase, and the lines equal those of a whole transform."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.features.groups.cycles import DAY, GROUP, MONTH, WEEK, Cycle
from tests.unit.features.spectra import bars, computed, filled, walk

CYCLES = {"day": DAY, "week": WEEK, "month": MONTH}


@pytest.mark.parametrize("name", CYCLES)
@pytest.mark.parametrize("late", [0, 5, 77])
def test_a_planted_cycle_has_its_amplitude_phase_and_all_the_variance(name: str, late: int) -> None:
    cycle = CYCLES[name]
    hours = np.arange(1541.0)
    angle = 2 * np.pi * (hours - late) / cycle.period
    found = {what: value[-1, 0] for what, value in computed(GROUP, bars(0.03 * np.cos(angle))).items()}
    assert found[f"price_{name}_amplitude"] == pytest.approx(0.03, rel=1e-10)
    assert found[f"price_{name}_share"] == pytest.approx(1.0, rel=1e-9)
    if name != "month":
        assert found[f"price_{name}_cos"] == pytest.approx(np.cos(angle[-1]), abs=1e-9)
        assert found[f"price_{name}_sin"] == pytest.approx(np.sin(angle[-1]), abs=1e-9)
    if name != "month":  # the day and the week fit into each other's windows
        other = "week" if name == "day" else "day"
        assert found[f"price_{other}_amplitude"] < 1e-10


def test_the_busy_hours_of_a_day() -> None:
    hours = np.arange(1500)
    size = 0.01 * (1 + 0.5 * np.cos(2 * np.pi * (hours - 14) / 24))  # busiest at 14:00
    path = np.cumsum(size * np.where(hours % 2, 1, -1))
    found = computed(GROUP, bars(path))
    busiest = slice(1358, None, 24)
    assert found["activity_day_cos"][busiest] == pytest.approx(1.0)
    assert found["activity_day_share"][busiest] == pytest.approx(1.0)
    assert found["activity_day_sin"][1364] == pytest.approx(1.0)  # a quarter of a day later
    assert found["price_day_share"][busiest].max() < 1e-6  # busy hours move no price


@pytest.mark.parametrize("name", CYCLES)
def test_equals_a_line_of_the_transform_of_each_window(name: str) -> None:
    cycle = CYCLES[name]
    given = bars(walk(cycle.hours + 40, seed=2))
    found, returns = computed(GROUP, given), filled(given)
    for row in range(cycle.hours, cycle.hours + 40, 13):
        sums = returns[row - cycle.hours:row].reshape(-1, cycle.step).sum(axis=1)
        line = np.fft.rfft(sums)[cycle.hours // cycle.period]
        share = 2 * abs(line) ** 2 / (len(sums) ** 2 * sums.var())
        assert found[f"price_{name}_share"][row, 0] == pytest.approx(share, rel=1e-10)
        gain = abs(np.exp(2j * np.pi * np.arange(cycle.step) / cycle.period).sum())
        swing = 2 * abs(line) / len(sums) / gain / abs(1 - np.exp(-2j * np.pi / cycle.period))
        assert found[f"price_{name}_amplitude"][row, 0] == pytest.approx(swing, rel=1e-10)
        if name == "day":
            busy = np.abs(returns[row - cycle.hours:row])
            line = np.fft.rfft(busy)[cycle.hours // cycle.period]
            phase = np.angle(line) + 2 * np.pi * (len(busy) - 1) / cycle.period  # at the last hour, not the first
            assert found["activity_day_cos"][row, 0] == pytest.approx(np.cos(phase), abs=1e-9)
            assert found["activity_day_sin"][row, 0] == pytest.approx(np.sin(phase), abs=1e-9)


def test_noise_has_the_share_that_is_declared_neutral() -> None:
    found = computed(GROUP, bars(walk(12_000, 2, seed=6)))
    for feature in GROUP.features:
        if feature.name.endswith("day_share"):
            assert np.nanmean(found[feature.name]) == pytest.approx(feature.neutral, rel=0.2)
    assert np.nanmax(found["price_day_share"]) < 0.04  # Fisher's g: 1 % of single lines pass 4.6 / 252 = 0.018


def test_windows_hold_whole_cycles() -> None:
    for cycle in CYCLES.values():
        assert cycle.hours % cycle.period == cycle.hours % cycle.step == cycle.period % cycle.step == 0
    assert Cycle("day", 24, 48, 1).gain() == 1
