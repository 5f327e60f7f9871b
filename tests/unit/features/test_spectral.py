"""Densities equal scipy's row by row; noise is flat, cycles are peaks, and the low-pass price is the transform's."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import scipy.signal
from scipy import stats

from pipelines.features.groups.spectral import BANDS, CUTOFFS, GROUP, SEGMENT, SEGMENTS, WINDOW, lowpass_weights
from pipelines.features.spectrum import welch
from tests.unit.features.spectra import bars, computed, filled, walk

GIVEN = bars(walk(700, 2, seed=1))
FOUND = computed(GROUP, GIVEN)


def density(window: np.ndarray) -> np.ndarray:
    return scipy.signal.welch(window, nperseg=SEGMENT, noverlap=SEGMENT // 2, window="hann", detrend="constant")[1]


def test_the_density_is_scipys_at_every_row() -> None:
    returns = filled(GIVEN)
    ours = welch(returns, np.arange(WINDOW - 1, len(returns)), SEGMENT, SEGMENTS)
    naive = [density(returns[row - WINDOW + 1:row + 1])[1:] for row in range(WINDOW - 1, len(returns))]
    np.testing.assert_allclose(ours, naive, rtol=1e-10)


@pytest.mark.parametrize("column", [0, 1])
def test_shapes_equal_a_loop_over_windows(column: int) -> None:
    returns = filled(GIVEN, column)
    frequency = np.arange(1, SEGMENT // 2 + 1) / SEGMENT
    for row in range(WINDOW, 700, 23):
        power = density(returns[row - WINDOW:row])[1:]
        share, line = power / power.sum(), stats.linregress(np.log(frequency), np.log(power))
        peak = int(power.argmax())
        expected = {
            "spectral_entropy": stats.entropy(share) / np.log(len(share)),
            "spectral_flatness": stats.gmean(power) / power.mean(),
            "spectral_slope": line.slope,
            "spectral_peak_period": 1 / frequency[peak],
            "spectral_peak_prominence": np.log(power[peak]) - line.intercept - line.slope * np.log(frequency[peak]),
            **{f"band_power_{low}_{high}h": share[(1 / frequency >= low - 1e-9) & (1 / frequency < high + (high == 168))
                                                  ].sum() for low, high in ((48, 168), (16, 48), (8, 16), (4, 8))}}
        for name, value in expected.items():
            assert FOUND[name][row, column] == pytest.approx(value, rel=1e-10, abs=1e-10), name


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_the_low_pass_is_the_last_value_of_a_filtered_transform(cutoff: int) -> None:
    prices = np.log(GIVEN.close[:, 1])
    for row in range(WINDOW, 700, 17):
        window = prices[row - WINDOW:row + 1]
        transform = scipy.fft.rfft(np.concatenate([window, window[::-1]]))
        transform[scipy.fft.rfftfreq(2 * len(window)) > 1 / cutoff] = 0
        last = scipy.fft.irfft(transform, 2 * len(window))[len(window) - 1]
        assert FOUND[f"lowpass_distance_{cutoff}h"][row, 1] == pytest.approx(window[-1] - last, abs=1e-10)


def test_a_slow_wave_passes_and_a_fast_one_does_not() -> None:
    hours = np.arange(WINDOW + 200.0)
    slow, fast = 0.1 * np.cos(2 * np.pi * hours / 400), 0.01 * np.cos(2 * np.pi * hours / 6)
    names = [f"lowpass_distance_{cutoff}h" for cutoff in CUTOFFS]
    of_slow, of_fast = (computed(GROUP, bars(path)) for path in (slow, fast))
    assert all(np.corrcoef(of_fast[name][WINDOW:, 0], fast[WINDOW:])[0, 1] > 0.95 for name in names)
    assert np.abs(of_slow[names[0]][WINDOW:]).max() < 0.05 * 0.1
    assert lowpass_weights(WINDOW + 1, 10**9) == pytest.approx(1 - np.arange(1, WINDOW + 1) / (WINDOW + 1))  # the mean


def test_parseval() -> None:
    """The density over all frequencies is the power of the tapered segments."""
    returns = filled(GIVEN)[:WINDOW]
    taper = scipy.signal.get_window("hann", SEGMENT)
    segments = [returns[begin:begin + SEGMENT] for begin in range(0, WINDOW - SEGMENT + 1, SEGMENT // 2)]
    tapered = [(segment - segment.mean()) * taper for segment in segments]
    power = np.mean([(part ** 2).sum() for part in tapered]) / (taper ** 2).sum()
    mean = np.mean([part.sum() ** 2 for part in tapered]) / (taper ** 2).sum() / SEGMENT  # the bin that is left out
    ours = welch(returns, np.array([WINDOW - 1]), SEGMENT, SEGMENTS)
    assert len(segments) == SEGMENTS
    assert ours.sum() / SEGMENT + mean == pytest.approx(power, rel=1e-12)


def test_white_noise_is_flat() -> None:
    found = computed(GROUP, bars(walk(9000, 2, seed=11)))
    assert np.nanmean(found["spectral_entropy"]) > 0.97
    assert np.nanmean(found["spectral_flatness"]) > 0.88
    assert abs(np.nanmean(found["spectral_slope"])) < 0.02
    for name, (start, stop) in BANDS.items():
        if name != "2_4h":  # the last band is what the others leave
            # Without its mean a segment keeps 5/6 of the first line's power: (3/8 - 1/16) / (3/8), Hann's coefficients.
            expected = (stop - start - (start == 0) / 6) / (84 - 1 / 6)
            assert np.nanmean(found[f"band_power_{name}"]) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("period", "band"), [(84, "48_168h"), (24, "16_48h"), (12, "8_16h"), (6, "4_8h")])
def test_a_cycle_in_noise_is_the_peak(period: int, band: str) -> None:
    hours = np.arange(WINDOW + 50.0)
    noise = np.diff(walk(WINDOW + 51, seed=5)[:, 0]) * 0.3
    path = np.cumsum(noise + 0.01 * np.cos(2 * np.pi * hours / period))
    found = {name: value[-1, 0] for name, value in computed(GROUP, bars(path)).items()}
    assert found["spectral_peak_period"] == period
    assert found["spectral_peak_prominence"] > 2
    assert found["spectral_entropy"] < 0.6
    bands = [name for name in found if name.startswith("band")]
    assert max(bands, key=lambda name: found[name]) == f"band_power_{band}"


def test_slopes_of_trending_and_reverting_returns() -> None:
    step = np.random.default_rng(8).standard_normal(3000) * 0.01
    trending, reverting = np.cumsum(np.convolve(step, [1, 0.8, 0.6, 0.4, 0.2])), np.cumsum(np.diff(step))
    assert np.nanmean(computed(GROUP, bars(trending))["spectral_slope"]) < -0.5
    assert np.nanmean(computed(GROUP, bars(reverting))["spectral_slope"]) > 0.5
