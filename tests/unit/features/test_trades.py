"""Rows of trades: what was known at each entry, the outcome when it was known, and logs that say too little."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS, Kind
from pipelines.contracts.line import Line
from pipelines.errors import ConfigError, InsufficientData
from pipelines.features import NAIVE, catalog, feature_names, snapshot, trades
from pipelines.features.declare import Rows
from pipelines.features.groups import history
from pipelines.store import Warehouse, facts
from tests.unit.features.world import DAY, HOUR, START, clean, dirty, known

T = pd.Timestamp(START)


def make_line(groups: tuple[str, ...] = ("returns", "history"), longest: int | None = 24, **target: object) -> Line:
    return Line.model_validate({
        "name": "wins", "title": "Wins", "target": {"kind": "trade_win", **target},
        "features": {"groups": groups, "longest_bars": longest},
        "walk_forward": {"scheme": "expanding", "train_days": 6, "test_days": 2, "search_folds": 2, "evidence_days": 4},
        "search": {"families": ["logistic_regression"], "trials": 1},
        "gate": {"shadow": {"when": "never"}, "rollback": {"watch_days": 0}}, "retrain": {"on": []}})


def trade(number: int, opened: float, closed: float | None, profit: float | None, *, symbol: str = "AUSDT",
          at: float | None = None, source: str = "bot") -> dict[str, object]:
    """Hours since the start; ``at``: when this version became available (its closing if left out)."""
    moments = [None if hour is None else T + pd.Timedelta(hours=hour) for hour in (
        opened, closed, at if at is not None else closed if closed is not None else opened)]
    return {"source": source, "trade_id": str(number), "event_time": moments[0], "available_at": moments[2],
            "symbol": symbol, "side": "long", "entry_price": 1.0, "size": 1.0, "closed_at": moments[1],
            "exit_price": None if closed is None else 1.0, "profit_ratio": profit, "exit_reason": None}


def log(*rows: dict[str, object]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows)).astype({"exit_price": "float64", "profit_ratio": "float64"})
    for name in ("event_time", "available_at", "closed_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    return frame


def many(count: int, seed: int = 0, *, symbols: tuple[str, ...] = ("AUSDT", "BUSDT"),
         hours: int = 20 * 24) -> pd.DataFrame:
    """Opening and closing versions of trades that last 1 to 40 hours; one of ten outcomes is corrected later."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, (begun, symbol) in enumerate(sorted({
            (int(hour), str(symbol)) for hour, symbol in zip(
                rng.integers(30, hours - 60, count), rng.choice(symbols, count), strict=True)})):
        lasts, made = int(rng.integers(1, 40)), rng.normal(0, 0.02)
        rows += [trade(number, begun, None, None, symbol=symbol),
                 trade(number, begun, begun + lasts, made, symbol=symbol)]
        if rng.random() < 0.1:
            rows.append(trade(number, begun, begun + lasts, -made, symbol=symbol, at=begun + lasts + 5))
    return log(*rows)


def fill(warehouse: Warehouse, bars: pd.DataFrame, found: pd.DataFrame) -> None:
    facts.write(warehouse, Kind.BARS, bars.drop(columns="revision"))
    facts.write(warehouse, Kind.TRADES, found)


def entries(found: pd.DataFrame) -> pd.DataFrame:
    return trades.labels(found)


