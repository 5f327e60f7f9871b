"""Which retraining interval would have been best: a world that drifts, and one that does not."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contracts.line import Costs
from pipelines.errors import ContractError, InsufficientData
from pipelines.validation import backtest, metrics, retraining
from pipelines.validation.significance import block_t_test

START = pd.Timestamp("2024-01-01", tz="UTC")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def world(days: int, period: float | None, seed: int = 0, symbols: int = 3, horizon: int = 2) -> pd.DataFrame:
    """P(y = 1) = 0.5 + b x for a coin x in {-1, 1}; b = 0.3, or turns like a cosine with a period in days."""
    generator = np.random.default_rng(seed)
    hours = np.arange(days * 24).repeat(symbols)
    x = generator.choice([-1.0, 1.0], len(hours))
    slope = 0.3 if period is None else 0.3 * np.cos(2 * np.pi * hours / (24 * period))
    y = (generator.uniform(size=len(hours)) < 0.5 + slope * x).astype(float)
    at = pd.DatetimeIndex(START + pd.to_timedelta(hours, unit="h")).as_unit("us")
    return pd.DataFrame({"symbol": np.tile([f"S{number}" for number in range(symbols)], days * 24), "event_time": at,
                         "available_at": at + HOUR, "label_end": at + horizon * HOUR, "x": x, "y": y,
                         "forward_return": (2 * y - 1) * 0.001})


def fit(rows: pd.DataFrame) -> retraining.Model:
    """The least-squares slope: exact for this world."""
    slope = float(((rows["y"] - 0.5) * rows["x"]).mean())
    return lambda asked: np.clip(0.5 + slope * asked["x"].to_numpy(), 0.01, 0.99)


def test_in_a_world_that_turns_a_short_interval_wins() -> None:
    # sixty days are four turns, one a block; a model of two days lags by one day and half the interval
    done = retraining.walk(world(66, period=15), fit, START + 6 * DAY, train=2 * DAY)
    found = retraining.report(done, blocks=4, costs=Costs(fee_bps=0, slippage_bps=0))
    table = found.to_frame()
    assert found.best == "1d"
    assert found.significant
    assert found.note.startswith("Retraining every 1d (60 fits) had the lowest loss")
    # the slower, the worse, and each number is what the words say
    assert table["loss"].loc[["1d", "3d", "7d"]].is_monotonic_increasing
    assert table["fits"].to_dict() == {"never": 1, "28d": 3, "14d": 5, "7d": 9, "3d": 20, "1d": 60}
    assert table.loc["1d", "loss_saved"] == pytest.approx(table.loc["never", "loss"] - table.loc["1d", "loss"])
    assert table.loc["1d", "loss_saved_low"] > 0
    assert found.best_net == "1d"
    assert table.loc["1d", "net_gained"] > 0
    assert np.isnan(table.loc["never", "loss_saved"])


@pytest.mark.parametrize("seed", range(3))
def test_in_a_world_that_stands_still_no_difference_can_be_seen(seed: int) -> None:
    done = retraining.walk(world(60, period=None, seed=seed), fit, START + 6 * DAY, train=5 * DAY)
    found = retraining.report(done)
    assert not found.significant
    assert found.note.startswith("No difference could be seen")
    assert "to see a smaller one, walk more days" in found.note
    assert found.best_net is None
    unseen = max(result.loss_saved.minimum_detectable for result in found.results if result.loss_saved)
    assert f"Any true difference of {unseen:.5f} nats would have been found with 80 % power" in found.note
    saved = pd.DataFrame({name: metrics.losses(done.rows["y"], p) for name, p in done.chances.items()})
    saved = (saved["never"] - saved["1d"]).groupby(done.rows["event_time"]).mean()
    assert found.results[-1].loss_saved is not None
    assert found.results[-1].loss_saved.minimum_detectable == pytest.approx(
        block_t_test(saved, 7, 0.05 / 5).minimum_detectable)  # five intervals share the level


def test_the_choice_among_many_intervals_is_paid_for() -> None:
    """At level 5 % the best of five equal intervals would win about one walk in eight if each were judged alone."""
    wins = alone = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        at = pd.date_range(START, periods=350, freq="h", unit="us")
        y = generator.integers(0, 2, 350).astype(float)
        chances = pd.DataFrame({name: generator.uniform(0.4, 0.6, 350) for name in ("never", "28d", "7d", "3d", "1d")})
        rows = pd.DataFrame({"event_time": at, "y": y})
        found = retraining.report(retraining.Walk(rows, chances, dict.fromkeys(chances, 5) | {"never": 1}, {}))
        wins += found.significant
        alone += min(result.loss_saved.p_value for result in found.results if result.loss_saved) <= 0.05
    assert wins <= 6
    assert alone > wins


def test_the_effects_are_the_block_t_test_of_paired_losses() -> None:
    done = retraining.walk(world(20, period=20), fit, START + 6 * DAY, intervals=[2 * DAY], train=3 * DAY)
    found = retraining.report(done, blocks=5, alpha=0.1, costs=Costs(spread_bps=4), horizon_bars=1)
    at, y = done.rows["event_time"], done.rows["y"]
    loss = {name: metrics.losses(y, done.chances[name]) for name in ("never", "2d")}
    saved = pd.Series(loss["never"] - loss["2d"]).groupby(at).mean()
    assert asdict(found.results[1].loss_saved) == pytest.approx(asdict(block_t_test(saved, 5, 0.1)))
    net = {name: backtest.net_returns(done.rows, done.chances[name], Costs(spread_bps=4), 1) for name in loss}
    assert asdict(found.results[1].net_gained) == pytest.approx(asdict(block_t_test(net["2d"] - net["never"], 5, 0.1)))


@given(st.lists(st.integers(0, 400), min_size=5, max_size=40), st.integers(0, 30), st.sampled_from([None, 50]),
       st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_no_model_learns_what_was_not_known_at_its_fit(hours: list[int], horizon: int, train: int | None,
                                                      embargo: int) -> None:
    hours = sorted({0, *hours})
    at = pd.DatetimeIndex([START + hour * HOUR for hour in hours]).as_unit("us")
    frame = pd.DataFrame({"event_time": at, "label_end": at + horizon * HOUR, "y": 1.0})
    start = START + 100 * HOUR
    pairs: list[tuple[pd.DataFrame, pd.DataFrame]] = []

    def spy(seen: pd.DataFrame) -> retraining.Model:
        def answer(asked: pd.DataFrame) -> np.ndarray:
            pairs.append((seen, asked))
            return np.full(len(asked), 0.5)
        return answer

    try:
        done = retraining.walk(frame, spy, start, intervals=[DAY, 3 * DAY], embargo=embargo * HOUR,
                               train=None if train is None else train * HOUR)
    except InsufficientData:
        return
    assert done.rows["event_time"].tolist() == [each for each in at if each >= start]
    for seen, asked in pairs:
        first = asked["event_time"].min()
        assert seen["label_end"].max() + embargo * HOUR < first
        if train is not None:
            assert seen["event_time"].max() - seen["event_time"].min() < train * HOUR
    assert done.chances.shape == (len(done.rows), 3)


def test_fits_that_intervals_share_are_made_once() -> None:
    made: list[pd.Timestamp] = []

    def counting(rows: pd.DataFrame) -> retraining.Model:
        made.append(rows["label_end"].max())
        return fit(rows)

    done = retraining.walk(world(20, None), counting, START + 6 * DAY, intervals=[4 * DAY, 2 * DAY])
    assert dict(done.fits) == {"never": 1, "4d": 4, "2d": 7}
    assert len(made) == len(set(made)) == 7
    assert done.ages["never"] == pytest.approx((14 * 24 - 1) / 2)
    assert done.ages["2d"] == pytest.approx(47 / 2)


def planted(losses: dict[str, tuple[float, float]]) -> retraining.Report:
    """A walk whose log losses have these means and wobble so much."""
    generator = np.random.default_rng(0)
    at = pd.date_range(START, periods=350, freq="h", unit="us")
    chances = {name: np.exp(-(mean + spread * generator.normal(size=350))) for name, (mean, spread) in losses.items()}
    fits = {name: 1 if name == "never" else 5 for name in chances}
    rows = pd.DataFrame({"event_time": at, "y": 1.0})
    return retraining.report(retraining.Walk(rows, pd.DataFrame(chances), fits, {}))


def test_worse_is_not_the_same_as_no_difference() -> None:
    found = planted({"never": (0.60, 0.01), "7d": (0.65, 0.01), "1d": (0.60, 0.01)})
    assert not found.significant
    assert "Of 2 intervals: 7d significantly worse than never retraining (level 0.05)" in found.note


def test_a_lead_that_is_uncertain_does_not_hide_one_that_is_not() -> None:
    found = planted({"never": (0.60, 0.01), "7d": (0.595, 0.01), "1d": (0.605, 0.14)})
    best = min(found.results, key=lambda result: result.loss.effect)
    assert found.best == best.interval == "1d"
    assert not found.significant
    assert "had the lowest loss" in found.note
    assert "7d significantly better than never retraining" in found.note


def test_intervals_longer_than_the_walk_say_nothing() -> None:
    done = retraining.walk(world(12, None), fit, START + 6 * DAY, intervals=[28 * DAY])
    found = retraining.report(done)
    assert (found.best, found.significant) == ("never", False)
    assert "longer than the days that were walked" in found.note


def test_refusals() -> None:
    frame = world(10, None)
    with pytest.raises(InsufficientData, match="no row from"):
        retraining.walk(frame, fit, START + 30 * DAY)
    with pytest.raises(InsufficientData, match="nothing to learn from"):
        retraining.walk(frame, fit, START)
    for wrong in ([], [DAY, DAY], [timedelta(0)]):
        with pytest.raises(ContractError, match="different positive times"):
            retraining.walk(frame, fit, START + DAY, intervals=wrong)
    with pytest.raises(ContractError, match="return P"):
        retraining.walk(frame, lambda rows: lambda asked: np.zeros(3), START + DAY)
    assert [retraining.label(each) for each in (7 * DAY, 12 * HOUR, 36 * HOUR)] == ["7d", "12h", "1.5d"]
