"""Each series check finds what it should on literal series, and nothing on an honest one."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.config import ROOT, Simulator
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.ingest.checks import check, examine
from pipelines.ingest.series import (
    CHECKS,
    FEWEST,
    TRAILING,
    Finding,
    check_series,
    delivery,
    split,
    trailing,
)
from pipelines.ingest.simulator import SimulatorProvider

T = pd.Timestamp("2024-03-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)
WINDOW = Window(T.to_pydatetime(), (T + 30 * 24 * HOUR).to_pydatetime())


def bars(close: np.ndarray, *, volume: float = 5.0, symbol: str = "BTCUSDT", start: pd.Timestamp = T) -> pd.DataFrame:
    """Hourly bars that open at the close before."""
    times = start + np.arange(len(close)) * HOUR
    first = np.concatenate([close[:1], close[:-1]])
    return pd.DataFrame({
        "symbol": symbol, "interval": "1h", "event_time": times, "available_at": times + HOUR, "open": first,
        "high": np.maximum(first, close) * 1.001, "low": np.minimum(first, close) * 0.999, "close": close,
        "volume": volume + np.arange(len(close)), "source": "test"})


def walk(rows: int, seed: int = 1) -> np.ndarray:
    return np.asarray(100 * np.exp(np.cumsum(0.01 * np.random.default_rng(seed).standard_t(4, rows))))


def found(clean: pd.DataFrame, known: pd.DataFrame | None = None, kind: Kind = Kind.BARS) -> list[tuple[str, int, int]]:
    """(check, hours from T, rows) of each finding."""
    return [(item.check, round((pd.Timestamp(item.start) - T) / HOUR), item.count)
            for item in check_series(kind, clean, known)]


def test_an_honest_series_has_no_findings():
    assert [item for seed in range(40) for item in found(bars(walk(400, seed)))] == []


@pytest.mark.parametrize(("rows", "expected"), [(2, []), (3, [("flat", 50, 3)]), (9, [("flat", 50, 9)])])
def test_fillers_without_volume(rows, expected):
    frame = bars(walk(200))
    frame.loc[50:49 + rows, ["open", "high", "low", "close"]] = frame.loc[49, "close"]
    frame.loc[50:49 + rows, "volume"] = 0.0
    assert found(frame) == expected


def test_a_feed_that_repeats_itself():
    frame = bars(walk(200))
    figures = ["open", "high", "low", "close", "volume"]
    frame.loc[60:63, figures] = frame.loc[60, figures].to_numpy()
    assert found(frame) == [("flat", 60, 4)]


@pytest.mark.parametrize(("jump", "back", "expected"), [
    (1.5, True, [("spike", 100, 1)]), (0.6, True, [("spike", 100, 1)]), (1.5, False, []), (1.02, True, [])])
def test_a_spike_returns_at_once_and_a_move_stays(jump, back, expected):
    close = walk(200)
    close[100] *= jump
    if not back:
        close[101:] *= jump
    assert found(bars(close)) == expected


def test_a_spike_needs_a_past_to_be_measured_against():
    close = walk(200)
    close[FEWEST - 2] *= 1.5
    assert found(bars(close)) == []


def test_a_spike_at_the_end_of_the_window_before_is_seen_when_it_has_returned():
    close = walk(200)
    close[100] *= 1.5
    frame = bars(close)
    assert found(frame[:101]) == []
    assert found(frame[101:], frame[:101]) == [("spike", 100, 1)]
    assert found(frame[102:], frame[:102]) == []


@given(st.lists(st.floats(-0.2, 0.2).map(lambda value: round(value, 3)), min_size=1, max_size=220), st.integers(0, 230))
@settings(max_examples=40)
def test_the_scale_is_that_of_the_returns_before(values, first):
    returns = np.array(values)
    centre, scale = trailing(returns, first)
    for at in range(len(returns)):
        past = returns[max(0, at - TRAILING):at]
        if at < max(FEWEST, first):
            assert (np.isnan(centre[at]), scale[at]) == (True, 0)
            continue
        away = np.abs(past - np.median(past))
        expected = 1.4826 * np.median(away) or 1.2533 * away.mean()
        assert (centre[at], scale[at]) == pytest.approx((np.median(past), expected))


@pytest.mark.parametrize(("rows", "expected"), [(2, []), (3, []), (6, [("stuck", 150, 6)])])
def test_a_close_that_does_not_move(rows, expected):
    close = walk(400)
    close[150:150 + rows] = close[150]
    assert found(bars(close)) == expected


def test_a_series_that_often_rests_is_not_stuck():
    """An index of whole numbers repeats itself; a coin does not."""
    values = np.round(walk(300) / 25)
    frame = pd.DataFrame({"name": "mood", "event_time": T + np.arange(300) * 24 * HOUR, "value": values,
                          "available_at": T + np.arange(300) * 24 * HOUR + HOUR, "source": "test"})
    assert 0.5 < (np.diff(values) == 0).mean() < 0.99
    assert found(frame, kind=Kind.INDICATORS) == []
    stuck = frame.assign(value=np.where(np.arange(300) >= 290, 17.0, walk(300)))
    assert found(stuck, kind=Kind.INDICATORS) == [("stuck", 290 * 24, 10)]


def test_a_delay_that_changes_names_the_hours():
    frame = bars(walk(300))
    later = frame[200:].assign(available_at=frame["available_at"][200:] + 3 * HOUR)
    assert [item.sentence for item in check_series(Kind.BARS, later, frame[:200])] == [
        "rows come 3.00 h after their event, 0.00 h before this window; a whole number of hours: a zone?"]
    assert check_series(Kind.BARS, frame[200:], frame[:200]) == []
    assert check_series(Kind.BARS, later[:11], frame[:200]) == []  # too few to say


def test_events_of_the_future():
    frame = bars(walk(30))
    at = datetime(2024, 3, 2, 2, tzinfo=UTC)
    late = check_series(Kind.BARS, frame, fetched=at)
    assert [(item.check, item.count, item.severity) for item in late] == [("clock", 3, "warning")]
    assert late[0].end == datetime(2024, 3, 2, 6, tzinfo=UTC)


def test_how_a_batch_was_delivered():
    frame = bars(walk(30))
    late = frame.copy()
    late.loc[5, "available_at"] += 90 * HOUR
    late = late.sort_values("available_at", kind="stable", ignore_index=True)
    swapped = frame.iloc[[1, 0, *range(2, 30)]]
    assert delivery(Kind.BARS, frame, 0, WINDOW) == delivery(Kind.BARS, late, 0, WINDOW) == []
    assert [(item.check, item.count) for item in delivery(Kind.BARS, swapped, 4, WINDOW)] == [
        ("duplicates", 4), ("order", 1)]
    assert [item.count for item in delivery(Kind.BARS, frame[::-1], 0, WINDOW)] == [29]


def test_series_are_apart_and_the_last_version_counts():
    one, other = bars(walk(60)), bars(walk(60, 2), symbol="ETHUSDT")
    revised = one.iloc[[10]].assign(close=1.0, available_at=T + 900 * HOUR)
    series = list(split(Kind.BARS, pd.concat([one, other, revised]).sample(frac=1, random_state=3), one[:5]))
    assert [item.name for item in series] == ["BTCUSDT 1h", "ETHUSDT 1h"]
    assert [len(item.rows) for item in series] == [60, 60]
    assert series[0].rows["close"][10] == 1.0
    assert list(split(Kind.BARS, one[:0], other)) == []


@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from([1.0, 1.0, 2.0, 50.0]), st.booleans()), max_size=80),
       st.integers(0, 200))
@settings(max_examples=60)
def test_any_bars_can_be_looked_at_and_findings_lie_among_them(rows, cut):
    frame = pd.concat([bars(np.array([close]), volume=0.0 if empty else 1.0, start=T + hour * HOUR)
                       for hour, close, empty in rows] or [bars(walk(1))[:0]])
    clean, _ = check(Kind.BARS, frame, "test")
    border = T + cut * HOUR
    new, old = clean[clean["available_at"] >= border], clean[clean["available_at"] < border]
    for item in check_series(Kind.BARS, new, old):
        assert isinstance(item, Finding)
        assert item.check in CHECKS
        assert T <= item.start < item.end <= T + 202 * HOUR
        assert 1 <= item.count <= len(clean)


def test_the_simulator_is_not_accused():
    """Dirt is late, doubled, revised or broken; broken rows are refused, so hardly anything is left to find."""
    world = Simulator(days=30, symbols=3, dirt=0.02)
    window = Window(world.start, world.start + pd.Timedelta(days=30).to_pytimedelta())
    batch = SimulatorProvider(world).fetch(window, [Kind.BARS, Kind.INDICATORS])
    items = [item for kind, frame in batch.frames.items()
             for item in check_series(kind, examine(kind, frame, "simulator").clean)]
    assert [item.sentence for item in items if item.check != "spike"] == []
    assert len(items) <= 3


REAL = ROOT.parent / "shared" / "data" / "crypto_hourly_perp"


@pytest.mark.realdata
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no development data in {REAL}")
def test_real_hourly_coins_are_rarely_accused():
    counts: dict[str, int] = {}
    for path in sorted(REAL.glob("*USDT*.parquet")):
        raw = pd.read_parquet(path)
        times = pd.to_datetime(raw["open_time"], utc=True).dt.as_unit("us")
        frame = raw[["open", "high", "low", "close", "volume"]].astype("float64").assign(
            symbol=path.stem, interval="1h", event_time=times, available_at=times + HOUR, source="real")
        for item in check_series(Kind.BARS, frame):
            counts[item.check] = counts.get(item.check, 0) + 1
    assert counts.get("flat", 0) == 0
    # Five of 73,880 bars, all on the two days of 2021 and 2022 on which the market fell by a third.
    assert counts == {"spike": 5}


def test_names_that_no_text_can_hold_are_told_apart_all_the_same():
    """Half a surrogate, as a broken feed delivers it: its row is refused elsewhere, and must not end the load here."""
    frame = pd.DataFrame({
        "source": pd.Series(["newsapi/\ud800", "newsapi/a", "newsapi/\ud800", "newsapi/a"], dtype=object),
        "event_time": [T, T + HOUR, T + HOUR, T], "available_at": [T, T + HOUR, T + HOUR, T]})
    assert [(item.check, item.count) for item in delivery(Kind.DOCUMENTS, frame, 0, WINDOW)] == [("order", 1)]