class TestLabels:
    def test_a_win_is_a_profit_after_fees_known_at_the_closing_or_later(self) -> None:
        found = trades.labels(log(
            trade(1, 30, 35, 0.1), trade(2, 30, 40, -0.1, symbol="B"), trade(3, 31, 33, 0.0),
            trade(4, 32, 34, 0.2, at=50),  # its log came late
            # Open, unknown, and no time to decide.
            trade(5, 33, None, None), trade(6, 34, 36, None), trade(7, 35, 35, 0.3)))
        hours = ((found["label_end"] - T) / HOUR).tolist()
        assert found["y"].tolist() == [1, 0, 0, 1]
        assert hours == [35, 40, 33, 50]
        assert found["forward_return"].tolist() == [0.1, -0.1, 0.0, 0.2]
        assert list(found.columns) == ["symbol", "event_time", *LABEL_COLUMNS, "source"]

    def test_an_outcome_counts_as_it_was_first_given(self) -> None:
        found = trades.labels(log(trade(1, 30, None, None), trade(1, 30, 35, 0.1), trade(1, 30, 35, -0.1, at=40)))
        assert found[["y", "forward_return"]].to_numpy().tolist() == [[1, 0.1]]

    def test_of_two_trades_of_one_instant_the_one_that_was_known_first_is_the_row(self) -> None:
        found = trades.labels(log(trade(1, 30, 40, 0.1), trade(2, 30, 35, -0.1), trade(3, 30, 34, 0.3, symbol="B")))
        assert found[["symbol", "y"]].to_numpy().tolist() == [["AUSDT", 0], ["B", 1]]

    @given(st.integers(0, 500), st.integers(40, 300))
    @settings(max_examples=20)
    def test_what_comes_later_changes_no_label_known_before(self, seed: int, hour: int) -> None:
        found, cut = many(60, seed, hours=300), T + hour * pd.Timedelta(hours=1)
        whole = trades.labels(found)
        part = trades.labels(known(found, cut))
        pd.testing.assert_frame_equal(part, whole[whole["label_end"] <= cut].reset_index(drop=True))


class TestRows:
    def test_the_features_end_with_the_bar_before_the_entry(self, warehouse: Warehouse) -> None:
        bars = clean(60, ("AUSDT",))
        fill(warehouse, bars, log(trade(1, 30, 35, 0.1), trade(2, 40, 41, 0.1)))
        line, as_of = make_line(("returns", "time")), START + 3 * DAY
        found = trades.features(warehouse, line, entries(log(trade(1, 30, 35, 0.1))), as_of)
        close = bars["close"].to_numpy()
        assert found["return_1h"].tolist() == pytest.approx([np.log(close[29] / close[28])])
        assert found["available_at"].tolist() == found["event_time"].tolist() == [T + 30 * HOUR]
        assert found["hour_sin"].iloc[0] == pytest.approx(np.sin(2 * np.pi * 6 / 24))  # the hour of the entry
        # What the candle of the entry, and every later one, turned out to be changes nothing.
        later = bars[bars["event_time"] >= T + 30 * HOUR].assign(
            close=lambda rows: rows["close"] * 3, available_at=lambda rows: rows["available_at"] + HOUR)
        facts.write(warehouse, Kind.BARS, later.drop(columns="revision"))
        again = trades.features(warehouse, line, entries(log(trade(1, 30, 35, 0.1))), as_of)
        pd.testing.assert_frame_equal(found, again, check_exact=True)

    def test_a_late_bar_is_not_waited_for_and_old_ones_are_no_news(self, warehouse: Warehouse) -> None:
        bars = clean(60, ("AUSDT",))
        bars.loc[29, "available_at"] += timedelta(minutes=30)
        bars = bars.drop(index=range(40, 48))
        fill(warehouse, bars, log(trade(1, 30, 35, 0.1)))
        asked = entries(log(trade(1, 30, 35, 0.1), trade(2, 46, 49, 0.1), trade(3, 47, 49, 0.1), trade(4, 20, 29, 0.1)))
        found = trades.features(warehouse, make_line(("returns",)), asked, START + 3 * DAY)
        close = bars.set_index("event_time")["close"]
        # Bar 29 came at 30:30, so the entry at 30:00 knew bar 28. The one at 46:00 is 6 hours after bar 39 closed, the
        # one at 47:00 later; the one at 20:00 has no day of bars behind it.
        assert ((found["event_time"] - T) / HOUR).tolist() == [30, 46]
        assert found["return_1h"].tolist() == pytest.approx(
            [np.log(close[T + bar * HOUR] / close[T + (bar - 1) * HOUR]) for bar in (28, 39)])

    def test_no_bars_no_rows(self, warehouse: Warehouse) -> None:
        found = trades.features(warehouse, make_line(), entries(log(trade(1, 30, 35, 0.1))), START + 3 * DAY)
        assert found.empty
        assert list(found.columns) == [*FEATURE_META, *(feature.name for feature in catalog.features(
            catalog.of(make_line()))), "source"]

    @pytest.mark.parametrize("seed", [1, 2])
    def test_an_entry_alone_known_only_then_has_the_features_it_has_among_all(self, warehouse: Warehouse,
                                                                              seed: int) -> None:
        found = many(60, seed, hours=300)
        fill(warehouse, dirty(300, seed=seed, rate=0.03), found)
        line, told = make_line(("returns", "volatility", "time", "history")), entries(found)
        whole = trades.features(warehouse, line, told, START + 20 * DAY)
        assert len(whole) > 30
        for place in np.random.default_rng(seed).choice(len(whole), 6, replace=False):
            row = whole.iloc[[place]].reset_index(drop=True)
            asked = row[["symbol", "event_time", "source"]]
            alone = trades.features(warehouse, line, asked, row["event_time"].iloc[0].to_pydatetime())
            pd.testing.assert_frame_equal(alone, row, check_exact=True)


