"""Every group of the catalog built from a real warehouse: the same rows, bit for bit, in parts, alone, for one symbol
and with the future cut off."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.window import Window
from pipelines.features import build, catalog, feature_names
from pipelines.features.declare import Bars, Feature, Group, Rows
from pipelines.store import Warehouse
from tests.unit.features.world import DAY, ON_BARS, START, SYMBOLS, assert_same, everything, known, line, load

#: Days that are built, and a look-back before them.
BUILT = 3
ALIVE = BUILT + 2
DAYS = -(-catalog.lookback(catalog.select(ON_BARS)) // 24) + ALIVE
END = START + DAYS * DAY
CUT = END - 0.73 * DAY
FACTS = everything(DAYS, ALIVE)
#: Each group by itself, and a line of several.
LINES = {**{name: line(groups=(name,)) for name in ON_BARS}, "several": line(), "single features": line(groups=(
    "volatility.atr_14h", "sentiment.sentiment_mean_4h", "trend.rsi_14h", "volatility.parkinson_24h", "time.hour_sin"))}

each = pytest.mark.parametrize("rules", LINES.values(), ids=LINES)


@pytest.fixture(scope="module")
def loaded(shared_warehouse: Warehouse) -> Warehouse:
    load(shared_warehouse, FACTS)
    return shared_warehouse


@pytest.fixture(scope="module")
def past(postgres: object, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """What was there at ``CUT``, in a warehouse that has never heard of more."""
    from tests.conftest import _databases

    with _databases(postgres, template_database) as make:  # type: ignore[arg-type]
        store = Warehouse(make(), str(tmp_path_factory.mktemp("past")))
        load(store, {kind: known(frame, CUT) for kind, frame in FACTS.items()})
        yield store
        store.close()


def full(warehouse: Warehouse, rules: Line) -> pd.DataFrame:
    frame = build(warehouse, rules, window=Window(END - BUILT * DAY, END), as_of=END)
    assert len(frame) > 50
    return frame


def in_parts(warehouse: Warehouse, rules: Line) -> None:
    days = [build(warehouse, rules, window=day, as_of=END) for day in Window(END - BUILT * DAY, END).days()]
    assert_same(pd.concat(days).sort_values(["event_time", "symbol"]), full(warehouse, rules))


def alone(warehouse: Warehouse, rules: Line) -> None:
    whole = full(warehouse, rules)
    for place in random.Random(5).sample(range(len(whole)), 3):
        row = whole.iloc[[place]]
        at = row["available_at"].iloc[0].to_pydatetime()
        found = build(warehouse, rules, window=Window(at, at + timedelta(microseconds=1)), as_of=at)
        mine = (found["symbol"] == row["symbol"].iloc[0]) & (found["event_time"] == row["event_time"].iloc[0])
        assert_same(found[mine], row)


def of_one_symbol(warehouse: Warehouse, rules: Line) -> None:
    whole = full(warehouse, rules)
    own = rules.model_copy(update={"symbols": (SYMBOLS[1],)})
    assert_same(full(warehouse, own), whole[whole["symbol"] == SYMBOLS[1]])


def as_of_a_cut(warehouse: Warehouse, rules: Line) -> None:
    whole = full(warehouse, rules)
    assert_same(build(warehouse, rules, window=Window(END - BUILT * DAY, END), as_of=CUT),
                whole[whole["available_at"] <= pd.Timestamp(CUT)])


@each
def test_day_by_day_equals_all_at_once(loaded: Warehouse, rules: Line) -> None:
    in_parts(loaded, rules)


@each
def test_a_live_row_equals_the_row_in_training(loaded: Warehouse, rules: Line) -> None:
    alone(loaded, rules)


@each
def test_other_symbols_change_nothing(loaded: Warehouse, rules: Line) -> None:
    if any(group.across_symbols for group in catalog.of(rules)):
        with pytest.raises(AssertionError):
            of_one_symbol(loaded, rules)  # what is declared to look across symbols does
    else:
        of_one_symbol(loaded, rules)


@each
def test_cutting_off_the_future_changes_nothing(loaded: Warehouse, past: Warehouse, rules: Line) -> None:
    as_of_a_cut(loaded, rules)  # the question to a warehouse that knows the future, and to one that does not
    window = Window(END - BUILT * DAY, END)
    assert_same(build(past, rules, window=window, as_of=CUT), build(loaded, rules, window=window, as_of=CUT))


@each
def test_finite_and_as_declared(loaded: Warehouse, rules: Line) -> None:
    frame = full(loaded, rules)
    names = feature_names(frame)
    assert names == tuple(feature.name for feature in catalog.features(catalog.of(rules)))
    assert (frame[list(names)].dtypes == np.float64).all()
    assert np.isfinite(frame[list(names)].to_numpy()).all()


def test_a_line_of_single_features_has_their_columns_and_values(loaded: Warehouse) -> None:
    frame, whole = full(loaded, LINES["single features"]), full(loaded, LINES["several"])
    assert feature_names(frame) == ("atr_14h", "parkinson_24h", "sentiment_mean_4h", "rsi_14h", "hour_sin")
    # It waits for no bar of the week that it does not look at, so it has the rows of the other line, and more.
    both = whole.merge(frame, on=["symbol", "event_time", "available_at"], suffixes=("", "_single"))
    assert 50 < len(both) <= len(frame)
    for name in feature_names(frame):
        np.testing.assert_array_equal(both[name], both[f"{name}_single"])


class TestTheProofsHaveTeeth:
    """Groups with a mistake that only a build shows, each caught."""

    CHECKS: Mapping[str, Callable[[Warehouse, Line], None]] = {
        check.__name__: check for check in (in_parts, alone, of_one_symbol, as_of_a_cut)}

    def caught(self, warehouse: Warehouse, patch: pytest.MonkeyPatch, *, lookback: int = 0, **how: object) -> set[str]:
        group = Group("wrong", (Feature("f", ("close",), lookback, "1", "a wrong one", 0.0),
                                Feature("g", ("close",), lookback, "1", "the same", 0.0)), **how)  # type: ignore[arg-type]
        patch.setitem(catalog.GROUPS, "wrong", group)
        found = set()
        for name, check in self.CHECKS.items():
            try:
                check(warehouse, line(groups=("wrong",)))
            except AssertionError:
                found.add(name)
        return found

    def test_a_right_one_is_not(self, loaded: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
        def compute(rows: Rows) -> Mapping[str, FloatArray]:
            minutes = (rows.at - rows.opened) / 1e6
            return {"f": minutes, "g": minutes}

        assert self.caught(loaded, monkeypatch, from_rows=compute) == set()

    def test_a_row_that_depends_on_the_rows_beside_it(self, loaded: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
        def compute(rows: Rows) -> Mapping[str, FloatArray]:
            rank = np.argsort(np.argsort(rows.opened)).astype(np.float64)
            return {"f": rank, "g": rank}

        assert {"in_parts", "alone", "of_one_symbol"} <= self.caught(loaded, monkeypatch, from_rows=compute)

    def test_a_row_that_knows_when_it_is_computed(self, loaded: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
        def compute(rows: Rows) -> Mapping[str, FloatArray]:
            told = np.full(len(rows), rows.as_of.value / 1e18)
            return {"f": told, "g": told}

        assert {"in_parts", "alone", "as_of_a_cut"} <= self.caught(loaded, monkeypatch, from_rows=compute)

    def test_a_running_sum_over_bars(self, loaded: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
        def compute(bars: Bars) -> Mapping[str, FloatArray]:
            total = np.cumsum(np.nan_to_num(bars.close), axis=0)
            return {"f": total, "g": total}

        assert {"in_parts", "alone"} <= self.caught(loaded, monkeypatch, lookback=24, from_bars=compute)
