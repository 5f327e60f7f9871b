"""The matrix of a line from a real warehouse: its rows, their times and their order. (``test_builds``: the same to the
bit in parts, alone, and with the future cut off.)"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.contracts.columns import FEATURE_META, Kind
from pipelines.contracts.line import Line
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError
from pipelines.features import build, catalog, feature_names
from pipelines.store import Warehouse
from tests.unit.features.world import DAY, HOUR, START, everything, line, load

DAYS = 12
END = START + DAYS * DAY


def full(warehouse: Warehouse, rules: Line) -> pd.DataFrame:
    return build(warehouse, rules, window=Window(START, END), as_of=END)


@pytest.fixture(scope="module")
def loaded(shared_warehouse: Warehouse) -> Warehouse:
    load(shared_warehouse, everything(DAYS, DAYS))
    return shared_warehouse


def test_shape_types_and_order(loaded: Warehouse) -> None:
    rules = line()
    frame = full(loaded, rules)
    names = [feature.name for feature in catalog.features(catalog.select(rules.features.groups))]
    assert list(frame.columns) == [*FEATURE_META, *names]
    assert feature_names(frame) == tuple(names)
    assert (frame[names].dtypes == np.float64).all()
    assert str(frame["event_time"].dtype) == str(frame["available_at"].dtype) == "datetime64[us, UTC]"
    assert frame[["event_time", "symbol"]].apply(tuple, axis=1).is_monotonic_increasing
    assert not frame.duplicated(["symbol", "event_time"]).any()
    assert np.isfinite(frame[names].to_numpy()).all()
    assert (frame["available_at"] >= frame["event_time"] + HOUR).all()
    assert len(frame) > 150


def test_absent_inputs_are_announced(loaded: Warehouse) -> None:
    frame = full(loaded, line())
    assert (frame["put_call_missing"] == 1).all()
    assert (frame["put_call"] == 0).all()
    assert (frame["vix_missing"] == 0).all()
    quiet = frame["sentiment_documents_4h"] == 0
    assert quiet.any()
    assert (frame.loc[quiet, ["sentiment_mean_4h", "sentiment_net_4h"]] == 0).all(axis=None)


def test_a_partition_holds_what_became_available_in_it(loaded: Warehouse) -> None:
    window = Window(START + 9 * DAY, START + 10 * DAY)
    frame = build(loaded, line(groups=("time",)), window=window, as_of=END)
    assert frame["available_at"].between(pd.Timestamp(window.start), pd.Timestamp(window.end), inclusive="left").all()
    assert (frame["event_time"] == pd.Timestamp(window.start - HOUR)).any()  # the bar that closed at midnight
    bars = everything(DAYS, DAYS)[Kind.BARS]
    first = bars.groupby(["symbol", "event_time"])["available_at"].min()
    waited = first.copy()
    for back in range(1, 7):  # for a bar before its own a row waits until six hours after that bar's close
        opened = first.index.get_level_values("event_time")
        before = pd.Series(first.reindex([(symbol, at - back * HOUR) for symbol, at in first.index]).to_numpy(),
                           first.index)
        deadline = pd.Series(opened + (7 - back) * HOUR, first.index)
        inside = opened >= pd.Timestamp(START + back * HOUR)
        waited = waited.where(~inside, np.maximum(waited, before.fillna(deadline).clip(upper=deadline)))
    expected = waited[(waited >= pd.Timestamp(window.start)) & (waited < pd.Timestamp(window.end))]
    assert (expected > first[expected.index]).any()
    assert frame.set_index(["symbol", "event_time"])["available_at"].sort_index().equals(expected)
    assert ((first - first.index.get_level_values("event_time")) > pd.Timedelta(hours=2)).any()  # some were late


def test_rows_without_their_look_back_are_left_out_and_said(loaded: Warehouse,
                                                            caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        frame = full(loaded, line())
    first = frame.groupby("symbol")["event_time"].min()
    assert (first >= pd.Timestamp(START + 167 * HOUR)).all()
    assert "rows left out: bars of their look-back are missing" in caplog.text


def test_an_empty_warehouse_has_no_rows(warehouse: Warehouse) -> None:
    rules = line()
    frame = full(warehouse, rules)
    assert frame.empty
    assert len(feature_names(frame)) == len(catalog.features(catalog.select(rules.features.groups)))


def test_an_unknown_group_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(ConfigError, match="astrology"):
        full(warehouse, line(groups=("astrology",)))
