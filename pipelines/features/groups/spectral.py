"""The spectrum of the last three weeks' returns: its shape, its highest peak, its bands; and a low-pass price.

The density is Welch's: five segments of a week that overlap by half, so 84 frequencies of 1/168 to 1/2 cycles an hour,
the day exactly the seventh. White noise has entropy and flatness near 1, slope 0 and bands in proportion to their
width: what returns without any memory look like.

The low-pass price is what is left of the trailing window's log prices when all periods under a cut-off are taken out of
their discrete Fourier transform. Only its last value is used, and the window is mirrored first: a transform takes what
follows the last price to be the first one, and that step would bend the price's end. As this is linear, its last value
is one fixed weighting of the window's returns, worked out once (``lowpass_weights``).

References:
    P.D. Welch, IEEE Transactions on Audio and Electroacoustics 15 (1967).
    T. Inouye et al., "Quantification of EEG irregularity by use of the entropy of the power spectrum",
    Electroencephalography and Clinical Neurophysiology 79 (1991).
    J.D. Johnston, "Transform coding of audio signals using perceptual noise criteria", IEEE Journal on Selected Areas
    in Communications 6 (1988), on spectral flatness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars, Feature, Group, Lazy
from pipelines.features.spectrum import present, returns, shapes, weighted, welch

#: Hours of a segment, and how many of them, overlapping by half, make the window.
SEGMENT, SEGMENTS = 168, 5
WINDOW = SEGMENT * (SEGMENTS + 1) // 2
#: Bands by period in hours, the lower end included, and their bins: bin k, from 0, has a period of 168 / (k + 1).
BANDS = {"48_168h": (0, 3), "16_48h": (3, 10), "8_16h": (10, 21), "4_8h": (21, 42), "2_4h": (42, 84)}
_EDGES = np.array([0, *(stop for _, stop in BANDS.values())])
CUTOFFS = (24, 168)
_SHAPES = ("spectral_entropy", "spectral_flatness", "spectral_slope", "spectral_peak_period",
           "spectral_peak_prominence", *(f"band_power_{name}" for name in BANDS))


@cache
def lowpass_weights(width: int, cutoff: int) -> FloatArray:
    """Weights of the last ``width`` - 1 log returns, newest first, in ln(close / low-pass price).

    The low-pass price is the last value of the window's ``width`` log prices, mirrored at its end, without the periods
    under ``cutoff`` hours.
    """
    both = np.concatenate([np.eye(width), np.eye(width)[::-1]])  # each column: a price of 1 at one hour, 0 elsewhere
    transform = np.fft.rfft(both, axis=0)
    transform[np.fft.rfftfreq(2 * width) > 1.0 / cutoff] = 0.0
    last = np.fft.irfft(transform, 2 * width, axis=0)[width - 1]
    # A price k hours ago is the close less the k returns since: return j counts with all prices before it.
    return np.ascontiguousarray(np.cumsum(last)[:-1][::-1])


def _compute(bars: Bars) -> Mapping[str, Lazy]:
    @cache
    def values() -> FloatArray:
        return returns(bars)

    @cache
    def usable() -> np.ndarray:  # type: ignore[type-arg]
        return present(bars, WINDOW)

    @cache
    def shape() -> FloatArray:
        found = np.full((len(_SHAPES), *bars.close.shape), np.nan)
        squares = weighted(values() * values(), np.full(WINDOW, 1.0 / WINDOW))
        for column in range(bars.close.shape[1]):
            rows = np.flatnonzero(usable()[:, column])
            for part in np.array_split(rows, len(rows) // 16384 + 1):
                density = welch(np.ascontiguousarray(values()[:, column]), part, SEGMENT, SEGMENTS)
                found[:, part, column] = shapes(density, squares[part, column], _EDGES).T
        found[3] = SEGMENT / found[3]
        return found

    def lowpass(cutoff: int) -> FloatArray:
        return np.where(usable(), weighted(values(), lowpass_weights(WINDOW + 1, cutoff)), np.nan)

    lazy: dict[str, Callable[[], FloatArray]] = {
        name: lambda number=number: shape()[number] for number, name in enumerate(_SHAPES)}  # type: ignore[misc]
    return {**lazy, **{f"lowpass_distance_{cutoff}h": partial(lowpass, cutoff) for cutoff in CUTOFFS}}


def _feature(name: str, unit: str, source: str, neutral: float) -> Feature:
    return Feature(name, ("close",), WINDOW, unit, source, neutral)


_OF = f"Welch density of {WINDOW} hourly log returns, segments of {SEGMENT} h (Welch 1967)"

GROUP = Group(
    "spectral",
    (_feature("spectral_entropy", "share of its largest", f"-sum p ln p / ln 84, p: shares of the {_OF} (Inouye et al. "
              "1991); no movement: 1", 1.0),
     _feature("spectral_flatness", "1 is white noise", f"geometric / arithmetic mean of the {_OF} (Johnston 1988); no "
              "movement: 1", 1.0),
     _feature("spectral_slope", "ln power per ln frequency", f"least-squares line through the {_OF}; 0 is white noise, "
              "below it trends, above it reversals", 0.0),
     _feature("spectral_peak_period", "hours", f"period of the highest of the {_OF}; no movement: 0", 0.0),
     _feature("spectral_peak_prominence", "ln power", f"the highest of the {_OF} above the line through it", 0.0),
     *(_feature(f"band_power_{name}", "share of power", f"power of periods of {name.replace('_', ' to ')} in the "
                f"{_OF}; no movement: its share of white noise", (stop - start) / (SEGMENT // 2))
       for name, (start, stop) in list(BANDS.items())[:-1]),  # the shares add up to 1: the last tells nothing new
     *(_feature(f"lowpass_distance_{cutoff}h", "log price", f"ln(c / last value of {WINDOW + 1} log closes, mirrored, "
                f"without periods under {cutoff} h in their DFT)", 0.0) for cutoff in CUTOFFS)),
    from_bars=_compute)
