"""Who is best, who cannot be told from it, and what that speaks for."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from pipelines.errors import ConfigError
from pipelines.training import fit, leaderboard, leaderboard_page, learning
from pipelines.training.search import TrialRecord
from pipelines.validation.splits import plan
from tests.unit.training.conftest import make_frame, make_line

TIMES = 400


def world(**edges: float) -> tuple[dict[str, pd.Series], pd.Series, pd.Series]:
    """Contenders that know the outcome's log-odds up to noise: an edge of 0 knows nothing, one of 1 all there is."""
    rng = np.random.default_rng(2)
    truth = rng.standard_normal(TIMES)
    y = pd.Series((rng.random(TIMES) < 1 / (1 + np.exp(-2 * truth))).astype(float))
    chances = {name: pd.Series(1 / (1 + np.exp(-2 * edge * (truth + 0.05 * rng.standard_normal(TIMES)))))
               for name, edge in edges.items()}
    at = pd.Series(pd.date_range("2024-01-01", periods=TIMES, freq="h", tz="UTC"))
    return {**chances, "base_rate": pd.Series(np.full(TIMES, 0.5))}, y, at


def ranked(seconds: dict[str, float] | None = None, **edges: float) -> leaderboard.Board:
    return leaderboard.rank(*world(**edges), title="t", seed=1, seconds=seconds)


def test_who_is_worse_beyond_luck_is_outside_and_who_is_equal_is_inside() -> None:
    board = ranked(good=1.0, alike=0.98, poor=0.2)
    places = {entry.name: entry for entry in board.entries}
    assert [entry.name for entry in board.entries][-2:] == ["poor", "base_rate"]
    assert {name for name, entry in places.items() if entry.included} == {"good", "alike"}
    assert places["base_rate"].gain == 0
    assert places["good"].gain == pytest.approx(places["base_rate"].loss - places["good"].loss)


@pytest.mark.parametrize(("edges", "seconds", "sentence"), [
    ({"good": 1.0, "poor": 0.2}, {}, "Prefer good: it saves "),
    ({"good": 1.0, "alike": 0.98}, {"good": 9.0, "alike": 1.0}, " does it in 1.0 s instead of 9.0 s."),
    ({"good": 1.0, "alike": 0.98}, {"good": 1.0, "alike": 9.0}, " cannot be told from it."),
    ({"wrong": -1.0}, {}, "No contender is better than the base rate: there is nothing to recommend.")])
def test_the_recommendation(edges: dict[str, float], seconds: dict[str, float], sentence: str) -> None:
    board = ranked(seconds, **edges)
    if "instead" in sentence and board.entries[0].name == "alike":  # the cheap one is the best one: nothing to add
        sentence = " cannot be told from it."
    assert sentence in board.recommendation


@pytest.mark.no_cover
def test_luck_is_mostly_called_luck() -> None:
    """Twenty that know nothing, each with the luckier of its two signs: 10 % of them pass a test at 5 %."""
    chances, y, at = world()
    told = []
    for seed in range(20):
        shift = 0.002 * np.random.default_rng(seed).standard_normal(TIMES)
        lucky = 0.5 + shift * np.sign(np.dot(shift, y - 0.5))
        board = leaderboard.rank({**chances, "lucky": pd.Series(lucky)}, y, at, title="t", seed=1)
        assert board.entries[0].name == "lucky"
        told.append(board.recommendation.endswith("this ranking may be luck."))
    assert sum(told) >= 15


def test_twins_share_a_place_and_few_times_say_nothing() -> None:
    chances, y, at = world(good=1.0, poor=0.2)
    board = leaderboard.rank({**chances, "twin": chances["good"]}, y, at, title="t", seed=1)
    told = {entry.name: entry.p_value for entry in board.entries}
    assert told["twin"] == told["good"]
    few = leaderboard.rank({name: values[:15] for name, values in chances.items()}, y[:15], at[:15], title="t", seed=1)
    assert all(math.isnan(entry.p_value) for entry in few.entries)
    assert few.recommendation == "15 times are too few to tell 3 contenders apart; nothing is recommended."


