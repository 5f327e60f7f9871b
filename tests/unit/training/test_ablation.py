"""What a group is worth: a planted edge is found, noise is not, and both ways see the same rows."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from pipelines.contracts.line import Line
from pipelines.errors import ConfigError, InsufficientData
from pipelines.training import ablation, fit
from pipelines.validation import metrics
from tests.unit.training.conftest import START, make_frame, make_line

OWN = "sentiment_mean_4h"


def world(edge: float, seed: int = 0, days: int = 60) -> pd.DataFrame:
    return make_frame(days=days, edge=edge, seed=seed).rename(columns={"sentiment_4h": OWN})


def test_a_planted_edge_is_found_and_its_size_is_right(line: Line) -> None:
    found = ablation.ablate(world(1.0), line, days=40)
    assert (found.line, found.group, found.uses, found.family) == ("direction_1h", "sentiment", True,
                                                                   "logistic_regression")
    assert (found.days, found.rows, found.symbols) == (40, 40 * 24 * 3, 3)
    assert found.last - found.first == timedelta(days=40, hours=-1)
    assert found.test.p_value < 1e-3
    assert found.test.low > 0
    assert found.test.effect == pytest.approx(found.loss_without - found.loss_with)
    assert found.loss_with < found.loss_base_rate


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_worth_nothing_and_costs_a_little(line: Line, seed: int) -> None:
    found = ablation.ablate(world(0.0, seed), line, days=40)
    assert found.test.p_value > 0.05
    assert abs(found.test.effect) < 0.005


@pytest.mark.no_cover
def test_worthless_groups_are_rarely_called_useful(line: Line) -> None:
    """One-sided at 5 %: of 12 worlds without an edge, 3 or more would be called useful with a chance of 2 %."""
    useful = sum(ablation.ablate(world(0.0, seed, 32), line, days=21).test.p_value < 0.05 for seed in range(12))
    assert useful <= 2


def test_the_losses_are_those_of_two_walks_over_the_same_folds(line: Line) -> None:
    """By hand: two walks over the same folds, the mean of each day, their difference."""
    frame = world(1.0)
    found = ablation.ablate(frame, line, days=40)
    folds = ablation._folds(frame, line, 40)
    daily = []
    for rows in (frame, frame.drop(columns=OWN)):
        walked = fit.out_of_sample(fit.matrix(rows), folds, "logistic_regression",
                                   ablation.families.get("logistic_regression").defaults, line.search.seed)
        losses = pd.Series(metrics.losses(walked["y"], walked["candidate"]))
        daily.append(losses.groupby(walked["event_time"].dt.floor("D")).mean().mean())
    assert [found.loss_with, found.loss_without] == pytest.approx(daily)


def test_no_label_is_seen_before_its_time(line: Line) -> None:
    frame = world(1.0)
    for fold in ablation._folds(frame, line, 40):
        assert (frame["label_end"].iloc[fold.train] < fold.test_start - line.bar).all()


def test_a_line_of_nothing_else_is_compared_with_the_base_rate(line: Line) -> None:
    frame = world(1.0)
    alone = frame[["symbol", "event_time", "available_at", OWN, "y", "label_end", "forward_return"]]
    found = ablation.ablate(alone, line, days=40)
    assert found.loss_without == found.loss_base_rate
    assert found.test.p_value < 1e-3


def test_a_line_that_does_not_use_the_group_learns_what_adding_it_would_bring() -> None:
    found = ablation.ablate(world(1.0), make_line(features={"groups": ["returns"]}), days=40, family="lightgbm")
    assert not found.uses
    assert found.family == "lightgbm"
    assert found.test.effect > 0


@pytest.mark.parametrize(("listed", "asked", "uses"), [
    (["returns", "sentiment"], "sentiment", True), (["returns", f"sentiment.{OWN}"], "sentiment", True),
    (["returns", f"sentiment.{OWN}"], f"sentiment.{OWN}", True), (["returns", "sentiment"], f"sentiment.{OWN}", True),
    (["returns"], f"sentiment.{OWN}", False), (["sentiment.sentiment_net_4h"], f"sentiment.{OWN}", False)])
def test_single_features_count_as_their_group(monkeypatch: pytest.MonkeyPatch, listed: list[str], asked: str,
                                              uses: bool) -> None:
    line, seen = make_line(features={"groups": listed}), []

    def built(_: object, wanted: Line, __: object) -> tuple[None, pd.DataFrame]:
        seen.append(wanted.features.groups)
        return None, world(1.0)

    monkeypatch.setattr(ablation.snapshot, "matrix", built)
    found = ablation.run(None, line, START, days=40, group=asked)  # type: ignore[arg-type]
    assert found.uses == uses
    assert found.test.p_value < 1e-3
    assert seen == [tuple(listed) if uses else (*listed, asked)]
    assert ablation.catalog.select(seen[0])  # together they can be built


def test_labels_of_a_day_make_the_test_more_careful() -> None:
    """Outcomes that reach into the next day leave at most one degree of freedom for four days."""
    long = make_line(target={"kind": "volatility", "horizon_bars": 24}, costs=None)
    found = ablation.ablate(world(1.0), long, days=40)
    assert found.test.freedom <= 10


def test_refusals(line: Line) -> None:
    with pytest.raises(InsufficientData, match="never vary"):
        ablation.ablate(world(1.0).assign(**{OWN: 0.0}), line, days=40)
    with pytest.raises(InsufficientData, match="has 10 days"):
        ablation.ablate(world(1.0, days=18), line, days=40)
    with pytest.raises(ConfigError, match="unknown model family"):
        ablation.ablate(world(1.0), line, days=40, family="oracle")


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_that_of_statsmodels(seed: int) -> None:
    values = np.random.default_rng(seed).random(seed + 1) ** 2
    assert ablation.holm(values.tolist()) == pytest.approx(multipletests(values, method="holm")[1].tolist())


def test_holm_of_nothing_is_nothing() -> None:
    assert ablation.holm([]) == []
