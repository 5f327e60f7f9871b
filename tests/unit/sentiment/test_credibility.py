"""Sources are believed as far as they were right, and as that was known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contracts.window import Window
from pipelines.sentiment import credibility, weights
from pipelines.sentiment.credibility import HISTORY_DAYS, MATURE_DAYS, SHARE

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def bars(closes: list[float], symbol: str = "A", late: dict[int, float] | None = None) -> pd.DataFrame:
    """Hourly closes from day 0 on, each known at its close, or ``late``: bar → hours after its open."""
    opened = pd.DatetimeIndex([EPOCH + hour * HOUR for hour in range(len(closes))]).as_unit("us")
    known = pd.DatetimeIndex([EPOCH + (hour + (late or {}).get(hour, 1)) * HOUR for hour in range(len(closes))])
    return pd.DataFrame({"symbol": symbol, "event_time": opened, "available_at": known.as_unit("us"), "close": closes})


def mentions(*rows: tuple[str, str, float, str]) -> pd.DataFrame:
    """(source, symbol, hours after day 0, label)"""
    return pd.DataFrame({
        "source": pd.Series([row[0] for row in rows], dtype=object), "symbol": [row[1] for row in rows],
        "available_at": pd.to_datetime([EPOCH + row[2] * HOUR for row in rows], utc=True).as_unit("us"),
        "label": [row[3] for row in rows]})


RISING = [100.0 + hour for hour in range(96)]


def test_all_mentions_of_a_day_and_symbol_are_one_observation() -> None:
    falling = bars([200.0 - hour for hour in range(96)], "B")
    told = mentions(*[("s", "A", 2 + number / 10, "bullish") for number in range(3)], ("s", "A", 5, "bearish"),
                    ("s", "B", 5, "bullish"), ("s", "A", 6, "neutral"), ("s", "A", 30, "bullish"),
                    ("t", "A", 30, "bearish"), ("t", "C", 30, "bearish"))
    found = credibility.observations(told, pd.concat([bars(RISING), falling]))
    assert found.to_numpy().tolist() == [["s", 0, 2, 750], ["s", 1, 1, 1000], ["t", 1, 1, 0]]


@pytest.mark.parametrize(("hour", "closes", "n"), [
    (0.5, RISING, 0),               # no bar is known yet
    (1.0, RISING, 1),               # the first one is, at its close
    (2.0, RISING[:2], 0),           # nothing came later
    (2.0, [1.0] * 96, 0),           # the price did not move
])
def test_where_there_is_no_return_nothing_is_observed(hour: float, closes: list[float], n: int) -> None:
    found = credibility.observations(mentions(("s", "A", hour, "bullish")), bars(closes))
    assert found["n"].sum() == n


def test_a_late_old_bar_is_not_the_last_close() -> None:
    closes = [100.0] * 48
    closes[3] = 500.0
    closes[26] = 90.0  # the last one known 24 hours after hour 3.5 is bar 26
    late = {3: 10.0}
    told = mentions(("s", "A", 3.5, "bearish"))
    assert credibility.observations(told, bars(closes, late=late))["hits"].tolist() == [SHARE]
    told = mentions(("s", "A", 13.5, "bullish"))  # bar 3 has come in, bars 4 to 12 are newer
    closes[36] = 110.0
    assert credibility.observations(told, bars(closes, late=late))["hits"].tolist() == [SHARE]


@pytest.mark.parametrize(("n", "share", "kind", "weight"), [
    (0, 0.0, "news", 100), (0, 0.0, "post", 60), (100, 0.5, "news", 100),
    (100, 0.75, "news", 125),       # p = (50 + 75) / 200 = 0.625
    (100, 0.25, "news", 75), (100, 0.75, "post", 75),
    (10, 1.0, "news", 109),         # p = 60 / 110: ten lucky days are not much
    (9000, 1.0, "news", 199), (9000, 0.0, "post", 25), (9000, 0.0, "news", 25)])
def test_weights(n: int, share: float, kind: str, weight: int) -> None:
    seen = pd.DataFrame({"source": ["s"], "day": [98], "n": [n], "hits": [round(n * share * SHARE)]})
    rows = credibility.table(seen, [("s", kind)], 100, 101)
    assert rows[["weight", "n"]].to_numpy().tolist() == [[weight, n]]


def test_a_day_counts_from_two_midnights_later_for_ninety_days() -> None:
    seen = pd.DataFrame({"source": ["s"], "day": [50], "n": [3], "hits": [3000]})
    rows = credibility.table(seen, [("s", "post")], 45, 150).set_index("day")["n"]
    assert rows[rows == 3].index.tolist() == list(range(50 + MATURE_DAYS, 50 + MATURE_DAYS + HISTORY_DAYS))


@pytest.mark.parametrize(("source", "kind", "weight"), [
    ("reddit", "post", 0.6), ("x-cashtags", "post", 0.5), ("coindesk", "news", 1.0), ("blog", "post", 0.6),
    ("blog", "essay", credibility.OTHER)])
def test_priors_go_by_name_then_by_kind(source: str, kind: str, weight: float) -> None:
    assert credibility.prior_of(source, kind) == weight


SEEN = st.lists(st.tuples(st.sampled_from(["s", "t"]), st.integers(0, 140), st.integers(1, 5), st.integers(0, 5000)),
                max_size=60)


@given(SEEN, st.integers(101, 139))
@settings(max_examples=30)
def test_any_cut_says_the_same_and_the_future_nothing(rows: list[tuple[str, int, int, int]], cut: int) -> None:
    frame = pd.DataFrame(rows, columns=["source", "day", "n", "hits"]).astype(
        {"source": object, "day": "int64", "n": "int64", "hits": "int64"})
    frame["hits"] = np.minimum(frame["hits"], frame["n"] * SHARE)
    sources = [("s", "post"), ("t", "news")]
    whole = credibility.table(frame, sources, 100, 140)
    early = credibility.table(frame[frame["day"] < cut - MATURE_DAYS + 1], sources, 100, cut + 1)
    late = credibility.table(frame[frame["day"] >= cut - HISTORY_DAYS - MATURE_DAYS], sources, cut, 140)
    pd.testing.assert_frame_equal(early, whole[whole["day"] <= cut].reset_index(drop=True))
    pd.testing.assert_frame_equal(late, whole[whole["day"] >= cut].reset_index(drop=True))


@pytest.mark.parametrize(("count", "weight"), [
    (np.nan, 10), (0.0, 10), (9.0, 20), (99.0, 30), (999.0, 40), (1e9, 40), (2.0, 15), (-3.0, 10)])
def test_engagement(count: float, weight: int) -> None:
    assert weights.engagement_weight(pd.Series([count])).tolist() == [weight]


def test_stored_days_begin_in_the_window_and_follow_a_week_with_documents() -> None:
    documents = pd.DataFrame({"source": ["s", "s", "t"], "kind": "post", "available_at": pd.to_datetime(
        [EPOCH + 1.5 * DAY, EPOCH + 2.5 * DAY, EPOCH + 9.5 * DAY], utc=True).as_unit("us")})
    none = mentions()
    window = Window(EPOCH + 8.1 * DAY, EPOCH + 11 * DAY)
    trusted = weights.learn(none, bars(RISING), documents, window, credibility.PRIORS)
    rows = weights.stored(trusted, documents, window)
    assert [(row.source, row.at.day) for row in rows.itertuples()] == [("s", 10), ("t", 11)]
    assert rows["weight"].tolist() == [0.6, 0.6]
