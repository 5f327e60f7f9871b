"""The matrix of a line from a real warehouse: the same to the bit in parts, alone, and with the future cut off."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.contracts.columns import FEATURE_META, Kind
from pipelines.contracts.line import Line
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError
from pipelines.features import build, catalog, feature_names
from pipelines.sentiment import run as sentiment_run
from pipelines.store import Warehouse, facts
from tests.unit.features.world import DAY, HOUR, START, dirty, known, line

DAYS = 12
END = START + DAYS * DAY
TEXTS = ["bitcoin is great", "I love $ETH", "awful day for BTC", "the market sleeps", "eth and btc crash", "fear again"]
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def world(seed: int = 11) -> dict[Kind, pd.DataFrame]:
    rng = random.Random(seed)
    bars = dirty(DAYS * 24, SYMBOLS, seed=seed, rate=0.01)
    written = [START + rng.random() * DAYS * DAY for _ in range(DAYS * 40)]
    documents = pd.DataFrame({
        "source": "t", "doc_id": [str(number) for number in range(len(written))],
        "event_time": pd.to_datetime(written, utc=True).as_unit("us"), "kind": "post", "title": None,
        "text": [rng.choice(TEXTS) for _ in written], "url": None, "engagement": np.nan})
    documents["available_at"] = documents["event_time"] + pd.to_timedelta(
        [rng.choice([0, 60, 9000]) for _ in written], unit="s")
    days = pd.date_range(START - 3 * DAY, END, freq="D", unit="us")
    indicators = pd.concat([pd.DataFrame({
        "name": name, "event_time": days, "available_at": days + DAY + timedelta(minutes=5),
        "value": [rng.uniform(10, 90) for _ in days], "source": "t", "components": None})
        for name in ("fear_greed", "vix")])
    return {Kind.BARS: bars.drop(columns="revision"), Kind.DOCUMENTS: documents, Kind.INDICATORS: indicators}


def load(warehouse: Warehouse, frames: dict[Kind, pd.DataFrame]) -> None:
    for kind, frame in frames.items():
        facts.write(warehouse, kind, frame)
    sentiment_run.run(warehouse, Window(START, END))


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True), check_exact=True)


def full(warehouse: Warehouse, rules: Line) -> pd.DataFrame:
    return build(warehouse, rules, window=Window(START, END), as_of=END)


@pytest.fixture(scope="module")
def loaded(shared_warehouse: Warehouse) -> Warehouse:
    load(shared_warehouse, world())
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


def test_day_by_day_equals_all_at_once(loaded: Warehouse) -> None:
    for rules in (line(), line(groups=("time",)), line(groups=("returns",))):
        whole = full(loaded, rules)
        days = [build(loaded, rules, window=day, as_of=END) for day in Window(START, END).days()]
        assert_same(pd.concat(days).sort_values(["event_time", "symbol"]), whole)


def test_one_row_alone_equals_the_row_in_training(loaded: Warehouse) -> None:
    rules = line()
    whole = full(loaded, rules)
    for place in random.Random(5).sample(range(len(whole)), 6):
        row = whole.iloc[[place]]
        at = row["available_at"].iloc[0].to_pydatetime()
        alone = build(loaded, rules, window=Window(at, at + timedelta(microseconds=1)), as_of=at)
        mine = alone[alone["symbol"] == row["symbol"].iloc[0]]
        assert_same(mine[mine["event_time"] == row["event_time"].iloc[0]], row)


@pytest.mark.parametrize("cut", [START + 8.4 * DAY, START + 9 * DAY + 7 * HOUR, START + 11.77 * DAY])
def test_cutting_off_the_future_changes_nothing(loaded: Warehouse, new_database: object, tmp_path: object,
                                                cut: datetime) -> None:
    rules = line()
    whole = full(loaded, rules)
    past = Warehouse(new_database(), str(tmp_path))  # type: ignore[operator]
    try:
        load(past, {kind: known(frame, cut) for kind, frame in world().items()})
        assert_same(build(past, rules, window=Window(START, END), as_of=cut),
                    whole[whole["available_at"] <= pd.Timestamp(cut)])
    finally:
        past.close()
    # The same question to the warehouse that knows the future.
    assert_same(build(loaded, rules, window=Window(START, END), as_of=cut),
                whole[whole["available_at"] <= pd.Timestamp(cut)])


def test_a_partition_holds_what_became_available_in_it(loaded: Warehouse) -> None:
    window = Window(START + 9 * DAY, START + 10 * DAY)
    frame = build(loaded, line(groups=("time",)), window=window, as_of=END)
    assert frame["available_at"].between(pd.Timestamp(window.start), pd.Timestamp(window.end), inclusive="left").all()
    assert (frame["event_time"] == pd.Timestamp(window.start - HOUR)).any()  # the bar that closed at midnight
    bars = world()[Kind.BARS]
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


def test_only_the_lines_symbols(loaded: Warehouse) -> None:
    rules = line(groups=("returns", "time"), symbols=("ETHUSDT",))
    both = full(loaded, line(groups=("returns", "time")))
    assert_same(full(loaded, rules), both[both["symbol"] == "ETHUSDT"])


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
