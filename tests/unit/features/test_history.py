"""Outcomes of trades: never a feature of their own trade, only the past of earlier ones as it was known."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from pipelines.config import ROOT
from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.errors import ConfigError
from pipelines.features import catalog, history
from pipelines.features.declare import OUTCOMES, Feature, Rows
from pipelines.features.groups.history import GROUP
from pipelines.store import facts


@pytest.mark.parametrize("column", ["closed_at", "exit_price", "profit_ratio", "exit_reason"])
@pytest.mark.parametrize("form", ["{}", "trades.{}"])
def test_a_feature_of_an_outcome_is_refused(column, form):
    with pytest.raises(ConfigError, match=rf"'f' is made of {column}, the outcome of a trade: .* closed_trades\."):
        Feature("f", ("close", form.format(column)), 0, "1", "wrong")


def test_nor_may_a_feature_bear_its_name():
    with pytest.raises(ConfigError, match="is made of profit_ratio"):
        Feature("profit_ratio", ("close",), 0, "1", "wrong")


def test_outcomes_are_columns_that_may_be_absent_and_the_catalog_uses_none():
    for schema in SCHEMAS.values():
        assert set(schema.outcomes) <= set(schema.values) - set(schema.required)
    assert {"closed_at", "exit_price", "profit_ratio", "exit_reason"} == OUTCOMES
    assert not {name for group in catalog.GROUPS.values() for feature in group.features
                for name in feature.inputs} & OUTCOMES


def test_feature_groups_read_trades_through_history_alone():
    readers = [path.name for path in (ROOT / "pipelines" / "features").rglob("*.py")
               if {"Kind.TRADES", "trade_log"} & set(re.findall(r"Kind\.TRADES|trade_log", path.read_text()))]
    assert sorted(readers) == ["declare.py", "history.py", "trades.py"]


def at(hour: float) -> pd.Timestamp:
    return pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(hours=hour)


def trade(number, opened, known, closed=None, profit=None, symbol="BTCUSDT"):
    return {"source": "bot", "trade_id": str(number), "event_time": at(opened), "available_at": at(known),
            "symbol": symbol, "side": "long", "entry_price": 1.0, "size": 1.0,
            "closed_at": pd.NaT if closed is None else at(closed), "exit_price": None if closed is None else 1.0,
            "profit_ratio": profit, "exit_reason": None}


@pytest.fixture
def rows(warehouse):
    log = [trade(1, 0, 0), trade(1, 0, 5, 5, 0.1), trade(1, 0, 9, 5, 0.3),  # corrected at 9
           trade(2, 2, 2), trade(2, 2, 8, 6, -0.2),                         # its log came late
           trade(3, 4, 4),                                                  # still open
           trade(4, 1, 1, symbol="ETHUSDT"), trade(4, 1, 3, 3, 0.5, symbol="ETHUSDT")]
    frame = pd.DataFrame(log).astype({"closed_at": "datetime64[us, UTC]", "exit_price": "float64",
                                      "profit_ratio": "float64"})
    facts.write(warehouse, Kind.TRADES, frame)
    hours = [4, 5, 7, 8, 9, 10]
    frame = pd.DataFrame([(symbol, at(hour), at(hour)) for hour in hours for symbol in ("BTCUSDT", "ETHUSDT")],
                         columns=["symbol", "event_time", "available_at"])
    return lambda until=99: (frame[frame["available_at"] <= at(until)].iloc[::-1], Rows.of(
        frame[frame["available_at"] <= at(until)].iloc[::-1], warehouse, at(until)))


def told(made):
    """(market, hour) → mean profit of the last trades of the market, and how many are open."""
    frame, wanted = made
    found = GROUP.from_rows(wanted)
    return {(row.symbol[:3], row.available_at.hour): (round(mean, 6), count) for row, mean, count in zip(
        frame.itertuples(), found["market_mean_profit_10"], found["log_open_trades"], strict=True)}


def test_history_is_what_was_known(rows):
    found = told(rows())
    assert {hour: found["ETH", hour][0] for hour in (4, 5, 10)} == {4: 0.5, 5: 0.5, 10: 0.5}
    assert np.isnan(found["BTC", 4][0])
    assert {hour: found["BTC", hour] for hour in (5, 7, 8, 9, 10)} == {
        5: (0.1, 2), 7: (0.1, 2), 8: (-0.05, 1), 9: (0.05, 1), 10: (0.05, 1)}


def test_cutting_off_the_future_changes_nothing(rows):
    full = told(rows())
    for until in (4, 5, 7, 8, 9):
        part = told(rows(until))
        assert str(part) == str({key: full[key] for key in part})


def test_versions_in_the_order_in_which_they_were_known(rows):
    _, wanted = rows()
    log = history.log(wanted, markets=["ETHUSDT"], sources=["other", "bot"])
    hour = (log["known"] - log["known"][0]) // 3_600_000_000
    assert list(zip(log["trade"], hour, log["over"], log["market"], log["source"], strict=True)) == [
        (1, 0, 0, -1, 1), (4, 1, 0, 0, 1), (2, 2, 0, -1, 1), (4, 3, 1, 0, 1), (3, 4, 0, -1, 1), (1, 5, 1, -1, 1),
        (2, 8, 1, -1, 1), (1, 9, 1, -1, 1)]
    assert log["profit"].tolist()[3:] == [0.5, pytest.approx(float("nan"), nan_ok=True), 0.1, -0.2, 0.3]
    assert np.isnan(log["profit"][:3]).all()
