"""The drift check on real hourly bars of five coins: a market that is known to have changed, and halves of one that
cannot have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.config import ROOT
from pipelines.contracts.line import Drift
from pipelines.monitoring import compare, learn

DATA = ROOT.parent / "shared" / "data" / "crypto_hourly_perp"
DAY = timedelta(days=1)
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the hourly bars of {DATA}")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Returns and volatilities: of 6, 24 and 168 hours, and their ratio, per coin and hour."""
    frames = []
    for path in sorted(DATA.glob("*USDT_1h.parquet")):
        bars = pd.read_parquet(path).sort_values("open_time")
        move = np.log(bars["close"]).diff()
        ranged = np.log(bars["high"] / bars["low"])
        made = pd.DataFrame({"event_time": bars["open_time"], "symbol": path.name[:3], "return_1h": move})
        for hours in (6, 24, 168):
            made[f"volatility_{hours}h"] = move.rolling(hours).std()
            made[f"range_{hours}h"] = ranged.rolling(hours).mean()
        made["volatility_ratio"] = made["volatility_24h"] / made["volatility_168h"]
        frames.append(made.iloc[168:])
    return pd.concat(frames, ignore_index=True)


def between(rows: pd.DataFrame, first: datetime, last: datetime) -> pd.DataFrame:
    return rows[(rows["event_time"] >= first) & (rows["event_time"] < last)]


def test_volatility_alarms_between_early_2021_and_mid_2022(rows: pd.DataFrame) -> None:
    end = datetime(2021, 4, 1, tzinfo=UTC)
    rules = Drift()
    watched = rows[[name for name in rows if name != "return_1h"]]
    norm, streak, alarm = learn(between(watched, end - 90 * DAY, end), rules), 0, False
    at = datetime(2022, 1, 1, tzinfo=UTC)
    while at < datetime(2022, 6, 30, tzinfo=UTC) and not alarm:
        report = compare(norm, between(watched, at - rules.window_days * DAY, at), as_of=at, streak=streak)
        streak, alarm = report.streak, report.data_drift
        at += DAY
    assert alarm


@pytest.mark.parametrize("year", [2020, 2021])
def test_odd_rows_are_like_even_rows(rows: pd.DataFrame, year: int) -> None:
    start = datetime(year, 11, 10, tzinfo=UTC)
    span = between(rows, start, start + 120 * DAY).sort_values(["event_time", "symbol"])
    odd = (span["event_time"].rank(method="dense").astype(int) % 2 == 1).to_numpy()
    norm = learn(span[~odd], Drift())
    over = [compare(norm, between(span[odd], start + day * DAY, start + (day + 7) * DAY),
                    as_of=start + (day + 7) * DAY).over for day in range(0, 113, 7)]
    assert not any(over)
    assert not compare(norm, span[odd], as_of=start + 120 * DAY).over
