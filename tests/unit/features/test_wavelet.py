"""Wavelet energies equal the undecimated transform's, denoised prices PyWavelets' row by row."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
from scipy import stats

from pipelines.features.groups.wavelet import DENOISE_HOURS, ENERGY_HOURS, GROUP, LEVELS, REACH, energies
from tests.unit.features.spectra import bars, computed, filled, walk

GIVEN = bars(walk(900, 2, seed=1))
FOUND = computed(GROUP, GIVEN)


def periodic(seed: int = 3) -> np.ndarray:
    return np.tile(np.random.default_rng(seed).standard_normal(ENERGY_HOURS), 4)[:, None]


def test_energies_of_a_periodic_series_are_pywts() -> None:
    """Where the data repeat, PyWavelets' circular transform is the endless one."""
    values = periodic()
    ours = [energy[-1, 0] for energy in energies(values)]
    smooth, *details = pywt.swt(values[:ENERGY_HOURS, 0], "db4", level=LEVELS, trim_approx=True, norm=True)
    expected = [float((part ** 2).mean()) for part in (*details[::-1], smooth)]
    np.testing.assert_allclose(ours, expected, rtol=1e-10)


def test_parseval() -> None:
    values = periodic(4)
    assert sum(energy[-1, 0] for energy in energies(values)) == pytest.approx((values ** 2).mean(), rel=1e-12)


@pytest.mark.parametrize("column", [0, 1])
def test_energies_equal_one_long_filter_a_level(column: int) -> None:
    wavelet, returns = pywt.Wavelet("db4"), filled(GIVEN, column)
    low, filters = np.ones(1), []
    for level in range(LEVELS):
        def spread(taps: list[float], level: int = level) -> np.ndarray:
            wide = np.zeros((len(taps) - 1) * 2 ** level + 1)
            wide[::2 ** level] = np.array(taps) / np.sqrt(2)
            return wide

        filters.append(np.convolve(low, spread(wavelet.dec_hi)))
        low = np.convolve(low, spread(wavelet.dec_lo))
    assert len(low) == REACH + 1
    for row in range(REACH + ENERGY_HOURS, 900, 41):
        window = returns[row - REACH - ENERGY_HOURS:row]
        energy = [(np.convolve(window, taps, "valid")[-ENERGY_HOURS:] ** 2).mean() for taps in (*filters, low)]
        share = np.array(energy) / sum(energy)
        for level in range(LEVELS):
            assert FOUND[f"wavelet_energy_{level + 1}"][row, column] == pytest.approx(share[level], rel=1e-10)
        assert FOUND["wavelet_entropy"][row, column] == pytest.approx(stats.entropy(share) / np.log(6), rel=1e-10)


@pytest.mark.parametrize("column", [0, 1])
def test_denoised_prices_are_pywts(column: int) -> None:
    prices = np.log(GIVEN.close[:, column])
    for row in range(DENOISE_HOURS - 1, 900, 19):
        window = prices[row - DENOISE_HOURS + 1:row + 1]
        smooth, *details = pywt.wavedec(window - window[-1], "db4", level=LEVELS, mode="symmetric")
        sigma = np.median(np.abs(details[-1])) / stats.norm.ppf(0.75)
        limit = sigma * np.sqrt(2 * np.log(DENOISE_HOURS))
        clean = pywt.waverec([smooth, *(pywt.threshold(part, limit, "soft") for part in details)], "db4")
        assert FOUND["wavelet_noise"][row, column] == pytest.approx(sigma, rel=1e-9)
        assert FOUND["wavelet_distance"][row, column] == pytest.approx(-clean[DENOISE_HOURS - 1], abs=1e-10)
        assert FOUND["wavelet_slope"][row, column] == pytest.approx(
            clean[DENOISE_HOURS - 1] - clean[DENOISE_HOURS - 2], abs=1e-10)


@pytest.mark.parametrize(("period", "level"), [(3, 1), (6, 2), (12, 3), (24, 4), (48, 5)])
def test_a_cycle_is_in_the_level_of_its_period(period: int, level: int) -> None:
    hours = np.arange(REACH + ENERGY_HOURS + 1.0)
    found = computed(GROUP, bars(0.02 * np.cos(2 * np.pi * hours / period)))
    share = [found[f"wavelet_energy_{at}"][-1, 0] for at in range(1, LEVELS + 1)]
    assert int(np.argmax(share)) + 1 == level
    assert share[level - 1] > 0.75
    assert found["wavelet_entropy"][-1, 0] < 0.4


def test_white_noise_has_the_shares_that_are_declared_neutral() -> None:
    found = computed(GROUP, bars(walk(6000, 2, seed=9)))
    for feature in GROUP.features[:LEVELS]:
        assert np.nanmean(found[feature.name]) == pytest.approx(feature.neutral, rel=0.05)
    assert np.nanmean(found["wavelet_entropy"]) == pytest.approx(GROUP.features[LEVELS].neutral, abs=0.02)


def test_denoising_finds_a_trend_under_noise() -> None:
    rng, hours = np.random.default_rng(2), np.arange(4000.0)
    truth = 0.2 * np.sin(2 * np.pi * hours / 1500)
    path = truth + 0.01 * rng.standard_normal(len(hours))
    found = computed(GROUP, bars(path))
    clean = path - found["wavelet_distance"][:, 0]
    inside = slice(DENOISE_HOURS, None)
    assert np.nanmean(found["wavelet_noise"]) == pytest.approx(0.01, rel=0.1)
    assert np.std((clean - truth)[inside]) < 0.85 * 0.01
    assert np.corrcoef(found["wavelet_slope"][inside, 0], np.gradient(truth)[inside])[0, 1] > 0.5
