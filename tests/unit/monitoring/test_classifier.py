"""The classifier on worlds whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from pipelines.monitoring import classifier as room
from pipelines.monitoring import words
from pipelines.monitoring.classifier import LEVEL, NAMED, Told, tell_apart
from tests.unit.monitoring.test_words import QUIET

SYMBOLS, REFERENCE, APART, WINDOW = 3, 56, 10, 7


def world(seed: int, *, columns: int = 12, rho: float = 0.9) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hourly AR(1) features of symbols that share half of their shocks: 56 days, then 10 that nobody saw, then 7."""
    rng = np.random.default_rng(seed)
    hours = (REFERENCE + APART + WINDOW) * 24
    shocks = rng.standard_normal((hours + 300, SYMBOLS, columns)) + rng.standard_normal((hours + 300, 1, columns))
    values = lfilter([1.0], [1.0, -rho], shocks, axis=0)[300:]
    frame = pd.DataFrame((values / values.std(axis=(0, 1))).reshape(-1, columns), columns=names(columns))
    frame.insert(0, "event_time", np.repeat(pd.date_range("2024-01-01", periods=hours, freq="h", tz="UTC"), SYMBOLS))
    frame.insert(0, "symbol", np.tile(["A", "B", "C"], hours))
    day = SYMBOLS * 24
    return frame.iloc[:REFERENCE * day].copy(), frame.iloc[-WINDOW * day:].reset_index(drop=True)


def names(columns: int = 12) -> list[str]:
    return [f"f{number:02}" for number in range(columns)]


def about(one: Told, other: Told, tolerance: float) -> None:
    assert (one.auc, *one.null, one.limit) == pytest.approx((other.auc, *other.null, other.limit), abs=tolerance)
    assert (one.drifted, one.rank, one.days) == (other.drifted, other.rank, other.days)


def test_stationary_worlds_are_rarely_told_apart_though_rows_persist() -> None:
    told = [tell_apart(*world(seed), names(), WINDOW) for seed in range(20)]
    assert binomtest(sum(one.drifted for one in told), 20).proportion_ci(method="wilson").low <= LEVEL
    # As if rows were independent the AUC's standard error would be 0.013, and many of them would be drift.
    naive = sum(one.auc > 0.5 + 1.65 * 0.013 for one in told)
    assert binomtest(naive, 20).proportion_ci(method="wilson").low > LEVEL
    assert all(0 < one.rank <= 1 and one.limit >= one.highest == max(one.null) for one in told)
    assert {len(one.null) for one in told} == {8}


def test_a_shift_of_many_columns_is_found_and_they_are_named() -> None:
    for seed in range(4):
        reference, current = world(seed, columns=14)
        moved = names(14)[:10]
        current[moved] += 1.0
        told = tell_apart(reference, current, names(14), WINDOW)
        assert told.drifted
        assert told.rank == pytest.approx(1 / 9)
        assert len(told.columns) == NAMED
        assert {name for name, _ in told.columns} <= set(moved)
        assert [share for _, share in told.columns] == sorted((share for _, share in told.columns), reverse=True)


def test_a_changed_correlation_is_found_and_the_pair_is_named() -> None:
    for seed in range(4):
        reference, current = world(seed, rho=0.7)
        current["f07"] = 0.9 * current["f02"] + np.sqrt(1 - 0.9 ** 2) * current["f07"]  # its marginal stays as it was
        told = tell_apart(reference, current, names(), WINDOW)
        assert told.drifted
        assert {name for name, _ in told.columns[:2]} == {"f02", "f07"}


def test_a_wilder_column_is_found_and_named() -> None:
    reference, current = world(5, rho=0.7)
    current["f04"] *= 2.5
    told = tell_apart(reference, current, names(), WINDOW)
    assert told.drifted
    assert told.columns[0][0] == "f04"


def test_units_do_not_matter() -> None:
    reference, current = world(6)
    current["f01"] += 0.7
    scale = np.geomspace(1e-4, 1e4, 12)
    moved = [frame.assign(**{name: frame[name] * by - 3 * by for name, by in zip(names(), scale, strict=True)})
             for frame in (reference, current)]
    about(tell_apart(*moved, names(), WINDOW), tell_apart(reference, current, names(), WINDOW), 1e-4)
    turned = [frame.assign(f03=-frame["f03"]) for frame in (reference, current)]
    about(tell_apart(*turned, names(), WINDOW), tell_apart(reference, current, names(), WINDOW), 2e-3)


def test_the_order_of_rows_and_of_columns_does_not_matter() -> None:
    reference, current = world(7)
    current["f01"] += 0.7
    shuffled = [frame.sample(frac=1, random_state=3).iloc[:, ::-1] for frame in (reference, current)]
    assert tell_apart(*shuffled, names()[::-1], WINDOW) == tell_apart(reference, current, names(), WINDOW)


