"""The leak test on real Reddit posts: they follow the price, say nothing ahead of it, and a slipped hour shows."""

from __future__ import annotations

import pandas as pd
import pytest

from pipelines.config import ROOT
from pipelines.sentiment import score
from pipelines.training.worth import series
from pipelines.validation.lead_lag import POOLED, hourly_returns, lead_lag, spans

DATA = ROOT.parent / "shared" / "data"
POSTS = DATA / "reddit_posts_2020_2022" / "posts.parquet"
BARS = DATA / "crypto_hourly_perp" / "BTCUSDT_1h.parquet"
pytestmark = [pytest.mark.realdata,
              pytest.mark.skipif(not (POSTS.exists() and BARS.exists()), reason=f"no development data in {DATA}")]


@pytest.fixture(scope="module")
def sides() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The surprise in all posts of 20 months by the hour at which they were known, and bitcoin's hourly returns."""
    posts = pd.read_parquet(POSTS, columns=["created_utc", "title", "body"])
    title, body = posts["title"].fillna(""), posts["body"].fillna("")
    scores = pd.DataFrame({"available_at": posts["created_utc"] + pd.Timedelta(minutes=1),
                           "compound": score((title + "\n" + body).tolist())["compound"].to_numpy()})
    bars = pd.read_parquet(BARS).rename(columns={"open_time": "event_time"}).assign(symbol="*")
    return series.surprise(series.of_market(scores.sort_values("available_at"))), hourly_returns(bars)


def test_posts_follow_the_price_and_do_not_lead_it(sides: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    found = spans(*sides)
    found = found[found["symbol"] == POOLED].set_index(["first", "last"])
    assert found.loc[(-23, 0), "low"] > 0.05
    assert found.loc[(-5, 0), "low"] > 0.03
    for ahead in ((1, 6), (1, 24)):
        assert found.loc[ahead, "low"] < 0 < found.loc[ahead, "high"]
        assert abs(found.loc[ahead, "correlation"]) < 0.03


def test_each_of_the_last_hours_counts_and_the_next_ones_do_not(sides: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    found = lead_lag(*sides)
    found = found[found["symbol"] == POOLED].set_index("lag")
    assert (found.loc[-5:0, "correlation"] > 0.01).all()
    assert found.loc[0, "low"] > 0
    outside = (found.loc[1:, "low"] > 0) | (found.loc[1:, "high"] < 0)
    assert outside.sum() <= 3  # of 24 at 5 % each
    assert found.loc[1:, "correlation"].abs().max() < found.loc[-5:-1, "correlation"].mean()


@pytest.mark.parametrize("hours", [1, 2])
def test_posts_stamped_too_early_would_seem_to_foresee_the_next_hour(sides: tuple[pd.DataFrame, pd.DataFrame],
                                                                     hours: int) -> None:
    sentiment, returns = sides
    early = sentiment.assign(at=sentiment["at"] - pd.Timedelta(hours=hours))
    right, wrong = (lead_lag(one, returns, lags=[0, 1]).set_index(["symbol", "lag"]).loc[(POOLED, 1)]
                    for one in (sentiment, early))
    assert right["low"] < 0 < right["high"]
    assert wrong["low"] > 0  # the band shows the leak
    assert wrong["correlation"] - right["correlation"] > 0.02