def test_each_family_stands_with_its_best_trial() -> None:
    chances, y, at = world(good=1.0, poor=0.2, middle=0.6)
    tried = pd.DataFrame({"y": y, "event_time": at, "base_rate": 0.5, "trial_0": chances["poor"],
                          "trial_1": chances["good"], "trial_2": chances["middle"]})
    trials = [TrialRecord(0, "complete", 0.68, "lightgbm", {"rounds": 20}, (0.6, 0.7), 1.5),
              TrialRecord(1, "complete", 0.5, "lightgbm", {"rounds": 40, "rate": 0.123456}, (0.5, 0.52), 2.5),
              TrialRecord(2, "complete", 0.6, "xgboost", {}, (0.6,), None),
              TrialRecord(3, "pruned", None, "random_forest", {}, (0.9,), 0.1)]
    board = leaderboard.families(tried, trials, "t", 1)
    assert [entry.name for entry in board.entries] == ["lightgbm", "xgboost", "base_rate"]
    best = board.entries[0]
    assert (best.detail, best.seconds) == ("trial 1: rounds 40, rate 0.1235", 2.5)
    assert best.spread == pytest.approx(np.std([0.5, 0.52], ddof=1))
    assert math.isnan(board.entries[1].seconds)


def test_the_page_escapes_names_and_loads_nothing() -> None:
    chances, y, at = world(good=1.0)
    board = leaderboard.rank({**chances, "<script>alert(1)</script>": chances["good"]}, y, at, title="<b>", seed=1)
    page = leaderboard_page.html("T & U", [board])
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "T &amp; U" in page
    assert "://" not in page
    assert board.recommendation.replace("<", "&lt;").replace(">", "&gt;") in page


class TestLearningCurve:
    line, frame = make_line(), make_frame()
    data, folds = fit.matrix(frame), plan(line, frame).evidence

    def test_more_of_a_steady_world_is_better_than_a_sliver(self) -> None:
        found = learning.curve(self.data, self.folds, "logistic_regression", (0.05, 0.5, 1.0), 1)
        points = found.points.set_index("share")
        assert points["rows"].is_monotonic_increasing
        assert points.loc[1.0, ["lost", "low", "high"]].tolist() == [0.0, 0.0, 0.0]
        assert points.loc[0.05, "lost"] > points.loc[0.5, "lost"]
        assert points.loc[0.5, "days"] == pytest.approx(points.loc[1.0, "days"] / 2, rel=0.1)

    def test_the_whole_history_is_what_a_training_forecasts(self) -> None:
        from pipelines.training import families

        found = learning.curve(self.data, self.folds, "logistic_regression", (1.0,), 1)
        walked = fit.out_of_sample(self.data, self.folds, "logistic_regression",
                                   families.get("logistic_regression").defaults, 1)
        loss = -(walked["y"] * np.log(walked["candidate"]) + (1 - walked["y"]) * np.log(1 - walked["candidate"]))
        assert found.points["log_loss"].iloc[0] == pytest.approx(loss.groupby(walked["event_time"]).mean().mean())

    @pytest.mark.parametrize(("rows", "sentence"), [
        ([(0.25, 0.01, 0.002, 0.02)], "History helps: 10 days lose 0.01000 nats"),
        ([(0.25, -0.01, -0.02, -0.002)], "Less is more: the last 10 days beat the whole history by 0.01000 nats"),
        ([(0.25, 0.01, -0.002, 0.02)], "No difference could be seen")])
    def test_the_note(self, rows: list[tuple[float, ...]], sentence: str) -> None:
        table = pd.DataFrame([*rows, (1.0, 0.0, 0.0, 0.0)], columns=["share", "lost", "low", "high"]).assign(days=10.0)
        assert learning._note(table).startswith(sentence)

    def test_a_share_is_a_share(self) -> None:
        with pytest.raises(ConfigError, match="above 0 and up to 1"):
            learning.run(None, self.line, None, shares=(0.0,))  # type: ignore[arg-type]
