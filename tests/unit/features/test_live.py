"""A live row is the row that a build gives, bit for bit, whatever the bars are like when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError, ContractError
from pipelines.features import build, catalog, live
from pipelines.features.declare import Bars, Feature, Group
from pipelines.store import Warehouse, asof, facts
from tests.unit.features.test_texts import make_line
from tests.unit.features.world import (
    DAY,
    HOUR,
    ON_BARS,
    PRICES,
    START,
    SYMBOLS,
    assert_same,
    clean,
    dirty,
    everything,
    line,
    load,
)

ALIVE = 5
DAYS = -(-catalog.lookback(catalog.select(ON_BARS)) // 24) + ALIVE
END = START + DAYS * DAY
_US = timedelta(microseconds=1)
LINES = {**{name: line(groups=(name,)) for name in ON_BARS}, "everything": line(groups=ON_BARS), "single": line(
    groups=("volatility.atr_14h", "time.hour_sin"), symbols=SYMBOLS)}


@pytest.fixture(scope="module")
def loaded(shared_warehouse: Warehouse) -> Warehouse:
    frames = everything(DAYS, ALIVE)
    # The last days are dirtier: bars of all ages are missing, late or revised when a row is asked for.
    bars = frames[Kind.BARS]
    late = dirty(DAYS * 24, SYMBOLS, seed=3, rate=0.02).drop(columns="revision")
    frames[Kind.BARS] = pd.concat([bars[bars["event_time"] < END - 2 * DAY], late[late["event_time"] >= END - 2 * DAY]])
    load(shared_warehouse, frames)
    return shared_warehouse


def built(warehouse: Warehouse, rules: Line, symbol: str, at: datetime) -> pd.DataFrame:
    """The row of the newest bar that is there, if there is one."""
    bars = asof.read(warehouse, Kind.BARS, as_of=at, start=at - live.MAX_AGE, symbols=[symbol])
    frame = build(warehouse, rules, window=Window(at - 2 * DAY, at + _US), as_of=at)
    return frame[(frame["symbol"] == symbol) & (frame["event_time"] == bars["event_time"].max())]


@pytest.mark.parametrize("rules", LINES.values(), ids=LINES)
def test_equals_the_built_row(loaded: Warehouse, rules: Line) -> None:
    rows = live.LiveRows(loaded, rules)
    found = 0

    @given(st.integers(0, 30 * 60), st.sampled_from(SYMBOLS))
    @settings(max_examples=4, derandomize=True, database=None)
    def holds(minutes: int, symbol: str) -> None:
        nonlocal found
        at = END - timedelta(minutes=minutes)
        row, expected = rows.row(symbol, at), built(loaded, rules, symbol, at)
        if row is None:
            assert expected.empty
        else:
            found += 1
            assert_same(row.frame(), expected)

    holds()
    assert found


def bars_only(warehouse: Warehouse, frame: pd.DataFrame) -> live.LiveRows:
    facts.write(warehouse, Kind.BARS, frame.drop(columns="revision"))
    return live.LiveRows(warehouse, line(groups=("returns.return_4h", "returns.volume_ratio_24h")))


NOON = START + 36 * HOUR


def test_what_is_stored_late_is_seen_by_the_next_call(warehouse: Warehouse) -> None:
    frame = clean(40, ("AUSDT",))
    rows = bars_only(warehouse, frame)
    first = rows.row("AUSDT", NOON)
    assert first is not None
    assert (first.event_time, first.available_at) == (NOON - HOUR, NOON)
    again = frame.iloc[[31]].assign(close=1e4, high=1e4, available_at=NOON - HOUR / 2)
    facts.write(warehouse, Kind.BARS, again.drop(columns="revision"))
    second = rows.row("AUSDT", NOON)
    assert second is not None
    assert second.values[0] == pytest.approx(first.values[0] + np.log(frame["close"][31] / 1e4))
    # What is corrected after the row was decided does not change it, whenever it is asked for.
    after = frame.iloc[[31]].assign(close=2e4, high=2e4, available_at=NOON + HOUR / 6)
    facts.write(warehouse, Kind.BARS, after.drop(columns="revision"))
    third = rows.row("AUSDT", NOON + HOUR / 2)
    assert third is not None
    assert third.values.tobytes() == second.values.tobytes()


def test_there_is_no_row_yet_while_it_waits_and_none_of_a_silent_symbol(warehouse: Warehouse) -> None:
    frame = clean(40, ("AUSDT",))
    frame.loc[33, "available_at"] = NOON + HOUR / 4  # of the look-back, late
    rows = bars_only(warehouse, frame)
    assert rows.row("AUSDT", NOON) is None
    found = rows.row("AUSDT", NOON + HOUR / 4)
    assert found is not None
    assert found.available_at == NOON + HOUR / 4
    assert rows.row("BUSDT", NOON) is None
    last = START + 40 * HOUR
    assert rows.row("AUSDT", last - HOUR + live.MAX_AGE) is not None
    assert rows.row("AUSDT", last - HOUR + live.MAX_AGE + _US) is None
    assert rows.row("AUSDT", START + 3 * HOUR) is None  # its look-back is not there


def test_a_look_across_symbols_sees_them_all(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def compute(bars: Bars) -> Mapping[str, FloatArray]:
        total = np.where(np.isnan(bars.close), 0.0, bars.close).sum(axis=1, keepdims=True)
        return {"f": np.broadcast_to(total, bars.close.shape)}

    monkeypatch.setitem(catalog.GROUPS, "sum", Group("sum", (Feature("f", ("close",), 0, "1", "sum of c"),),
                                                     from_bars=compute, across_symbols=True))
    frame = clean(40, ("AUSDT", "BUSDT", "CUSDT"))
    facts.write(warehouse, Kind.BARS, frame.drop(columns="revision"))
    closes = frame.set_index(["event_time", "symbol"])["close"][pd.Timestamp(NOON - HOUR)]
    for symbols, expected in (((), closes.sum()), (("AUSDT", "CUSDT"), closes["AUSDT"] + closes["CUSDT"])):
        found = live.row(warehouse, line(groups=("sum",), symbols=symbols), "CUSDT", NOON)
        assert found is not None
        assert found.values.tolist() == [pytest.approx(expected)]


def test_refusals(warehouse: Warehouse) -> None:
    with pytest.raises(ConfigError, match="no bars to build a live row of"):
        live.LiveRows(warehouse, make_line())
    frame = clean(40, ("AUSDT",))
    frame["event_time"] += pd.Timedelta(minutes=7)
    frame["available_at"] += pd.Timedelta(minutes=7)
    with pytest.raises(ContractError, match="AUSDT does not open on a full hour"):
        bars_only(warehouse, frame).row("AUSDT", NOON)


def test_the_bars_are_those_that_everybody_reads(warehouse: Warehouse) -> None:
    frame = dirty(60, ("AUSDT", "BUSDT"), rate=0.3)
    facts.write(warehouse, Kind.BARS, frame.drop(columns="revision"))
    at, start = START + 41.3 * HOUR, START + 9 * HOUR
    with warehouse.begin() as connection:
        found = asof.series(connection, Kind.BARS, ["BUSDT", "nobody", "AUSDT"], interval="1h", start=start, as_of=at)
        assert not len(asof.series(connection, Kind.BARS, ["nobody"], interval="1h", start=start, as_of=at))
    expected = asof.read(warehouse, Kind.BARS, as_of=at, start=start, revisions="all").sort_values(
        ["available_at", "revision"], kind="stable")
    ours = pd.DataFrame({name: found[name] for name in ("event_time", "available_at", "revision", *PRICES)})
    ours["symbol"] = np.array(["BUSDT", "nobody", "AUSDT"])[found["place"]]
    for name in ("event_time", "available_at"):
        ours[name] = pd.to_datetime(ours[name], unit="us", utc=True).dt.as_unit("us")
    key = ["symbol", "event_time", "available_at", "revision"]
    pd.testing.assert_frame_equal(
        ours.sort_values(key, ignore_index=True)[[*key, *PRICES]],
        expected.sort_values(key, ignore_index=True)[[*key, *PRICES]], check_exact=True, check_dtype=False)
    assert (np.diff(found["available_at"]) >= 0).all()
