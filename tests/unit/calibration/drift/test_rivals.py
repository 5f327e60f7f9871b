"""The rules of others: exact distances against SciPy, and Evidently's verdict against Evidently's own."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipelines.calibration.drift import rivals
from pipelines.calibration.drift.distances import distances, ks_rejects, psi
from pipelines.calibration.drift.series import Process, simulate
from pipelines.calibration.drift.track import Track
from pipelines.errors import ContractError


def _ks(then: np.ndarray, later: np.ndarray) -> float:
    return float(stats.ks_2samp(then, later, method="asymp").statistic)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.sampled_from([0, 1, 8]))
def test_distances_are_scipys(seed: int, before: int, now: int, decimals: int) -> None:
    """Ties, within a sample and between them, when few decimals are left."""
    rng = np.random.default_rng(seed)
    reference, window = (np.round(rng.standard_normal((size, 2)), decimals) for size in (before, now))
    greatest, area = distances(np.ascontiguousarray(np.sort(reference, axis=0).T),
                               np.ascontiguousarray(np.vstack([reference, window]).T),
                               np.array([before]), np.array([before + now]))
    for column in range(2):
        then, later = reference[:, column], window[:, column]
        assert greatest[0, column] == pytest.approx(_ks(then, later), abs=1e-12)
        assert area[0, column] == pytest.approx(stats.wasserstein_distance(then, later), abs=1e-12)


@pytest.mark.parametrize(("days", "memory", "common"), [(10, 0.0, 0.0), (28, 0.5, 0.5), (150, 0.0, 0.0), (150, 0.5, 0)])
def test_kolmogorov_smirnov_rejects_as_scipy_does(days: int, memory: float, common: float) -> None:
    values = simulate(Process(memory=memory, common=common, columns=8), 24 * (days + 8), np.random.default_rng(days))
    track = Track(values, days, 5)
    then, windows = track.values[track.reference], [track.values[track.window(check)] for check in range(track.checks)]
    p = np.array([[stats.ks_2samp(then[:, column], now[:, column]).pvalue for column in range(8)] for now in windows])
    statistic = np.array([[_ks(then[:, column], now[:, column]) for column in range(8)] for now in windows])
    for level in (0.01, 0.05, 0.3):
        assert np.array_equal(ks_rejects(statistic, then, windows, level), p <= level)
    assert 0 < (p <= 0.3).mean() < 1


def test_population_stability_by_hand() -> None:
    """Two tenths of the reference lose all their values to the first: 0.1 -> 0.3, and 0.1 -> 0 twice."""
    reference = np.arange(100.0)[:, None]
    window = np.concatenate([np.linspace(0, 9, 30), np.arange(10.0, 80.0)])[:, None]
    found = psi(reference, np.vstack([reference, window]), np.array([0, 100]), np.array([100, 200]))
    expected = 0.2 * np.log(3) + 2 * (1e-4 - 0.1) * np.log(1e-4 / 0.1)
    assert found[:, 0] == pytest.approx([0.0, expected])


@pytest.mark.parametrize(("days", "method"), [(28, "K-S p_value"), (60, "Wasserstein distance (normed)")])
def test_evidently_says_the_same(days: int, method: str) -> None:
    """672 rows and 1,440: below and above the size at which its method changes."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    values = simulate(Process(memory=0.5, columns=5), 24 * (days + 40), np.random.default_rng(1))
    values[:, 4] *= 1e-5  # Evidently's floor on the standard deviation hides it
    track = Track(values, days, 5)
    columns, share = rivals.drifted(track)["evidently"], rivals.alarms(track)["evidently"]
    frame = track.frame().drop(columns=["symbol", "event_time"])
    definition = DataDefinition(numerical_columns=list(frame))
    seen = []
    for check in range(4, 40, 18):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = Report([DataDriftPreset()]).run(*(
                Dataset.from_pandas(frame.iloc[rows], data_definition=definition)
                for rows in (track.window(check), track.reference)))
        metrics = json.loads(run.json())["metrics"]
        assert {metric["config"]["method"] for metric in metrics[1:]} == {method}
        theirs = [metric["value"] <= metric["config"]["threshold"] if method.startswith("K-S")
                  else metric["value"] >= metric["config"]["threshold"] for metric in metrics[1:]]
        assert columns[check].tolist() == theirs
        assert (metrics[0]["value"]["share"] >= metrics[0]["config"]["drift_share"]) == share[check]
        seen.append(theirs)
    assert 0 < np.mean(seen) < 1


def test_an_alarm_needs_one_column_or_half_of_them() -> None:
    quiet = simulate(Process(columns=8), 24 * 38, np.random.default_rng(2))
    for moved, expected in ((1, {"psi_any", "ks_any"}), (4, set(rivals.RIVALS))):
        values = quiet.copy()
        values[24 * 28:, :moved] += 3.0
        found = rivals.alarms(Track(values, 28, 5))
        assert set(found) == set(rivals.RIVALS)
        assert {name for name, alarm in found.items() if alarm[-1]} == expected


def test_columns_of_few_values_are_refused() -> None:
    values = np.column_stack([np.arange(24 * 20.0), np.arange(24 * 20.0) % 5])
    with pytest.raises(ContractError, match=r"columns \[1\] have at most 5 distinct values"):
        rivals.alarms(Track(values, 10, 5))


def test_frames_are_views_of_the_same_numbers() -> None:
    track = Track(simulate(Process(columns=2), 24 * 20, np.random.default_rng(3)), 10, 5)
    assert isinstance(track.frame(), pd.DataFrame)
    assert np.array_equal(track.frame()[["x00", "x01"]].to_numpy(), track.values)
