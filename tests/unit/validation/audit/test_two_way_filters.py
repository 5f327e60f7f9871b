"""Filters that look both ways are found by the audit; the same mathematics on trailing windows has no finding.

A zero-phase filter and a denoised history are the standard examples of signal processing, and each gives every row its
future.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import pywt
import scipy.signal

from pipelines.features import catalog
from pipelines.features.declare import Bars
from pipelines.validation.audit import AuditReport, Limits, audit_function
from tests.unit.validation.audit.worlds import DAY, META, end, facts

START = pd.Timestamp("2024-01-01", tz="UTC")
WARM = 48
Series = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def given() -> dict[str, pd.DataFrame]:
    return {"bars": facts()["bars"]}


def features(make: Series) -> Callable[[dict[str, pd.DataFrame]], pd.DataFrame]:
    """A builder: ``filtered`` of each symbol's log closes as far as they are given, beside an honest return. The first
    two days have no value, however much is given."""
    def warm(prices: pd.Series) -> np.ndarray:
        values = np.full(len(prices), np.nan)
        if len(prices) > WARM:
            values[WARM:] = make(prices.to_numpy(copy=True))[WARM:]
        return values

    def build(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
        frame = frames["bars"][[*META, "close"]].sort_values(["symbol", "event_time"], ignore_index=True)
        own = np.log(frame["close"]).groupby(frame["symbol"])
        frame["honest"] = own.diff()
        frame["filtered"] = own.transform(warm)
        return frame[[*META, "honest", "filtered"]]

    return build


def run(make: Series, given: dict[str, pd.DataFrame]) -> AuditReport:
    bars = given["bars"]
    few = {"bars": bars[(bars["event_time"] < START + 4 * DAY) & (bars["symbol"] == bars["symbol"].iloc[0])]}
    return audit_function(features(make), few, as_of=end(few).to_pydatetime(), seed=2, limits=Limits(cuts=4))


def forward_and_back(prices: np.ndarray) -> np.ndarray:
    return scipy.signal.filtfilt(*scipy.signal.butter(3, 1 / 12), prices)


def denoised_history(prices: np.ndarray) -> np.ndarray:
    smooth, *details = pywt.wavedec(prices, "db4", level=2)
    limit = np.median(np.abs(details[-1])) / 0.6745 * np.sqrt(2 * np.log(len(prices)))
    return pywt.waverec([smooth, *(pywt.threshold(part, limit, "soft") for part in details)], "db4")[:len(prices)]


def centred_wavelet(prices: np.ndarray) -> np.ndarray:
    """Undecimated details, brought into line with the prices as plots do it."""
    return pywt.swt(np.pad(prices, (0, -len(prices) % 16), mode="edge"), "db4", level=4)[0][1][:len(prices)]


def transform_of_everything(prices: np.ndarray) -> np.ndarray:
    spectrum = np.fft.rfft(prices)
    spectrum[len(spectrum) // 12:] = 0
    return np.fft.irfft(spectrum, len(prices))


def hilbert_phase(prices: np.ndarray) -> np.ndarray:
    return np.angle(scipy.signal.hilbert(np.diff(prices, prepend=prices[0])))


@pytest.mark.parametrize("make", [forward_and_back, denoised_history, centred_wavelet, transform_of_everything,
                                  hilbert_phase])
def test_it_is_found(make: Series, given: dict[str, pd.DataFrame]) -> None:
    report = run(make, given)
    assert not report.passed
    assert {finding.column for finding in report.findings} == {"filtered"}
    first = min(finding.first_offending_time for finding in report.findings)
    assert START + 2 * DAY <= first < START + 4 * DAY


def test_a_filter_that_runs_forward_only_is_not(given: dict[str, pd.DataFrame]) -> None:
    def forward(prices: np.ndarray) -> np.ndarray:
        taps, recursion = scipy.signal.butter(3, 1 / 12)
        return scipy.signal.lfilter(taps, recursion, prices)

    report = run(forward, given)
    assert report.passed, report.markdown()


def test_the_spectral_groups_are_not(given: dict[str, pd.DataFrame]) -> None:
    """The features with short enough look-backs to have values in these days."""
    names = ("wavelet_distance", "wavelet_slope", "wavelet_noise", "l1_error", "l1_atoms", "l1_gap")

    def build(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
        frame = frames["bars"].sort_values(["symbol", "event_time"], ignore_index=True)
        parts = []
        for _, own in frame.groupby("symbol"):
            close = own[["close"]].to_numpy(dtype=np.float64)
            bars = Bars(close, close, close, close, close)
            with np.errstate(all="ignore"):
                values = {name: value[:, 0] for group in ("wavelet", "compressed")
                          for name, value in catalog.GROUPS[group].on_bars(bars).items() if name in names}
            parts.append(pd.concat([own[META], pd.DataFrame(values, index=own.index)], axis=1))
        return pd.concat(parts, ignore_index=True)

    report = audit_function(build, given, as_of=end(given).to_pydatetime(), seed=2, limits=Limits(cuts=3))
    assert report.passed, report.markdown()
    assert build(given).iloc[258:264][list(names)].notna().all(axis=None)
