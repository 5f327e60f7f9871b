"""The drift check on series whose truth is known."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from pipelines.contracts.line import Drift
from pipelines.contracts.records import DriftReport
from pipelines.errors import ContractError, InsufficientData
from pipelines.monitoring import Norm, compare, detect, learn
from pipelines.monitoring.distances import DISTANCES
from pipelines.monitoring.drift import MISSING
from pipelines.monitoring.learn import columns_of

POLICY = Drift(window_days=5, persistence=4)
METHODS = ["moments", *DISTANCES]
SYMBOLS = 5
AS_OF = datetime(2024, 3, 1, tzinfo=UTC)


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


def named(report: DriftReport) -> set[str]:
    return {column.column for column in report.columns if column.drifted}


@pytest.mark.parametrize("method", METHODS)
def test_a_moved_column_is_found_and_named(method: str) -> None:
    world = market(56, rho=0.7)
    reference, current = cut(world, 0, 51), cut(world, 51, 56)
    current["f3"] += 2.5
    report = detect(reference, current, POLICY.model_copy(update={"method": method}), importance={"f3": 3, "f1": 1})
    found = {column.column: column for column in report.columns}["f3"]
    assert "f3" in named(report)
    assert report.over
    assert found.score > found.threshold
    assert found.method == method
    assert found.effect == pytest.approx(2.5, abs=0.5)
    assert found.since == "2024-02-21"
    assert (report.rows, report.since) == (600, "2024-02-21")
    assert report.impact is not None
    assert report.impact >= 0.75
    assert set(report.unusual[0].columns) <= named(report)


def test_methods_are_pinned_by_column() -> None:
    world = market(56, columns=4)
    world["few"] = (world["f0"] > 0.5).astype(float) + (world["f0"] > 1.5)
    rules = POLICY.model_copy(update={"method": "ks", "methods": {"f1": "psi", "few": "chi2"}})
    report = detect(cut(world, 0, 51), cut(world, 51, 56), rules)
    assert {column.column: column.method for column in report.columns} == {
        "f0": "ks", "f1": "psi", "f2": "ks", "f3": "ks", "few": "chi2"}


def test_a_change_in_the_middle_of_the_window_is_dated() -> None:
    world = market(56, rho=0.5)
    reference, current = cut(world, 0, 51), cut(world, 51, 56)
    current.loc[current.index >= 2 * 24 * SYMBOLS, "f3"] += 4
    assert {column.column: column.since for column in detect(reference, current, POLICY).columns}["f3"] == "2024-02-23"


def test_a_drift_that_goes_on_began_with_the_check_that_saw_it_first() -> None:
    world = market(56, rho=0.5)
    current = cut(world, 51, 56)
    current["f3"] += 4
    report = compare(learn(cut(world, 0, 51), POLICY), current, as_of=AS_OF, earlier={"f3": "2024-01-30"})
    assert report.since == "2024-01-30"


def test_a_wilder_column_is_found_though_its_mean_stays() -> None:
    world = market(56, rho=0.5)
    reference, current = cut(world, 0, 51), cut(world, 51, 56)
    current["f2"] *= 2
    report = detect(reference, current, POLICY)
    assert "f2" in named(report)
    assert {column.column: column.spread for column in report.columns}["f2"] == pytest.approx(2, rel=0.2)


def test_a_correlation_that_turns_is_found_though_no_column_moves() -> None:
    world = market(56, rho=0.5)
    world["f1"] = 0.8 * world["f0"] + 0.6 * world["f1"]
    reference, current = cut(world, 0, 51), cut(world, 51, 56)
    assert not detect(reference, current, POLICY).over
    current["f1"] *= -1
    report = detect(reference, current, POLICY)
    assert report.over
    assert report.metrics["pair"] > 1
    assert report.pair == ("f0", "f1")
    assert named(report) == set()


def test_what_no_column_shows_alone_shows_in_all_together() -> None:
    world = market(56, columns=30, rho=0.7)
    reference, current = cut(world, 0, 51), cut(world, 51, 56)
    names = list(columns_of(world))
    current[names] += 0.45
    report = detect(reference, current, POLICY)
    assert report.metrics["levels"] > report.metrics["levels_limit"]
    alone = current.copy()
    alone[names[1:]] -= 0.45
    assert not detect(reference, alone, POLICY).over


def test_alarm_after_several_checks_in_a_row() -> None:
    world = market(56)
    reference, current = cut(world, 0, 51), cut(world, 51, 56)
    current["f1"] += 5
    assert [(report.streak, report.data_drift) for report in (
        detect(reference, current, POLICY, streak=streak) for streak in (0, 2, 3, 9))] == [
            (1, False), (3, False), (4, True), (10, True)]
    quiet = detect(reference, cut(world, 51, 56), POLICY, streak=3)
    assert (quiet.over, quiet.streak, quiet.data_drift) == (False, 0, False)


@pytest.mark.parametrize("method", METHODS)
def test_the_size_of_a_feature_does_not_matter(method: str) -> None:
    world = market(56, columns=1)
    world["tiny"], world["huge"] = world["f0"] * 1e-6, world["f0"] * 1e9 + 1e10
    report = detect(cut(world, 0, 51), cut(world, 51, 56), POLICY.model_copy(update={"method": method}))
    for part in ("score", "threshold", "effect", "spread"):
        found = [getattr(column, part) for column in report.columns]
        assert found == pytest.approx([found[0]] * 3, rel=1e-3)


def test_the_order_of_rows_does_not_matter() -> None:
    world = market(30, columns=4)
    reference, current = cut(world, 0, 25), cut(world, 25, 30)
    one = detect(reference, current, POLICY)
    other = detect(reference.sample(frac=1, random_state=1), current.sample(frac=1, random_state=2), POLICY)
    assert [column.score for column in one.columns] == pytest.approx([column.score for column in other.columns])
    assert [column.threshold for column in one.columns] == pytest.approx(
        [column.threshold for column in other.columns])


@pytest.mark.parametrize("method", METHODS)
def test_a_norm_survives_as_bytes(method: str) -> None:
    world = market(30, columns=4).assign(constant=1.0)
    norm = learn(cut(world, 0, 25), POLICY.model_copy(update={"method": method}), ignore=("f2",))
    content = norm.to_bytes()
    again = Norm.from_bytes(content)
    current = cut(world, 25, 30)
    assert compare(again, current, as_of=AS_OF) == compare(norm, current, as_of=AS_OF)
    assert again.rules == norm.rules
    assert len(content) < 100_000
    with pytest.raises(ContractError, match="learn it again"):
        Norm.from_bytes(_another_format(content))


def _another_format(content: bytes) -> bytes:
    import io

    with np.load(io.BytesIO(content)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    head = json.loads(arrays["head"].tobytes()) | {"format": 99}
    buffer = io.BytesIO()
    np.savez(buffer, **(arrays | {"head": np.frombuffer(json.dumps(head).encode(), dtype=np.uint8)}))
    return buffer.getvalue()


@pytest.mark.parametrize("method", METHODS)
def test_a_window_of_the_reference_is_no_news(method: str) -> None:
    world = market(51)
    norm = learn(world, POLICY.model_copy(update={"method": method}))
    for first in range(0, 46, 5):
        assert not compare(norm, cut(world, first, first + 5), as_of=AS_OF).over


def test_odd_rows_are_like_even_rows() -> None:
    world = market(51)
    assert not detect(world.iloc[::2], world.iloc[1::2], POLICY).over


def test_a_level_that_wanders_is_watched_in_changes() -> None:
    world = market(51, columns=3, rho=0.995)
    world["calm"] = market(51, columns=1, rho=0.5, seed=9)["f0"]
    report = detect(cut(world, 0, 46), cut(world, 46, 51), POLICY)
    assert {column.column: column.differenced for column in report.columns} == {
        "f0": True, "f1": True, "f2": True, "calm": False}
    assert report.metrics["differenced"] == 3
    wild = cut(world, 46, 51)
    wild["f0"] *= 3
    assert named(detect(cut(world, 0, 46), wild, POLICY)) == {"f0"}


def test_constants_are_skipped_and_a_dead_feed_is_drift() -> None:
    world = market(56, columns=4).assign(constant=7.0)
    reference, current = cut(world, 0, 51), cut(world, 51, 56)
    current["f0"] = np.nan
    current.loc[current.index % 3 == 0, "f1"] = np.nan
    current["f3"] = 0.1
    report = detect(reference, current, POLICY)
    found = {column.column: column for column in report.columns}
    assert set(found) == {"f0", "f1", "f2", "f3"}
    assert report.metrics["constant"] == 1
    assert (found["f0"].method, found["f0"].score, found["f0"].drifted) == (MISSING, 1.0, True)
    assert (found["f1"].method, found["f1"].drifted) == (MISSING, True)
    assert found["f3"].drifted
    json.dumps(asdict(report), default=str, allow_nan=False)


def test_missing_values_that_were_always_there_are_no_drift() -> None:
    world = market(56, columns=2, rho=0.0)
    world.loc[world.index % 5 == 0, "f0"] = np.nan
    column = detect(cut(world, 0, 51), cut(world, 51, 56), POLICY).columns[0]
    assert column.method == "moments"
    assert not column.drifted


def test_a_gap_in_the_reference_does_not_loosen_the_limit() -> None:
    world = market(56, columns=2)
    reference, current = cut(world, 0, 51), cut(world, 51, 56)
    holed = reference[~reference["event_time"].between("2024-01-10", "2024-01-16")]
    whole, gapped = detect(reference, current, POLICY), detect(holed, current, POLICY)
    assert gapped.columns[0].smallest == pytest.approx(whole.columns[0].smallest, rel=0.5)


def test_labels_keys_and_baselines_are_no_features() -> None:
    frame = market(1, columns=1).assign(available_at=pd.Timestamp("2024-01-01", tz="UTC"), y=1.0, forward_return=0.1,
                                        label_end=pd.Timestamp("2024-01-01", tz="UTC"), base_prev_label=1.0, text="x")
    assert columns_of(frame) == ("f0",)


def test_no_current_rows_say_nothing() -> None:
    world = market(20)
    report = detect(world, world.iloc[:0], POLICY)
    assert (report.columns, report.share, report.alarm, report.over, report.rows) == ((), 0.0, False, False, 0)
    flat = world[["event_time", "symbol"]].assign(one=1.0)
    assert not detect(flat, flat, POLICY).over


def test_one_column_and_one_symbol_are_enough() -> None:
    world = market(30, columns=1, rho=0.5).query("symbol == 'S0'").drop(columns="symbol")
    report = detect(world.iloc[:600], world.iloc[600:].assign(f0=world["f0"] + 6), POLICY)
    assert named(report) == {"f0"}


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
    """Evidently's own rule alarms on 58 % (rho 0.9) to 94 % (0.98) of such windows. With a budget of half an alarm a
    year, the chance of even one window in 96 over is a few percent."""
    over = 0
    for seed in range(4):
        world = market(51 + 60, rho=rho, seed=seed)
        norm = learn(cut(world, 0, 51), POLICY)
        over += sum(compare(norm, cut(world, first, first + 5), as_of=AS_OF).over for first in range(51, 106, 5))
    assert over <= 1


@pytest.mark.parametrize("begins", [0, 1, 2, 13])
def test_a_step_a_day_is_no_drift_wherever_the_reference_begins(begins: int) -> None:
    """An index that speaks at 23:00: cut at another hour, its steps would lie inside of days, and not between them."""
    opened = pd.date_range("2024-01-01", periods=80 * 24, freq="h", tz="UTC", unit="us") - pd.Timedelta(hours=1)
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"symbol": "BTC", "event_time": opened, "available_at": opened + pd.Timedelta(hours=1),
                          "index": np.repeat(rng.standard_normal(80), 24), "return": rng.standard_normal(80 * 24)})
    norm = learn(frame.iloc[begins:60 * 24], Drift(window_days=5))
    for day in range(61, 76):
        seen = compare(norm, frame.iloc[day * 24:(day + 5) * 24], as_of=datetime(2024, 1, 1, tzinfo=UTC))
        assert not seen.over, (day, seen.columns)
