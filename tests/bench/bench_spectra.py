"""Rolling spectra, cycles and denoised prices beside a loop over windows, and the analysis of one symbol's last hour.

The peer is what one writes first: cut out each row's window, transform it with ``numpy.fft`` or ``pywt``, and take the
features from it. ``live_spectra`` is one row of all spectral groups, each from its own look-back; its rate is analyses
a second (10 is the promise, 200 the aim). The peer leaves out wavelets, compressed sensing and the dictionary there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pywt

from pipelines.features import catalog
from pipelines.features.declare import Bars
from pipelines.features.groups import cycles, spectral, wavelet
from pipelines.features.view import FIELDS
from tests.bench.harness import Case

GROUPS = tuple(catalog.GROUPS[name] for name in ("cycles", "spectral", "wavelet", "compressed", "dictionary"))
ROWS = 3000
LOOKBACK = catalog.lookback(GROUPS)
TAPER = np.hanning(spectral.SEGMENT + 1)[:-1]
FREQUENCY = np.log(np.arange(1, spectral.SEGMENT // 2 + 1))
Values = dict[str, np.ndarray]


def market(rows: int) -> Bars:
    close = 100 * np.exp(np.cumsum(0.01 * np.random.default_rng(1).standard_normal((LOOKBACK + rows, 1)), axis=0))
    return Bars(close, close * 1.01, close * 0.99, close, np.ones_like(close), 474_864)


def ours(bars: Bars, names: tuple[str, ...], *features: str) -> Values:
    """The groups' features (all, or those named) at the rows that every group reaches, from fresh bars."""
    fresh = replace(bars)
    with np.errstate(all="ignore"):
        return {name: value[LOOKBACK:, 0] for group in GROUPS if group.name in names
                for name, value in replace(group, features=tuple(
                    item for item in group.features if not features or item.name in features)).on_bars(fresh).items()}


def live(bars: Bars) -> Values:
    """The last row of every group, from as many bars as the group looks back."""
    found: Values = {}
    for group in GROUPS:
        last = catalog.lookback([group]) + 1
        own = Bars(*(np.ascontiguousarray(getattr(bars, field)[-last:]) for field in FIELDS),
                   first=bars.first + len(bars.close) - last)
        with np.errstate(all="ignore"):
            found |= {name: value[-1:, 0] for name, value in group.on_bars(own).items()}
    return found


def _cycle(found: dict[str, float], returns: np.ndarray, cycle: cycles.Cycle, prefix: str) -> None:
    window = returns[-cycle.hours:] if prefix == "price" else np.abs(returns[-cycle.hours:])
    sums = window.reshape(-1, cycle.step).sum(axis=1)
    line = np.fft.rfft(sums)[cycle.hours // cycle.period]
    turn = 2 * np.pi / cycle.period
    back = (cycle.step - 1) / 2 - (0.5 - np.pi / 2 / turn if prefix == "activity" else 0)
    phase = np.angle(line) - turn * cycle.step + turn * (back + 0.5) - np.pi / 2
    found |= {f"{prefix}_{cycle.name}_share": 2 * abs(line) ** 2 / (len(sums) ** 2 * sums.var()),
              f"{prefix}_{cycle.name}_amplitude": 2 * abs(line) / len(sums) / cycle.gain() * cycle.swing(),
              f"{prefix}_{cycle.name}_cos": np.cos(phase), f"{prefix}_{cycle.name}_sin": np.sin(phase)}


def _window(prices: np.ndarray) -> dict[str, float]:
    """Cycles and spectrum of one row, the last of these log closes."""
    returns = np.diff(prices)
    found: dict[str, float] = {}
    for cycle in (cycles.DAY, cycles.WEEK, cycles.MONTH):
        _cycle(found, returns, cycle, "price")
        _cycle(found, returns, cycle, "activity")
    size = spectral.SEGMENT
    power = np.zeros(size // 2)
    for begin in range(0, spectral.WINDOW - size + 1, size // 2):
        part = returns[-spectral.WINDOW:][begin:begin + size]
        power += np.abs(np.fft.rfft((part - part.mean()) * TAPER))[1:] ** 2
    power[-1] /= 2
    share = power / power.sum()
    logs = np.log(share)
    slope, level = np.polyfit(FREQUENCY, logs, 1)
    peak = power.argmax()
    found |= {"spectral_entropy": -(share * logs).sum() / np.log(len(share)),
              "spectral_flatness": np.exp(logs.mean()) * len(share), "spectral_slope": slope,
              "spectral_peak_period": size / (peak + 1.0),
              "spectral_peak_prominence": logs[peak] - level - slope * FREQUENCY[peak],
              **{f"band_power_{name}": share[start:stop].sum() for name, (start, stop) in spectral.BANDS.items()}}
    window = prices[-spectral.WINDOW - 1:]
    for cutoff in spectral.CUTOFFS:
        transform = np.fft.rfft(np.concatenate([window, window[::-1]]))
        transform[np.fft.rfftfreq(2 * len(window)) > 1 / cutoff] = 0
        found[f"lowpass_distance_{cutoff}h"] = window[-1] - np.fft.irfft(transform, 2 * len(window))[len(window) - 1]
    return found


def _clean(prices: np.ndarray) -> dict[str, float]:
    window = prices[-wavelet.DENOISE_HOURS:] - prices[-1]
    smooth, *details = pywt.wavedec(window, "db4", level=wavelet.LEVELS)
    sigma = np.median(np.abs(details[-1])) / 0.6744897501960817
    limit = sigma * np.sqrt(2 * np.log(len(window)))
    clean = pywt.waverec([smooth, *(pywt.threshold(part, limit, "soft") for part in details)], "db4")
    return {"wavelet_distance": -clean[-1], "wavelet_slope": clean[-1] - clean[-2], "wavelet_noise": sigma}


def loop(bars: Bars, of: object) -> Values:
    prices = np.log(bars.close[:, 0])
    rows = [of(prices[row - LOOKBACK:row + 1]) for row in range(LOOKBACK, len(prices))]  # type: ignore[operator]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def same(left: Values, right: Values) -> bool:
    common = set(left) & set(right)
    return len(common) >= 3 and all(np.allclose(left[name], right[name], rtol=1e-8, atol=1e-10) for name in common)


def cases() -> list[Case]:
    history, row = market(ROWS), market(1)
    clean = ("wavelet_distance", "wavelet_slope", "wavelet_noise")
    return [
        Case("spectra_vs_loop", lambda: ours(history, ("cycles", "spectral")), lambda: loop(history, _window),
             float(ROWS), "rows", same, runs=3),
        Case("denoising_vs_loop", lambda: ours(history, ("wavelet",), *clean), lambda: loop(history, _clean),
             float(ROWS), "rows", same, runs=3),
        Case("live_spectra", lambda: live(row), lambda: loop(row, _window), 1.0,
             "analyses", same, runs=50),
    ]
