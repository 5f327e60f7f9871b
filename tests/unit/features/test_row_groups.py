"""Sentiment and indicators: the latest that was public at the row's time, and a neutral value where nothing was."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.contracts.columns import Kind
from pipelines.features.declare import Rows
from pipelines.features.groups import indicators, sentiment
from pipelines.sentiment.hours import instant, microseconds
from pipelines.store import Warehouse, facts, tables
from pipelines.store.upsert import upsert
from tests.unit.features.world import DAY, HOUR, START


def rows(warehouse: Warehouse, *keys: tuple[str, datetime], as_of: datetime = START + 90 * DAY) -> Rows:
    at = pd.to_datetime([key[1] for key in keys], utc=True).as_unit("us")
    return Rows.of(pd.DataFrame({"symbol": [key[0] for key in keys], "event_time": at - HOUR, "available_at": at}),
                warehouse, pd.Timestamp(as_of))


def computed(group: object, wanted: Rows) -> pd.DataFrame:
    return pd.DataFrame(group.GROUP.from_rows(wanted))  # type: ignore[attr-defined]


class TestSentiment:
    @staticmethod
    def write(warehouse: Warehouse, *lines: tuple[str, str, float, int, float, int, int]) -> None:
        """(symbol, window, hours after START, documents, mean, bullish, bearish)"""
        at = pd.to_datetime([START + line[2] * HOUR for line in lines], utc=True).as_unit("us")
        with warehouse.begin() as connection:
            upsert(connection, tables.sentiment_aggregates, pd.DataFrame({
                "symbol": [line[0] for line in lines], "window": [line[1] for line in lines], "at": at,
                "available_at": at, "documents": [line[3] for line in lines],
                "mean": [line[4] for line in lines], "dispersion": 0.0, "bullish": [line[5] for line in lines],
                "bearish": [line[6] for line in lines], "neutral": 0}))

    def test_values(self, warehouse: Warehouse) -> None:
        self.write(warehouse, ("A", "1h", 10, 2, 0.5, 2, 0), ("A", "4h", 10, 8, 0.25, 5, 1),
                   ("A", "4h", 6, 1, -0.5, 0, 1), ("A", "1d", 10, 20, 0.1, 12, 4), ("*", "4h", 10, 30, 0.3, 9, 9),
                   ("B", "4h", 10, 1, -0.9, 0, 1),
                   ("A", "4h", 11, 99, -1.0, 0, 99))
        frame = computed(sentiment, rows(warehouse, ("A", START + 10 * HOUR), ("B", START + 10 * HOUR)))
        one = frame.iloc[0]
        assert one.to_dict() == pytest.approx({
            "sentiment_mean_1h": 0.5, "sentiment_mean_4h": 0.25, "sentiment_mean_1d": 0.1, "sentiment_net_4h": 0.5,
            "sentiment_change_4h": 0.75, "sentiment_bullish_share_1d": 0.6, "sentiment_documents_4h": np.log(9),
            "market_sentiment_mean_4h": 0.3})
        assert frame["sentiment_mean_4h"].iloc[1] == -0.9
        assert np.isnan(frame["sentiment_mean_1h"].iloc[1])
        assert frame["market_sentiment_mean_4h"].iloc[1] == 0.3

    @pytest.mark.parametrize(("minutes", "mean"), [(600, 0.25), (637, 0.25), (659, 0.25), (660, -1.0)])
    def test_a_row_reads_the_last_full_hour(self, warehouse: Warehouse, minutes: int, mean: float) -> None:
        self.write(warehouse, ("A", "4h", 10, 8, 0.25, 5, 1), ("A", "4h", 11, 99, -1.0, 0, 99))
        frame = computed(sentiment, rows(warehouse, ("A", START + timedelta(minutes=minutes))))
        assert frame["sentiment_mean_4h"].iloc[0] == mean

    @pytest.mark.parametrize(("minutes", "mean"), [(600, 0.1), (609.9, 0.1), (610, 0.2), (637, 0.3), (659, 0.1)])
    def test_a_row_reads_the_newest_ten_minutes(self, warehouse: Warehouse, minutes: float, mean: float) -> None:
        """Where they are missing (at 10:50 here) the full hour stands in: history has hours only."""
        self.write(warehouse, ("A", "4h", 10, 1, 0.1, 0, 0), ("A", "4h", 10 + 1 / 6, 1, 0.2, 0, 0),
                   ("A", "4h", 10.5, 1, 0.3, 0, 0), ("A", "4h", 11, 1, 0.9, 0, 0), ("A", "4h", 6, 1, -0.5, 0, 0))
        frame = computed(sentiment, rows(warehouse, ("A", START + timedelta(minutes=minutes))))
        assert frame["sentiment_mean_4h"].iloc[0] == mean
        assert frame["sentiment_change_4h"].iloc[0] == pytest.approx(mean + 0.5)

    def test_silence_is_not_zero_yet(self, warehouse: Warehouse) -> None:
        """The group says NaN; the catalog's neutral value is applied to it by the matrix."""
        self.write(warehouse, ("A", "4h", 10, 0, np.nan, 0, 0), ("A", "1d", 10, 0, np.nan, 0, 0))
        frame = computed(sentiment, rows(warehouse, ("A", START + 10 * HOUR)))
        assert frame["sentiment_documents_4h"].iloc[0] == 0
        assert frame.drop(columns="sentiment_documents_4h").isna().all(axis=None)

    def test_no_rows(self, warehouse: Warehouse) -> None:
        assert computed(sentiment, rows(warehouse)).shape == (0, len(sentiment.GROUP.features))


