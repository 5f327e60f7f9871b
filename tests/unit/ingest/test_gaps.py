"""Missing bars: literal grids, a brute-force oracle, and what is asked for again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.config import ROOT
from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import Batch
from pipelines.contracts.records import Gap, Refused
from pipelines.contracts.window import Window
from pipelines.errors import SourceError, SourceUnavailable
from pipelines.ingest.checks import interval_length
from pipelines.ingest.gaps import MOST_REQUESTS, ask_again, find, holes

MONDAY = datetime(2024, 3, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = Window(MONDAY, MONDAY + timedelta(days=1))


def bars(hours: Iterable[float], *, symbol: str = "BTCUSDT", interval: str = "1h", late: float = 0) -> pd.DataFrame:
    """Bars that open at these hours from Monday midnight."""
    step = interval_length(interval)
    times = pd.DatetimeIndex([pd.Timestamp(MONDAY) + pd.Timedelta(hours=hour) for hour in hours])
    return pd.DataFrame({"symbol": symbol, "interval": interval, "event_time": times,
                         "available_at": times + step + pd.Timedelta(hours=late)})


def shown(gaps: Iterable[Gap]) -> list[tuple[str, float, float, int, bool]]:
    return [(gap.series, (gap.start - MONDAY) / HOUR, (gap.end - MONDAY) / HOUR, gap.missing, gap.open_ended)
            for gap in gaps]


ALL_DAY = list(range(-1, 23))  # opens of the bars that come on Monday


@pytest.mark.parametrize(("hours", "expected"), [
    (ALL_DAY, []),
    ([*range(-1, 5), *range(8, 23)], [("BTCUSDT 1h", 5, 8, 3, False)]),
    ([-1, 1, 3, *range(4, 23)], [("BTCUSDT 1h", 0, 1, 1, False), ("BTCUSDT 1h", 2, 3, 1, False)]),
    (range(-1, 20), [("BTCUSDT 1h", 20, 23, 3, True)]),
    (range(10, 23), []),  # not listed before
    ([], []),
    ([3], [("BTCUSDT 1h", 4, 23, 19, True)]),
    (range(-30, -3), []),  # it did not speak in the window
    ([*ALL_DAY, 22, 22], []),
])
def test_what_is_missing_of_a_day(hours, expected):
    assert shown(find(bars(hours), {"BTCUSDT 1h"}, [WINDOW])) == expected


def test_only_series_that_speak_in_the_window_have_gaps():
    """Not listed yet, or not any more: nobody can tell from here."""
    known = pd.concat([bars(ALL_DAY), bars(range(-48, -20), symbol="GONE")])
    assert find(known, {"BTCUSDT 1h"}, [WINDOW]) == []


def test_a_silence_is_a_gap_of_the_window_in_which_the_series_speaks_again():
    week = Window(MONDAY - timedelta(days=7), MONDAY)
    known = bars([*range(-100, -60), *range(5, 23)])
    assert shown(find(known, {"BTCUSDT 1h"}, [week, WINDOW])) == [("BTCUSDT 1h", -60, 5, 65, False)]


def test_what_was_never_asked_for_is_not_missing():
    """A late bar from before the first load says nothing about the hours between."""
    known = bars([-90, *range(2, 23)])
    assert shown(find(known, {"BTCUSDT 1h"}, [WINDOW])) == [("BTCUSDT 1h", -1, 2, 3, False)]


def test_a_feed_that_is_usually_late_is_given_its_time():
    known = bars(range(-30, 19), late=3)
    assert shown(find(known, {"BTCUSDT 1h"}, [WINDOW])) == [("BTCUSDT 1h", 19, 20, 1, True)]


@pytest.mark.parametrize(("days", "expected"), [
    (range(-14, 12), []),
    ([day for day in range(-14, 12) if day % 7 < 5], []),  # a market that rests at weekends
    ([day for day in range(-14, 12) if day % 7 < 5 and day not in (1, 4)],
     [("SPY 1d", 24, 48, 1, False), ("SPY 1d", 96, 120, 1, False)]),
    ([day for day in range(-14, 12) if day % 7 < 5 and day not in (4, 7)], [("SPY 1d", 96, 192, 2, False)]),
    ([day for day in range(-14, 12) if day % 7 < 5 or day < -7], [  # one that traded at weekends once does not rest
        ("SPY 1d", -48, 0, 2, False), ("SPY 1d", 120, 168, 2, False)]),
])
def test_weekends(days, expected):
    window = Window(MONDAY - timedelta(days=20), MONDAY + timedelta(days=12, hours=1))
    known = bars([24 * day for day in days], symbol="SPY", interval="1d")
    assert shown(find(known, {"SPY 1d"}, [window])) == expected


@given(st.sets(st.integers(0, 200), min_size=1),
       st.lists(st.tuples(st.integers(0, 220), st.integers(1, 60)), max_size=4), st.sampled_from([1, 4]))
@settings(max_examples=200)
def test_every_missing_bar_is_in_one_gap_and_no_other_is(places, asked, hours):
    step = hours * 3_600_000_000
    origin = round(MONDAY.timestamp() * 1e6) // step * step
    known = sorted(origin + place * step for place in places)
    windows = np.array([[origin + start * step, origin + (start + length) * step] for start, length in asked],
                       dtype=np.int64).reshape(-1, 2)
    found = holes(np.array([*known, known[0]]), step, windows)
    last = max([known[-1], *(end - step for start, end in windows if start <= known[-1] < end)])
    days = [datetime.fromtimestamp(tick / 1e6, UTC) for tick in known]
    rests = all(day.weekday() < 5 for day in days) and len({day.isocalendar()[:2] for day in days}) >= 3
    expected = {tick for tick in range(known[0], last + 1, step) if tick not in set(known)
                and any(start <= tick < end for start, end in windows)
                and (not rests or datetime.fromtimestamp(tick / 1e6, UTC).weekday() < 5)}
    inside = [tick for tick in expected for start, end, _, _ in found if start <= tick < end]
    assert sorted(inside) == sorted(expected)
    assert sum(missing for _, _, missing, _ in found) == len(expected)
    assert all(not any(start <= tick < end for tick in known) for start, end, _, _ in found)
    assert [item for item in found if item[3]] == [item for item in found if item[0] > known[-1]]


class Scripted:
    """Answers each request with the next batch and remembers what was asked."""

    name = "scripted"

    def __init__(self, *answers: Batch | Exception) -> None:
        self.answers, self.asked = list(answers), []

    def kinds(self) -> frozenset[Kind]:
        return frozenset({Kind.BARS})

    def symbols(self) -> tuple[str, ...]:
        return ("BTCUSDT", "ETHUSDT")

    def span(self) -> None:
        return None

    def fetch(self, window: Window, kinds: Iterable[Kind], symbols: Sequence[str] | None = None) -> Batch:
        self.asked.append(((window.start - MONDAY) / HOUR, (window.end - MONDAY) / HOUR, list(symbols or ())))
        answer = self.answers.pop(0) if self.answers else Batch()
        if isinstance(answer, Exception):
            raise answer
        return answer


def gap(start: float, end: float, symbol: str = "BTCUSDT") -> Gap:
    return Gap("bars", f"{symbol} 1h", MONDAY + start * HOUR, MONDAY + end * HOUR, round(end - start))


def test_gaps_that_touch_are_one_narrow_request():
    provider = Scripted()
    again = ask_again(provider, [gap(5, 7), gap(6, 8, "ETHUSDT"), gap(15, 16), gap(-9, -5), gap(22, 23)], WINDOW)
    assert provider.asked == [(6, 10, ["BTCUSDT", "ETHUSDT"]), (16, 18, ["BTCUSDT"]), (23, 24, ["BTCUSDT"])]
    assert (again.bars, again.trouble, len(again.windows)) == (0, None, 3)


def test_only_missing_bars_are_taken_from_the_second_answer():
    lost = Refused("scripted", "bars", "unreadable", {})
    provider = Scripted(Batch({Kind.BARS: bars([4, 5, 6, 7])}, [lost]))
    again = ask_again(provider, [gap(5, 7)], WINDOW)
    assert [time.hour for time in again.answer.frames[Kind.BARS]["event_time"]] == [5, 6]
    assert again.answer.refused == [lost]


def test_there_is_an_end_to_asking():
    provider = Scripted()
    many = [gap(hour, hour + 0.1) for hour in np.arange(0, 23, 2.2)]
    wide = Window(MONDAY, MONDAY + timedelta(days=40))
    ask_again(provider, [*many, *(gap(30 + 5 * place, 31 + 5 * place) for place in range(50))], wide)
    assert len(provider.asked) == MOST_REQUESTS


@pytest.mark.parametrize("error", [SourceUnavailable("asleep"), SourceError("moved")])
def test_a_second_request_that_fails_spoils_nothing(error):
    again = ask_again(Scripted(Batch({Kind.BARS: bars([5])}), error), [gap(5, 6), gap(15, 16)], WINDOW)
    assert again.bars == 1
    assert again.trouble == f"{type(error).__name__}: {error}"


DATA = ROOT.parent / "shared" / "data"


@pytest.mark.realdata
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no development data in {DATA}")
def test_the_maintenance_of_a_real_exchange():
    """Seven outages, twelve hours, counted by whoever described these files; newest first, as found."""
    frames = []
    for coin in ("ADA", "BNB"):
        raw = pd.read_csv(DATA / "crypto_hourly_spot_cdd" / f"Binance_{coin}USDT_1h_as_found.csv.gz")
        times = pd.to_datetime(raw["unix"], unit="ms", utc=True).dt.as_unit("us")
        frames.append(pd.DataFrame({"symbol": coin, "interval": "1h", "event_time": times,
                                    "available_at": times + pd.Timedelta(hours=1)}))
    known = pd.concat(frames)
    window = Window(known["available_at"].min().to_pydatetime(), known["available_at"].max().to_pydatetime())
    found = find(known, {"ADA 1h", "BNB 1h"}, [window])
    for series in ("ADA 1h", "BNB 1h"):
        mine = [gap for gap in found if gap.series == series]
        assert (len(mine), sum(gap.missing for gap in mine)) == (7, 12)
