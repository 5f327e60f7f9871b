"""The mood as it was known: ages, ranks, what is left out and why, and no look at the future."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.contracts.columns import Kind
from pipelines.sentiment import mood
from pipelines.store import Warehouse, facts, tables
from pipelines.store.upsert import upsert

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
END = START + 130 * DAY


def bars(days: int = 130, trend: float = 0.0, seed: int = 0) -> pd.DataFrame:
    opened = pd.date_range(START, periods=days * 24, freq="h", unit="us")
    rng = np.random.default_rng(seed)
    return pd.concat([pd.DataFrame({
        "symbol": symbol, "interval": "1h", "event_time": opened, "available_at": opened + pd.Timedelta("1h"),
        "open": close, "high": close * 9, "low": 0.0, "close": close, "volume": rng.uniform(1, 2, len(opened)),
        "source": "t"}) for symbol in ("A", "B")
        for close in [np.exp(np.cumsum(rng.normal(trend, 0.01, len(opened))))]])


def indicators(days: int = 130) -> pd.DataFrame:
    """Values that grow by one a day, each public five minutes after its day."""
    at = pd.date_range(START, periods=days, freq="D", unit="us")
    return pd.concat([pd.DataFrame({
        "name": name, "event_time": at, "available_at": at + pd.Timedelta("1D5min"), "value": np.arange(days) + 1.0,
        "source": "t", "components": None}) for name in mood.INDICES])


def social(days: int = 130, coverage: float = 1.0) -> pd.DataFrame:
    at = pd.date_range(START + DAY, periods=days, freq="D", unit="us")
    return pd.DataFrame({"at": at, "weighted": np.linspace(-0.5, 0.5, days), "coverage": coverage})


def found(as_of: datetime = END, **given: pd.DataFrame) -> mood.MarketMood:
    frames = {"bars": bars(), "indicators": indicators().assign(revision=1), "social": social()} | given
    known = {name: frame[frame["available_at" if "available_at" in frame else "at"] <= as_of]
             for name, frame in frames.items()}
    return mood.market_mood(known["bars"], known["indicators"], known["social"], as_of)


def part(result: mood.MarketMood, name: str) -> mood.Component:
    return next(component for component in result.components if component.name == name)


@pytest.mark.parametrize(("values", "rank"), [
    ([1.0], 50.0), ([3.0, 1.0, 2.0, 0.0], 87.5), ([0.0, 1.0, 2.0, 3.0], 12.5), ([1.0, 1.0, 1.0, 1.0], 50.0)])
def test_percentile(values: list[float], rank: float) -> None:
    assert mood.percentile(np.array(values)) == rank


def test_an_index_is_shown_as_it_was_public() -> None:
    reading = found(END + timedelta(minutes=4)).readings[0]
    assert (reading.name, reading.value, reading.age_hours, reading.stale) == ("fear_greed", 129.0, 48.1, False)
    reading = found(END + timedelta(minutes=5)).readings[0]
    assert (reading.value, reading.event_time, reading.age_hours) == (130.0, END - DAY, 24.1)


def test_growing_fear_and_growing_talk() -> None:
    result = found()
    assert part(result, "vix").score == pytest.approx(100 * 0.5 / 90, abs=0.06)  # the highest of 90: the most fear
    assert part(result, "social").score == pytest.approx(100 * 89.5 / 90, abs=0.06)
    assert result.index == pytest.approx(np.mean([component.score for component in result.components]), abs=0.06)


def test_momentum_and_volume_follow_the_market() -> None:
    calm = bars()
    late = calm["event_time"] >= END - 7 * DAY
    hours = (calm["event_time"] - pd.Timestamp(END - 7 * DAY)) / pd.Timedelta("1h")
    up = calm.assign(close=calm["close"] * np.where(late, np.exp(0.01 * hours), 1.0),
                     volume=calm["volume"] * np.where(calm["event_time"] >= END - DAY, 5.0, 1.0))
    assert part(found(bars=up), "momentum").score > 95
    assert part(found(bars=up), "volume").score > 95
    down = up.assign(close=calm["close"] * np.where(late, np.exp(-0.01 * hours), 1.0))
    assert part(found(bars=down), "momentum").score < 5
    assert part(found(bars=down), "volume").score < 5


def test_volatility_is_fear() -> None:
    wild = bars()
    noise = np.random.default_rng(1).normal(0, 0.1, len(wild)) * (wild["event_time"] >= END - 2 * DAY)
    assert part(found(bars=wild.assign(close=wild["close"] * np.exp(noise))), "volatility").score < 5


def test_what_is_stale_or_short_is_left_out_and_said() -> None:
    result = found(END + 7 * DAY)
    assert {component.left_out for component in result.components} == {
        "stale: the newest is from 2024-05-10 00:00", "stale: the newest is of 2024-05-09"}
    assert result.index is None
    assert all(reading.stale for reading in result.readings)
    young = found(START + 20 * DAY)
    assert part(young, "vix").left_out == "only 19 days of history, 30 are needed"
    assert part(found(social=social(coverage=0.2)), "social").left_out == "collected for 20% of the day only"
    empty = found(bars=bars().iloc[:0], social=social().iloc[:0], indicators=indicators().iloc[:0].assign(revision=1))
    assert empty.index is None
    assert [component.left_out for component in empty.components] == ["no value"] * 6
    assert [reading.value for reading in empty.readings] == [None] * 3


def write(warehouse: Warehouse, until: datetime | None = None) -> None:
    for kind, frame in ((Kind.BARS, bars()), (Kind.INDICATORS, indicators())):
        facts.write(warehouse, kind, frame if until is None else frame[frame["available_at"] <= until])
    rows = social()
    rows = rows if until is None else rows[rows["at"] <= until]
    with warehouse.begin() as connection:
        upsert(connection, tables.sentiment_aggregates, rows.assign(
            symbol="*", window="1d", available_at=rows["at"], documents=5, bullish=1, bearish=1, neutral=3))


def test_the_future_changes_nothing_and_the_view_shows_the_newest(warehouse: Warehouse) -> None:
    at = END - 11 * DAY - timedelta(hours=7)
    write(warehouse, until=at)
    before = mood.known(warehouse, at)
    write(warehouse)
    assert mood.known(warehouse, at) == before
    assert before.index is not None
    now, pure = mood.known(warehouse, END), found()  # the reader begins later: running sums differ in the last digit
    assert (now.index, now.readings) == (pure.index, pure.readings)
    assert [component.score for component in now.components] == [component.score for component in pure.components]
    with warehouse.begin() as connection:
        view = connection.execute(text("SELECT name, value, lag FROM ai_trading.market_mood ORDER BY name")).all()
    assert [tuple(row) for row in view] == [(name, 130.0, DAY + timedelta(minutes=5)) for name in sorted(mood.INDICES)]


def test_the_command(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    write(warehouse)
    monkeypatch.setenv("TIDEMARK_DATABASE_URL", warehouse.engine.url.render_as_string(hide_password=False))
    shown = CliRunner().invoke(app, ["mood", "--as-of", END.isoformat(), "--json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["index"] == found().index
    shown = CliRunner().invoke(app, ["mood", "--as-of", END.isoformat()])
    assert f"index: {found().index} of 100" in shown.stdout