def versions(*lines: tuple[float, float, float]) -> pd.DataFrame:
    """(day of the index, hours after START when published, value)"""
    days = pd.to_datetime([START + line[0] * DAY for line in lines], utc=True).as_unit("us")
    return pd.DataFrame({
        "name": "fear_greed", "event_time": days,
        "available_at": pd.to_datetime([START + line[1] * HOUR for line in lines], utc=True).as_unit("us"),
        "value": [float(line[2]) for line in lines], "source": "t", "components": None,
        "revision": range(len(lines))})


class TestIndicators:
    @pytest.mark.parametrize(("lines", "hour", "value"), [
        ([(0, 24, 40)], 23.99, None),
        ([(0, 24, 40)], 24, 40),
        ([(0, 24, 40), (1, 48, 60)], 47, 40),
        ([(0, 24, 40), (1, 48, 60)], 48, 60),
        ([(0, 24, 40), (0, 30, 45)], 29, 40),  # a revision
        ([(0, 24, 40), (0, 30, 45)], 30, 45),
        ([(0, 24, 40), (1, 48, 60), (0, 50, 45)], 51, 60),  # of an old day: hides nothing
        ([(1, 48, 60), (0, 50, 45)], 49, 60),
        ([(1, 48, 60), (0, 50, 45)], 60, 60),
        ([(0, 24, 40)], 7 * 24, 40),
        ([(0, 24, 40)], 7 * 24 + 0.01, None),  # silent for more than a week
        ([], 100, None),
    ])
    def test_latest(self, lines: list[tuple[float, float, float]], hour: float, value: float | None) -> None:
        at = np.array([instant(START + hour * HOUR)], dtype=np.int64)
        told = versions(*lines)
        found = indicators.latest(microseconds(told["event_time"]), microseconds(told["available_at"]),
                                  told["value"].to_numpy(dtype=np.float64), at)[0]
        assert np.isnan(found) if value is None else found == value

    def test_values(self, warehouse: Warehouse) -> None:
        index = versions((0, 24, 40), (1, 48, 75))
        vix = versions((0, 24, 20), (1, 48, 40)).assign(name="vix")
        bad = versions((0, 24, 0)).assign(name="put_call")  # no logarithm: as good as missing
        facts.write(warehouse, Kind.INDICATORS, pd.concat([index, vix, bad]).drop(columns="revision"))
        frame = computed(indicators, rows(warehouse, ("A", START + 60 * HOUR), ("B", START + 60 * HOUR),
                                          ("A", START + 30 * HOUR)))
        assert frame.iloc[0].equals(frame.iloc[1])
        one = frame.iloc[0]
        assert one["fear_greed"] == 0.5
        assert one["fear_greed_change_1d"] == pytest.approx(0.7)
        assert one["vix"] == pytest.approx(np.log(2))
        assert one["vix_change_1d"] == pytest.approx(np.log(2))
        assert (one["fear_greed_missing"], one["vix_missing"], one["put_call_missing"]) == (0, 0, 1)
        early = frame.iloc[2]
        assert early["fear_greed"] == -0.2
        assert np.isnan(early["fear_greed_change_1d"])

    def test_nothing_published_and_no_rows(self, warehouse: Warehouse) -> None:
        frame = computed(indicators, rows(warehouse, ("A", START)))
        assert frame[[f"{item.name}_missing" for item in indicators.INDICATORS]].eq(1).all(axis=None)
        assert computed(indicators, rows(warehouse)).shape == (0, len(indicators.GROUP.features))
