"""Lead and lag: planted leads are found to the hour, a slipped hour shows, noise stays inside its band."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ContractError, InsufficientData
from pipelines.validation import lead_lag as module
from pipelines.validation.lead_lag import POOLED, hourly_returns, lead_lag, market_returns, spans

START = pd.Timestamp("2022-01-01", tz="UTC")
REACH = 30  # hours of returns beyond the sentiment on either side


def frame(values: np.ndarray, first: int = 0, symbol: str = "A") -> pd.DataFrame:
    at = START + pd.to_timedelta(np.arange(len(values)) + first, unit="h")
    return pd.DataFrame({"symbol": symbol, "at": at, "value": values})


def world(seed: int, *, lead: int = 3, strength: float = 0.0, days: int = 90, memory: float = 0.0,
          symbol: str = "A") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sentiment with a memory, and fat-tailed returns of which those at ``lead`` follow it with ``strength``."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(days * 24)
    for hour in range(1, len(x)):
        x[hour] = memory * x[hour - 1] + np.sqrt(1 - memory**2) * x[hour]
    y = rng.standard_t(5, len(x) + 2 * REACH) / np.sqrt(5 / 3)
    y[REACH + lead:REACH + lead + len(x)] += strength * x
    return frame(x, symbol=symbol), frame(y, -REACH, symbol)


def pooled(found: pd.DataFrame) -> pd.DataFrame:
    return found[found["symbol"] == POOLED].set_index("lag")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lead", [3, 1, 0, -5])
def test_a_planted_lead_is_found_at_exactly_its_hour(seed: int, lead: int) -> None:
    found = pooled(lead_lag(*world(seed, lead=lead, strength=0.2), draws=300))
    assert found["correlation"].idxmax() == lead
    assert found["low"].idxmax() == lead
    assert found.loc[lead, "low"] > 0.08
    assert abs(found.drop(lead)["correlation"]).max() < 0.1


@settings(max_examples=15)
@given(slip=st.integers(-4, 4), seed=st.integers(0, 1000), lead=st.integers(-6, 6))
def test_a_slip_moves_the_whole_curve_by_exactly_its_hours(slip: int, seed: int, lead: int) -> None:
    """Stamped ``slip`` hours too early, what belongs to lag k appears at lag k + slip, to the last digit."""
    sentiment, returns = world(seed, lead=lead, strength=0.3, days=30)
    early = sentiment.assign(at=sentiment["at"] - pd.Timedelta(hours=slip))
    lags = range(-12, 13)
    right, wrong = (pooled(lead_lag(one, returns, lags=lags, draws=10)) for one in (sentiment, early))
    assert wrong["correlation"].idxmax() == lead + slip
    both = [lag for lag in lags if lag + slip in lags]
    assert wrong.loc[[lag + slip for lag in both], "correlation"].to_numpy() == pytest.approx(
        right.loc[both, "correlation"].to_numpy(), abs=1e-12)


@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_the_bands_of_noise_hold_zero_nearly_as_often_as_they_say(memory: float) -> None:
    inside = []
    for seed in range(30):
        found = pooled(lead_lag(*world(seed, days=100, memory=memory), draws=300))
        inside.append(((found["low"] < 0) & (found["high"] > 0)).mean())
    assert 0.91 < np.mean(inside) < 0.975


def test_the_band_holds_the_truth() -> None:
    truth = 0.2 / np.sqrt(1 + 0.2**2)
    hits = []
    for seed in range(40):
        band = pooled(lead_lag(*world(seed, strength=0.2), draws=200, lags=[3])).loc[3]
        hits.append(band["low"] < truth < band["high"])
    assert np.mean(hits) >= 0.875  # 5 of 40 missed: 4 % likely at the nominal level


def test_equals_a_merge_and_a_correlation_with_gaps_on_both_sides() -> None:
    rng = np.random.default_rng(1)
    parts = [world(seed, strength=0.1, days=40, symbol=symbol) for seed, symbol in enumerate("AB")]
    sentiment, returns = (pd.concat(side).sample(frac=0.7, random_state=3) for side in zip(*parts, strict=True))
    sentiment.loc[rng.random(len(sentiment)) < 0.1, "value"] = np.nan
    found = lead_lag(sentiment, returns, draws=10)
    for symbol in "AB":
        one, other = (side[side["symbol"] == symbol].set_index("at")["value"] for side in (sentiment, returns))
        for lag in (-24, -1, 0, 1, 17):
            pairs = pd.concat([one, other.set_axis(other.index - pd.Timedelta(hours=lag))], axis=1, sort=True).dropna()
            row = found[(found["symbol"] == symbol) & (found["lag"] == lag)].iloc[0]
            assert row["n"] == len(pairs)
            assert row["correlation"] == pytest.approx(pairs.corr().iloc[0, 1], abs=1e-9)


def test_a_span_is_the_correlation_with_the_sum_of_its_returns() -> None:
    sentiment, returns = world(5, strength=0.2, days=30)
    found = spans(sentiment, returns, wanted=[(1, 6)], draws=50)
    total = returns.set_index("at")["value"].rolling(6).sum()
    ahead = total.set_axis(total.index - pd.Timedelta(hours=6)).reindex(sentiment["at"]).to_numpy()
    assert found.loc[0, "correlation"] == pytest.approx(np.corrcoef(sentiment["value"], ahead)[0, 1], abs=1e-9)
    assert found.loc[0, "low"] < found.loc[0, "correlation"] < found.loc[0, "high"]


def test_symbols_of_another_scale_count_alike_when_pooled() -> None:
    sentiment, returns = (pd.concat(side) for side in zip(
        world(1, strength=0.3, symbol="A"), world(2, strength=0.3, symbol="B"), strict=True))
    loud = returns.assign(value=np.where(returns["symbol"] == "B", 1000 * returns["value"] + 7, returns["value"]))
    one, other = (pooled(lead_lag(sentiment, side, draws=10))["correlation"] for side in (returns, loud))
    assert one.to_numpy() == pytest.approx(other.to_numpy(), abs=1e-9)


def test_the_same_seed_gives_the_same_band_and_another_one_does_not() -> None:
    sides = world(1, days=30)
    one, again, other = (lead_lag(*sides, lags=[1], draws=50, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, again)
    assert one.loc[0, "low"] != other.loc[0, "low"]


def test_a_return_stands_at_the_close_of_its_bar_and_none_after_a_gap() -> None:
    opened = START + pd.to_timedelta([0, 1, 3, 4], unit="h")
    bars = pd.DataFrame({"symbol": "A", "event_time": opened, "close": [1.0, np.e, 5.0, 5.0 * np.e**2]})
    found = hourly_returns(bars.iloc[::-1])
    assert found["at"].tolist() == [START + pd.Timedelta(hours=2), START + pd.Timedelta(hours=5)]
    assert found["value"].tolist() == pytest.approx([1.0, 2.0])


def test_the_market_is_the_mean_of_who_traded() -> None:
    both = pd.concat([frame(np.array([1.0, 2.0])), frame(np.array([3.0]), symbol="B")])
    assert market_returns(both)[["symbol", "value"]].to_numpy().tolist() == [["*", 2.0], ["*", 2.0]]


def test_what_never_varies_has_no_correlation() -> None:
    sentiment, returns = world(1, days=30)
    found = lead_lag(sentiment.assign(value=0.3), returns, lags=[0], draws=10)
    assert found[["correlation", "low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize(("change", "error", "reason"), [
    (lambda one: one.drop(columns="value"), ContractError, "lack value"),
    (lambda one: one.assign(at=one["at"].dt.tz_localize(None)), ContractError, "aware UTC"),
    (lambda one: one.assign(at=one["at"] + pd.Timedelta(minutes=1)), ContractError, "off the full hour"),
    (lambda one: pd.concat([one, one]), ContractError, "two values"),
    (lambda one: one.assign(symbol="Z"), InsufficientData, "no symbol in common"),
    (lambda one: one.iloc[:0], InsufficientData, "no symbol in common"),
    (lambda one: one[one["at"] < START + pd.Timedelta(days=module.LEAST_DAYS - 1)], InsufficientData, "19 days")])
def test_refusals(change: object, error: type[Exception], reason: str) -> None:
    sentiment, returns = world(1, days=30)
    with pytest.raises(error, match=reason):
        lead_lag(change(sentiment), returns, draws=10)  # type: ignore[operator]
