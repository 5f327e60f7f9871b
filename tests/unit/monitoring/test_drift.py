"""The drift check on series whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from pipelines.contracts.line import Drift
from pipelines.errors import ContractError, InsufficientData
from pipelines.monitoring import detect
from pipelines.monitoring.drift import MISSING, columns_of

POLICY = Drift(window_days=5, share=0.3, persistence=4)
SYMBOLS = 5


def market(days: int, *, columns: int = 10, rho: float = 0.9, seed: int = 0) -> pd.DataFrame:
    """Hourly AR(1) features of five symbols that share half of their shocks; unit variance."""
    rng = np.random.default_rng(seed)
    hours = days * 24
    shocks = (rng.standard_t(5, size=(hours + 500, SYMBOLS, columns))
              + rng.standard_t(5, size=(hours + 500, 1, columns)))
    values = lfilter([1.0], [1.0, -rho], shocks, axis=0)[500:]
    frame = pd.DataFrame((values / values.std(axis=(0, 1))).reshape(-1, columns),
                         columns=[f"f{number}" for number in range(columns)])
    times = pd.date_range("2024-01-01", periods=hours, freq="h", tz="UTC").as_unit("us")
    frame.insert(0, "event_time", np.repeat(times, SYMBOLS))
    frame.insert(0, "symbol", np.tile([f"S{number}" for number in range(SYMBOLS)], hours))
    return frame


def cut(frame: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    return frame.iloc[first * 24 * SYMBOLS:last * 24 * SYMBOLS].reset_index(drop=True)


@pytest.mark.parametrize("method", ["wasserstein", "ks", "psi", "jensenshannon"])
def test_a_moved_column_is_found_and_named(method: str) -> None:
    world = market(56)
    reference, current = cut(world, 0, 51), cut(world, 51, 56)
    current["f3"] += 2.5
    policy = POLICY.model_copy(update={"method": method})
    report = detect(reference, current, policy, line="direction_1h")
    by_name = {column.column: column for column in report.columns}
    assert by_name["f3"].drifted
    assert by_name["f3"].score > by_name["f3"].threshold
    assert by_name["f3"].method == method
    assert report.share <= 0.3
    assert report.rows == 600


def test_the_size_of_a_feature_does_not_matter() -> None:
    world = market(56, columns=1)
    world["tiny"], world["huge"] = world["f0"] * 1e-6, world["f0"] * 1e9 + 1e10
    report = detect(cut(world, 0, 51), cut(world, 51, 56), POLICY)
    scores = [column.score for column in report.columns]
    assert scores == pytest.approx([scores[0]] * 3, rel=1e-4)


def test_data_drift_is_a_share_of_columns() -> None:
    world = market(56)
    reference, current = cut(world, 0, 51), cut(world, 51, 56)
    for name in ("f1", "f2", "f4"):
        current[name] -= 3.0
    report = detect(reference, current, POLICY, streak=3)
    assert report.share >= 0.3
    assert report.data_drift
    assert not detect(reference, current, POLICY, streak=2).data_drift
    assert report.metrics == {"columns": 10.0, "drifted": pytest.approx(report.share * 10), "constant": 0.0}
    ignoring = detect(reference, current, POLICY, ignore=("f1", "f2", "f4"))
    assert not ignoring.data_drift
    assert {column.column for column in ignoring.columns}.isdisjoint({"f1", "f2", "f4"})


def test_constants_are_skipped_and_a_dead_feed_is_drift() -> None:
    world = market(56, columns=3).assign(constant=7.0)
    reference, current = cut(world, 0, 51), cut(world, 51, 56)
    current["f0"] = np.nan
    current.loc[current.index % 3 == 0, "f1"] = np.nan
    found = {column.column: column for column in detect(reference, current, POLICY).columns}
    assert set(found) == {"f0", "f1", "f2"}
    assert (found["f0"].method, found["f0"].score, found["f0"].drifted) == (MISSING, 1.0, True)
    assert (found["f1"].method, found["f1"].drifted) == (MISSING, True)
    assert found["f2"].method == "wasserstein"


def test_missing_values_that_were_always_there_are_no_drift() -> None:
    world = market(56, columns=2, rho=0.0)
    world.loc[world.index % 5 == 0, "f0"] = np.nan
    column = detect(cut(world, 0, 51), cut(world, 51, 56), POLICY).columns[0]
    assert column.method == "wasserstein"
    assert not column.drifted


def test_a_gap_in_the_reference_does_not_loosen_the_limit() -> None:
    world = market(56, columns=2)
    reference, current = cut(world, 0, 51), cut(world, 51, 56)
    holed = reference[~reference["event_time"].between("2024-01-10", "2024-01-16")]
    whole, gapped = detect(reference, current, POLICY), detect(holed, current, POLICY)
    assert gapped.columns[0].threshold == pytest.approx(whole.columns[0].threshold, rel=0.5)


def test_labels_keys_and_baselines_are_no_features() -> None:
    frame = market(1, columns=1).assign(available_at=pd.Timestamp("2024-01-01", tz="UTC"), y=1.0, forward_return=0.1,
                                        label_end=pd.Timestamp("2024-01-01", tz="UTC"), base_prev_label=1.0, text="x")
    assert columns_of(frame) == ("f0",)


def test_no_current_rows_say_nothing() -> None:
    world = market(20)
    report = detect(world, world.iloc[:0], POLICY)
    assert (report.columns, report.share, report.alarm, report.rows) == ((), 0.0, False, 0)


def test_refusals_name_the_remedy() -> None:
    world = market(12)
    with pytest.raises(InsufficientData, match="shorten drift"):
        detect(cut(world, 0, 9), cut(world, 9, 12), POLICY)
    with pytest.raises(InsufficientData, match="spans 0 days"):
        detect(world.iloc[:0], world, POLICY)
    with pytest.raises(ContractError, match=r"lack the columns \['f0'\]"):
        detect(world, world.drop(columns="f0"), POLICY)


@pytest.mark.parametrize("rho", [0.5, 0.98])
def test_stationary_features_keep_quiet(rho: float) -> None:
    """Evidently's own rule alarms on 58 % (rho 0.9) to 94 % (0.98) of such windows."""
    alarms = 0
    for seed in range(12):
        world = market(61, rho=rho, seed=seed)
        alarms += sum(detect(cut(world, 0, 51), cut(world, last - 5, last), POLICY).over for last in (56, 61))
    assert alarms <= 2


def test_a_shift_in_a_third_of_the_columns_is_seen() -> None:
    seen = 0
    for seed in range(10):
        world = market(56, rho=0.9, seed=100 + seed)
        current = cut(world, 51, 56)
        for name in ("f0", "f1", "f2", "f3"):
            current[name] += 1.5
        seen += detect(cut(world, 0, 51), current, POLICY).over
    assert seen >= 8