def told(warehouse: Warehouse, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """The history group of rows of a frame."""
    compute = history.GROUP.from_rows
    assert compute is not None
    return dict(compute(Rows.of(frame, warehouse, T + 99 * DAY)))


class TestHistory:
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_it_is_what_a_loop_over_the_known_trades_says(self, warehouse: Warehouse, seed: int) -> None:
        found = many(150, seed, hours=400)
        facts.write(warehouse, Kind.TRADES, found)
        frame = entries(found).assign(available_at=lambda rows: rows["event_time"])
        values = told(warehouse, frame)
        for place, row in enumerate(frame.itertuples()):
            np.testing.assert_allclose([values[name][place] for name in history.NAMES],
                                       _by_hand(found, row.event_time, row.symbol), rtol=0, atol=1e-12)

    def test_figures_by_hand(self, warehouse: Warehouse) -> None:
        # Two known wins and a loss, the row's own trade, one open since 1:00, one that closes later, another log.
        found = log(trade(1, 1, 5, 0.2), trade(2, 2, 6, -0.3), trade(3, 3, 7, 0.1, symbol="B"), trade(4, 1, None, None),
                    trade(5, 4, None, None), trade(5, 4, 30, 0.5), trade(6, 8, None, None),
                    trade(7, 1, 7, 9.9, source="other"))
        facts.write(warehouse, Kind.TRADES, found)
        frame = pd.DataFrame({"symbol": ["AUSDT"], "event_time": [T + 8 * HOUR], "available_at": [T + 8 * HOUR],
                              "source": ["bot"]})
        assert {name: value.tolist()[0] for name, value in told(warehouse, frame).items()} == pytest.approx({
            "log_win_rate_10": 2 / 3, "log_mean_profit_10": 0.0, "market_win_rate_10": 0.5,
            "market_mean_profit_10": -0.05, "log_drawdown_100": 0.2, "log_open_trades": 2.0})
        # A row of a bar belongs to no log: it sees all of them.
        assert told(warehouse, frame.drop(columns="source"))["log_win_rate_10"].tolist() == [0.75]


def _by_hand(found: pd.DataFrame, at: pd.Timestamp, symbol: str) -> list[float]:
    seen = found[found[["available_at", "closed_at"]].max(axis=1) <= at].groupby("trade_id", sort=False).tail(1)
    # Trades that close together stand in the order of their names.
    closed = seen[seen["closed_at"].notna()].assign(key=lambda rows: "bot\n" + rows["trade_id"]).sort_values(
        ["closed_at", "key"])
    mine = closed[closed["symbol"] == symbol]
    parts: list[float] = []
    for rows in (closed, mine):
        last = rows["profit_ratio"].tail(10)
        parts += [(last > 0).mean(), last.mean()] if len(last) else [np.nan, np.nan]
    peak = level = drawdown = 0.0
    for profit in closed["profit_ratio"].tail(100):
        level += profit
        peak = max(peak, level)
        drawdown = peak - level
    openings = seen[seen["closed_at"].isna() & (seen["event_time"] < at)]
    return [*parts, drawdown if len(closed) else np.nan, float(len(openings))]


class TestTraining:
    AS_OF = START + 20 * DAY

    def test_a_frame_for_training(self, warehouse: Warehouse) -> None:
        fill(warehouse, clean(20 * 24), many(420))
        line = make_line()
        window, frame = snapshot.matrix(warehouse, line, self.AS_OF)
        assert (window.start, window.end) == (self.AS_OF - 14 * DAY, self.AS_OF)
        assert list(frame.columns) == [*FEATURE_META, *feature_names(frame), *LABEL_COLUMNS, NAIVE[0]]
        assert len(frame) >= trades.FEWEST
        assert not frame[list(feature_names(frame))].isna().any(axis=None)
        assert (frame["label_end"] > frame["available_at"]).all()
        row = frame.iloc[-1]
        earlier = frame[(frame["symbol"] == row["symbol"]) & (frame["label_end"] <= row["available_at"])]
        assert row[NAIVE[0]] == earlier.sort_values("label_end")["y"].iloc[-1]

    def test_47_trades(self, warehouse: Warehouse) -> None:
        found = log(*(trade(number, 200 + 4 * number, 203 + 4 * number, (-1) ** number) for number in range(47)))
        fill(warehouse, clean(20 * 24), found)
        with pytest.raises(InsufficientData) as refused:
            snapshot.training(warehouse, make_line(), self.AS_OF)
        assert str(refused.value) == (
            "wins: of the trades opened between 2024-03-07 and 2024-03-21 47 are closed (their win rate is known to 15 "
            "points either way), and at least 200 are needed to learn anything from them; load a longer log, or raise "
            "[walk_forward] train_days (it reads 14 days now)")

    @pytest.mark.parametrize(("profit", "kind"), [(0.01, "lost"), (-0.01, "won")])
    def test_a_single_class(self, warehouse: Warehouse, profit: float, kind: str) -> None:
        found = log(*(trade(number, 200 + number, 203 + number, profit) for number in range(240)))
        fill(warehouse, clean(20 * 24), found)
        with pytest.raises(InsufficientData) as refused:
            snapshot.training(warehouse, make_line(), self.AS_OF)
        assert str(refused.value) == (
            f"wins: of the trades opened between 2024-03-07 and 2024-03-21 0 of 240 were {kind}, and at least 30 of "
            "each outcome are needed: there is nothing to tell apart; check the sign and unit of profit_ratio, or load "
            "a log with both")

    def test_two_thirds_of_zeros(self, warehouse: Warehouse) -> None:
        found = log(*(trade(number, 200 + number, 203 + number, (0.0, 0.0, 0.1, 0.0, 0.0, -0.1)[number % 6])
                      for number in range(240)))
        fill(warehouse, clean(20 * 24), found)
        with pytest.raises(InsufficientData) as refused:
            snapshot.training(warehouse, make_line(), self.AS_OF)
        assert str(refused.value) == (
            "wins: of the trades opened between 2024-03-07 and 2024-03-21 160 of 240 (67%) have a profit of exactly 0, "
            "which no trade that paid its fees has; map profit_ratio to the profit after fees in source.toml and load "
            "the log again")

    def test_no_trades_and_no_bars(self, warehouse: Warehouse) -> None:
        with pytest.raises(InsufficientData, match=r"0 are closed \(none\), and at least 200 are needed"):
            snapshot.training(warehouse, make_line(), self.AS_OF)
        facts.write(warehouse, Kind.TRADES, many(420))
        with pytest.raises(InsufficientData, match=r"only 0 of \d+ have bars before their entry, .* --kind bars"):
            snapshot.training(warehouse, make_line(), self.AS_OF)

    def test_logs_and_markets_can_be_chosen(self, warehouse: Warehouse) -> None:
        fill(warehouse, clean(60), log(trade(1, 30, 35, 0.1), trade(2, 31, 35, 0.1, source="other"),
                                       trade(3, 32, 35, 0.1, symbol="BUSDT")))
        window = trades.window_of(make_line(), START + 3 * DAY)
        def names(line: Line) -> list[str]:
            return trades.read(warehouse, line, window, window.end)["trade_id"].tolist()
        assert sorted(names(make_line())) == ["1", "2", "3"]
        assert names(make_line(sources=["other"])) == ["2"]
        assert names(make_line().model_copy(update={"symbols": ("BUSDT",)})) == ["3"]


def test_features_that_look_back_too_far_are_left_out() -> None:
    names = [feature.name for feature in catalog.features(catalog.of(make_line(("trend",))))]
    assert names == ["sma_distance_24h", "rsi_14h", "bollinger_z_20h"]
    with pytest.raises(ConfigError, match=r"every feature of wins looks back over more than features.longest_bars = 5"):
        catalog.of(make_line(("trend",), 5))
    with pytest.raises(ConfigError, match="names words; its rows are trades: choose from returns, trend"):
        catalog.of(make_line(("words",)))
