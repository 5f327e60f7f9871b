"""Partitions and training snapshots."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS, Kind
from pipelines.contracts.window import Window
from pipelines.errors import InsufficientData, NotReady
from pipelines.features import NAIVE, build, feature_names, labels, run, snapshot
from pipelines.store import Warehouse, facts, loads, snapshots
from tests.unit.features.world import DAY, HOUR, START, dirty, line

WEEKS = START + 20 * DAY


BARS = dirty(20 * 24, seed=2, rate=0.01).drop(columns="revision")


@pytest.fixture(scope="module")
def loaded(shared_warehouse: Warehouse) -> Warehouse:
    facts.write(shared_warehouse, Kind.BARS, BARS)
    return shared_warehouse


@pytest.fixture
def changing(warehouse: Warehouse) -> Warehouse:
    facts.write(warehouse, Kind.BARS, BARS)
    return warehouse


class TestMaterialise:
    def test_twice_is_once(self, loaded: Warehouse) -> None:
        rules, window = line(groups=("returns", "time")), Window(START + 9 * DAY, START + 10 * DAY)
        ref = run.materialise(loaded, rules, window)
        assert run.materialise(loaded, rules, window) == ref
        assert (ref.kind, ref.line, ref.start, ref.end) == ("partition", rules.name, window.start, window.end)
        frame = snapshots.get(loaded, ref.digest)
        pd.testing.assert_frame_equal(frame, build(loaded, rules, window=window, as_of=WEEKS), check_exact=True)
        assert ref.rows == len(frame) > 30

    def test_what_comes_later_does_not_change_it(self, changing: Warehouse) -> None:
        rules, window = line(groups=("returns", "time")), Window(START + 9 * DAY, START + 10 * DAY)
        ref = run.materialise(changing, rules, window)
        again = BARS.drop_duplicates(["symbol", "event_time"]).copy()
        again["close"] *= 1.01
        again["available_at"] += 6 * DAY
        assert facts.write(changing, Kind.BARS, again).revised > 300
        assert run.materialise(changing, rules, window) == ref

    def test_inputs_that_are_not_loaded_are_waited_for(self, changing: Warehouse) -> None:
        rules, window = line(groups=("returns", "time")), Window(START + 9 * DAY, START + 10 * DAY)
        with changing.begin() as connection:
            loads.mark(connection, "bars", Window(START, START + 9.5 * DAY), rows=1, at=START)
        with pytest.raises(NotReady, match=r"needs bars of .* run `tidemark ingest`") as caught:
            run.materialise(changing, rules, window)
        assert caught.value.retryable
        with changing.begin() as connection:
            loads.mark(connection, "bars", Window(START + 9.5 * DAY, START + 10 * DAY), rows=1, at=START)
        assert run.materialise(changing, rules, window).rows > 0


def recorded(*lines: tuple[str, float, float]) -> pd.DataFrame:
    """(dataset, first day, last day)"""
    return pd.DataFrame({"dataset": [entry[0] for entry in lines],
                         **{name: pd.to_datetime([START + entry[place] * DAY for entry in lines], utc=True)
                            for name, place in (("window_start", 1), ("window_end", 2))}})


@pytest.mark.parametrize(("lines", "missing"), [
    ([], []),
    ([("bars", 0, 9)], ["bars"]),
    ([("bars", 0, 10)], []),
    ([("bars", 9.5, 10), ("bars", 0, 9.5)], []),
    ([("bars", 0, 9.4), ("bars", 9.6, 10)], ["bars"]),
    ([("bars", 0, 10), ("sentiment", 0, 9)], ["sentiment"]),
    ([("bars", 0, 10), ("sentiment", 0, 20), ("indicators", 5, 9.9)], ["indicators"]),
    ([("documents", 0, 3)], []),
    ([("bars/A", 0, 10), ("bars/B", 0, 10)], []),
    ([("bars/A", 0, 10), ("bars/B", 0, 9)], ["bars/B"]),
    ([("bars/A", 0, 9.5), ("bars/B", 0, 9.5), ("bars", 9.5, 10)], []),
])
def test_not_ready(lines: list[tuple[str, float, float]], missing: list[str]) -> None:
    window = Window(START + 9 * DAY, START + 10 * DAY)
    assert run.not_ready(recorded(*lines), line(), window) == missing


def test_only_the_lines_own_inputs_are_waited_for() -> None:
    window = Window(START + 9 * DAY, START + 10 * DAY)
    open_ends = recorded(("bars/A", 0, 10), ("bars/B", 0, 1), ("sentiment", 0, 1), ("indicators", 0, 1))
    assert run.not_ready(open_ends, line(groups=("time",), symbols=("A",)), window) == []
    assert run.not_ready(open_ends, line(groups=("time",), symbols=("A", "C")), window) == []


class TestTraining:
    @pytest.mark.parametrize(("kind", "horizon"), [("direction", 1), ("volatility", 6)])
    def test_rows_labels_and_baseline(self, loaded: Warehouse, kind: str, horizon: int) -> None:
        rules, as_of = line(kind, horizon, 48, groups=("returns", "time")), START + 18.3 * DAY
        ref, frame = snapshot.training(loaded, rules, as_of)
        assert list(frame.columns) == [*FEATURE_META, *feature_names(frame), *LABEL_COLUMNS, NAIVE[0]]
        pd.testing.assert_frame_equal(snapshots.get(loaded, ref.digest), frame, check_exact=True)
        assert (frame["label_end"] <= pd.Timestamp(as_of)).all()
        assert (frame["label_end"] > frame["available_at"]).all()
        assert set(frame["y"]) == {0, 1}
        assert frame["y"].dtype == np.int64
        assert set(frame[NAIVE[0]]) == {0.0, 1.0}
        assert np.isfinite(frame[list(feature_names(frame))].to_numpy()).all()
        span = as_of - rules.walk_forward.history_days * DAY - rules.horizon
        assert frame["available_at"].min() < pd.Timestamp(span + 2 * HOUR)
        assert (frame["available_at"] >= pd.Timestamp(span)).all()
        assert frame[["event_time", "symbol"]].apply(tuple, axis=1).is_monotonic_increasing
        assert (ref.kind, ref.rows) == ("training", len(frame))

    def test_serving_rows_equal_training_rows(self, loaded: Warehouse) -> None:
        rules, as_of = line(groups=("returns", "trend", "volatility", "time")), START + 19 * DAY
        _, frame = snapshot.training(loaded, rules, as_of)
        served = pd.concat([build(loaded, rules, window=day, as_of=day.end)
                            for day in Window(START + 8 * DAY, as_of).days()])
        columns = [*FEATURE_META, *feature_names(frame)]
        both = frame[columns].merge(served, on=columns, how="left", indicator=True)
        assert len(frame) > 250
        assert (both["_merge"] == "both").all()

    def test_the_future_changes_nothing(self, loaded: Warehouse, new_database: object, tmp_path: object) -> None:
        rules, as_of = line("volatility", 6, 48, groups=("returns", "time")), START + 16.6 * DAY
        past = Warehouse(new_database(), str(tmp_path))  # type: ignore[operator]
        try:
            facts.write(past, Kind.BARS, BARS[BARS["available_at"] <= pd.Timestamp(as_of)])
            assert snapshot.training(past, rules, as_of)[0].digest == snapshot.training(loaded, rules, as_of)[0].digest
        finally:
            past.close()

    def test_a_row_that_came_after_its_own_outcome_is_left_out(self) -> None:
        at = pd.to_datetime([START, START + HOUR], utc=True).as_unit("us")
        rows = pd.DataFrame({"symbol": "A", "event_time": at, "available_at": at + 3 * HOUR, "x": [1.0, 2.0]})
        ends = [at[0] + 3 * HOUR, at[1] + 4 * HOUR]
        known = pd.DataFrame({"symbol": "A", "event_time": at, "y": 1, "label_end": ends,
                              "forward_return": 0.0, "prev_label": 1.0})
        assert snapshot.join(rows, known)["x"].tolist() == [2.0]
        assert snapshot.join(rows, known.assign(prev_label=np.nan)).empty

    def test_too_little_history_is_said(self, loaded: Warehouse) -> None:
        with pytest.raises(InsufficientData, match="load bars"):
            snapshot.training(loaded, line(), START + timedelta(hours=1))

    def test_labels_agree_with_the_label_function(self, loaded: Warehouse) -> None:
        rules, as_of = line("volatility", 6, 48, groups=("time",)), START + 18 * DAY
        _, frame = snapshot.training(loaded, rules, as_of)
        known = labels.read(loaded, rules, start=START, end=as_of, as_of=as_of)
        columns = ["symbol", "event_time", "y", "label_end"]
        both = frame[columns].merge(known[columns], on=columns, how="left", indicator=True)
        assert (both["_merge"] == "both").all()
        assert datetime.fromisoformat(str(frame["label_end"].max())) < as_of
