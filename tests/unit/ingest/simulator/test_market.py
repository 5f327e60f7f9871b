"""Does the simulated market look like one, and is its known truth true?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipelines.config import Simulator
from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.errors import ConfigError
from pipelines.ingest.simulator import Market
from pipelines.ingest.simulator.truth import auc

SEEDS = (1, 2, 3, 4)


def returns(market: Market) -> pd.DataFrame:
    """Hourly log returns, one column per symbol."""
    close = market.truth.bars.pivot(index="event_time", columns="symbol", values="close")
    return np.log(close).diff().dropna()


def ljung_box(series: np.ndarray, lags: int) -> float:
    """p-value of the Ljung-Box (1978) test of no autocorrelation up to ``lags``."""
    centred = series - series.mean()
    size = len(centred)
    rho = np.array([centred[lag:] @ centred[:-lag] for lag in range(1, lags + 1)]) / (centred @ centred)
    statistic = size * (size + 2) * np.sum(rho**2 / (size - np.arange(1, lags + 1)))
    return float(stats.chi2.sf(statistic, lags))


def block_interval(values: list[float]) -> tuple[float, float]:
    """95 % t interval of the mean of independent values."""
    mean, half = np.mean(values), stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return float(mean - half), float(mean + half)


def test_returns_have_fat_tails():
    kurtosis = [float(stats.kurtosis(returns(Market(Simulator(seed=seed)))[symbol]))
                for seed in SEEDS for symbol in ("BTCUSDT", "SOLUSDT", "XRPUSDT")]
    low, _ = block_interval(kurtosis)
    assert low > 1.5


def test_volatility_clusters_but_returns_do_not_without_an_edge():
    squared, plain = [], []
    for seed in SEEDS:
        frame = returns(Market(Simulator(seed=seed, edge=0)))
        for symbol in frame:
            squared.append(ljung_box(frame[symbol].to_numpy() ** 2, 24))
            # Signs have no volatility left in them, so the test is exact.
            plain.append(ljung_box(np.sign(frame[symbol].to_numpy()), 24))
    assert max(squared) < 1e-6
    assert stats.kstest(plain, "uniform").pvalue > 0.001


def test_next_day_volatility_can_be_predicted_from_the_last_day():
    aucs = []
    for seed in SEEDS:
        frame = returns(Market(Simulator(seed=seed)))
        realised = np.sqrt((frame**2).rolling(24).sum())
        trailing = realised.rolling(336).median()
        known = slice(24 + 336, -24)
        aucs.append(auc((realised / trailing)[known].to_numpy().ravel(),
                        (realised.shift(-24) > trailing)[known].to_numpy().ravel().astype(float)))
    assert 0.70 < np.mean(aucs) < 0.88


def test_without_an_edge_the_inputs_say_nothing_about_direction():
    rows = [Market(Simulator(seed=seed, edge=0)).truth for seed in SEEDS]
    assert [truth.expected_auc() for truth in rows] == [0.5] * len(SEEDS)
    # Coins share a market factor: the hour is the independent unit. A sum over signs is a martingale.
    for truth in rows:
        state = truth.state.assign(score=lambda f: np.sign(f["observable"] - f["observable"].median())
                                   * (2.0 * f["up"] - 1))
        hourly = state.groupby("event_time")["score"].mean()
        assert abs(hourly.mean()) < 4 * hourly.std() / np.sqrt(len(hourly))
        assert truth.oracle_auc() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("edge", "low", "high"), [(0.5, 0.56, 0.60), (1.0, 0.62, 0.66)])
def test_oracle_finds_the_stated_edge(edge, low, high):
    truths = [Market(Simulator(seed=seed, edge=edge)).truth for seed in SEEDS]
    assert low < np.mean([truth.expected_auc() for truth in truths]) < high
    for truth in truths:
        assert truth.oracle_auc() == pytest.approx(truth.expected_auc(), abs=0.02)


def test_edge_of_one_is_worth_more_than_its_costs():
    truth = Market(Simulator()).truth
    close = truth.bars.pivot(index="event_time", columns="symbol", values="close")
    opened = truth.bars.pivot(index="event_time", columns="symbol", values="open")
    position = np.sign(truth.state.pivot(index="event_time", columns="symbol", values="signal"))
    earned = position * (close / opened - 1).shift(-1).reindex(position.index)
    net = (earned - position.diff().abs().fillna(1) * 3e-4).mean(axis=1)
    days = net.groupby(net.index.date).mean()
    low, _ = block_interval(days.tolist())
    assert low > 0.0005  # 5 basis points an hour


def test_momentum_can_carry_the_edge_instead():
    truth = Market(Simulator(edge_input="momentum")).truth
    frame = np.log(truth.bars.pivot(index="event_time", columns="symbol", values="close")).diff()
    trend = frame.rolling(4).sum().stack().rename("trend")
    rows = truth.state.merge(trend.reset_index(), on=["event_time", "symbol"])
    assert 0.58 < auc(rows["trend"].to_numpy(), rows["up"].to_numpy(float)) < 0.66
    assert auc(rows["observable"].to_numpy(), rows["up"].to_numpy(float)) == pytest.approx(0.5, abs=0.03)
    assert truth.carriers == ("return of the last 4 hours over its volatility",)


def test_regime_shift_turns_the_edge_round_and_moves_the_inputs():
    truth = Market(Simulator(shift_day=75)).truth
    assert truth.shift_time == datetime(2024, 3, 16, tzinfo=UTC)
    before, after = truth.between(end=truth.shift_time), truth.between(truth.shift_time)

    def direct(rows: pd.DataFrame) -> float:
        return auc(rows["observable"].to_numpy(), rows["up"].to_numpy(float))

    assert direct(before) > 0.61
    assert direct(after) < 0.41
    assert truth.oracle_auc(truth.shift_time) > 0.59
    bars, talk = truth.bars, truth.documents
    late, late_talk = bars["event_time"] >= truth.shift_time, talk["event_time"] >= truth.shift_time
    spread = np.log(bars["close"] / bars["open"]).groupby(late).std()
    assert 1.7 < spread[True] / spread[False] < 2.3
    assert bars.groupby(late)["volume"].median()[True] > 1.3 * bars.groupby(late)["volume"].median()[False]
    assert late_talk.sum() / (~late_talk).sum() == pytest.approx(1.7, rel=0.05)
    assert talk.groupby(late_talk)["tone"].mean()[True] < talk.groupby(late_talk)["tone"].mean()[False] - 0.3
    level = truth.indicators.assign(late=truth.indicators["event_time"] >= truth.shift_time)
    means = level.groupby(["name", "late"])["value"].mean().unstack()
    assert means.loc["vix", True] > 1.4 * means.loc["vix", False]
    assert means.loc["fear_greed", True] < means.loc["fear_greed", False] - 10


def test_no_shift_means_no_shift():
    truth = Market(Simulator(shift_day=150)).truth
    assert truth.shift_time is None
    pd.testing.assert_frame_equal(truth.bars, Market(Simulator()).truth.bars)


def test_latent_mood_is_autocorrelated_and_visible():
    state = Market(Simulator()).truth.state
    mood = state.pivot(index="event_time", columns="symbol", values="mood")
    assert np.mean([mood[symbol].autocorr(1) for symbol in mood]) == pytest.approx(0.9, abs=0.02)
    assert state["mood"].corr(state["observable"]) > 0.65


@pytest.mark.parametrize("kind", [Kind.BARS, Kind.DOCUMENTS, Kind.INDICATORS])
def test_frames_have_the_columns_of_their_kind(kind):
    frame = Market(Simulator(days=12)).feed(kind).frame
    assert tuple(frame.columns) == SCHEMAS[kind].columns
    assert str(frame["event_time"].dtype) == str(frame["available_at"].dtype) == "datetime64[us, UTC]"
    assert frame["available_at"].is_monotonic_increasing


def test_bars_join_up_and_stand_in_order():
    bars = Market(Simulator()).truth.bars
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
    assert (bars[["low", "volume"]] > 0).all().all()
    close = bars.pivot(index="event_time", columns="symbol", values="close")
    opened = bars.pivot(index="event_time", columns="symbol", values="open")
    assert np.abs(np.log(opened.iloc[1:] / close.shift().iloc[1:])).max().max() < 0.0001
    assert (bars["available_at"] - bars["event_time"] == timedelta(hours=1)).all()


def test_documents_stay_within_their_budget():
    assert len(Market(Simulator(days=90)).truth.documents) < 30_000
    assert len(Market(Simulator(days=90, shift_day=60)).truth.documents) < 30_000


def test_many_coins():
    truth = Market(Simulator(days=10, symbols=50)).truth
    assert len(set(truth.symbols)) == 50
    assert truth.bars["symbol"].nunique() == 50


def test_a_start_that_is_not_midnight_is_refused():
    with pytest.raises(ConfigError, match=r"TIDEMARK_SIMULATOR__START.*midnight"):
        Market(Simulator(start=datetime(2024, 1, 1, 5, tzinfo=UTC)))


@pytest.mark.parametrize(("score", "positive", "expected"), [
    ([1, 2, 3, 4], [0, 0, 1, 1], 1.0),
    ([4, 3, 2, 1], [0, 0, 1, 1], 0.0),
    ([1, 1, 1, 1], [0, 1, 0, 1], 0.5),
    ([1, 2, 2, 3], [0, 0, 1, 1], 0.875),
    ([1, 2], [0.5, 0.5], 0.5),
])
def test_auc_counts_pairs(score, positive, expected):
    assert auc(np.array(score, float), np.array(positive, float)) == expected


def test_auc_of_one_class_is_nan():
    assert np.isnan(auc(np.array([1.0, 2.0]), np.array([1.0, 1.0])))