def test_the_auc_is_that_of_the_scores_out_of_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[np.ndarray, np.ndarray, float]] = []
    plain = room._auc

    def watched(low: np.ndarray, high: np.ndarray) -> float:
        seen.append((low, high, plain(low, high)))
        return seen[-1][2]

    monkeypatch.setattr(room, "_auc", watched)
    told = tell_apart(*world(8), names(), WINDOW)
    theirs = [roc_auc_score(np.repeat([0, 1], [len(low), len(high)]), np.concatenate([low, high]))
              for low, high, _ in seen]
    assert theirs == pytest.approx([ours for _, _, ours in seen], abs=1e-12)
    assert told.auc == pytest.approx(np.mean(theirs[:4]), abs=1e-12)
    # Every row is judged once: the current ones in the first four folds, 168 hours of three symbols.
    assert [sum(len(part[side]) for part in seen[:4]) for side in (0, 1)] == [REFERENCE * 72, WINDOW * 72]
    assert plain(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == pytest.approx(0.875)  # a tie counts half


def test_the_folds_are_blocks_of_days_and_windows_stand_apart() -> None:
    assert room._now(10, 4, 4).tolist() == [4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 0, 1, 2, 3]
    assert room._then(14, 4, 5, 2).tolist() == [4, 5, 6, -1, -1, 0, 1, 2, 3, -1, -1, 7, 4, 5, -1, -1]
    assert room._blocks(np.arange(7)).tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert room._cycled(np.arange(9), 7).tolist() == [4, 4, 5, 5, 6, 6, 7, 7, 4]


def test_of_many_columns_those_that_matter_are_paired() -> None:
    reference, current = world(9, columns=20, rho=0.7)
    current["f19"] = 0.95 * current["f18"] + np.sqrt(1 - 0.95 ** 2) * current["f19"]
    told = tell_apart(reference, current, names(20), WINDOW, importance={"f18": 2.0, "f19": 1.0})
    assert told.drifted
    assert {name for name, _ in told.columns[:2]} == {"f18", "f19"}
    assert not tell_apart(reference, current, names(20), WINDOW).drifted


def test_a_level_that_wanders_is_looked_at_in_changes() -> None:
    reference, current = (frame.assign(f00=(frame["f00"] * by).groupby(frame["symbol"]).cumsum())
                          for frame, by in zip(world(10, rho=0.5), (1.0, 2.5), strict=True))
    told = tell_apart(reference, current, names(), WINDOW, differenced=["f00"])
    assert told.drifted
    assert told.columns[0][0] == "f00"
    assert told.auc > tell_apart(reference, current, names(), WINDOW).auc


def test_without_enough_days_or_columns_it_says_why() -> None:
    reference, current = world(11)
    day = SYMBOLS * 24
    for told, why in (
            (tell_apart(reference.iloc[:27 * day], current, names(), WINDOW), "holds 27 days"),
            (tell_apart(reference, current.iloc[:day], names(), WINDOW), "less than two days"),
            (tell_apart(reference, current.iloc[:0], names(), WINDOW), "less than two days"),
            (tell_apart(reference.assign(f00=1.0), current, ["f00"], WINDOW), "no column varies"),
            (tell_apart(reference, current, [], WINDOW), "no column varies")):
        assert why in told.reason
        assert np.isnan([told.auc, told.rank, told.highest, told.limit]).all()
        assert (told.drifted, told.null, told.columns) == (False, (), ())
        assert room.answered(QUIET, told).metrics["classifier_windows"] == 0
        assert "too few days" in words.classifier(room.answered(QUIET, told))


def test_days_without_rows_do_not_count() -> None:
    reference, current = world(13)
    day = SYMBOLS * 24
    some = current.drop(index=range(2 * day, 5 * day)).reset_index(drop=True)
    told = tell_apart(reference.drop(index=range(9 * day, 12 * day)), some, names(), WINDOW)
    assert told.days == 4
    assert not told.drifted
    assert min(told.auc, *told.null) > 0.3
    shifted = some.assign(**{name: some[name] + 1.5 for name in names()})
    assert tell_apart(reference, shifted, names(), WINDOW).drifted


def test_missing_values_say_nothing_and_missing_columns_are_found() -> None:
    reference, current = world(12)
    holes = np.random.default_rng(0).random(len(reference)) < 0.1
    told = tell_apart(reference.assign(f00=reference["f00"].mask(holes)), current, names(), WINDOW)
    assert np.isfinite(told.auc)
    assert tell_apart(reference, current.assign(f00=np.nan), names(), WINDOW).columns[0][0] == "f00"


def test_the_answer_is_a_sentence() -> None:
    told = Told(0.831, (0.5,) * 7 + (0.71,), 1 / 9, 0.71, 0.75, True, (("atr_14h", 0.6), ("rsi_14h", 0.2)), 7)
    report = room.answered(QUIET, told)
    assert words.classifier(report) == (
        "A classifier tells the last 7 days from the reference with an AUC of 0.83; windows of the reference itself "
        "with at most 0.71 (8 windows; limit 0.75). Most by: atr_14h, rsi_14h.")
    assert words.classifier(room.answered(QUIET, replace(told, auc=0.7, drifted=False))).endswith(
        "limit 0.75). That is not unusual.")
    assert words.classifier(QUIET) == ""
