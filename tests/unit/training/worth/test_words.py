"""Sentences say what the intervals say, and no more."""

from __future__ import annotations

import pytest

from pipelines.training.worth import words
from pipelines.training.worth.study import Absent
from tests.unit.training.worth.worlds import ablation, curve, row, worth


@pytest.mark.parametrize(("low", "high", "said"), [
    (0.1, 0.2, "tidemark is better than vader: +0.150 [+0.100, +0.200]"), (-0.2, -0.1, "tidemark is worse than vader"),
    (-0.1, 0.2, "cannot be told apart")])
def test_quality(low: float, high: float, said: str) -> None:
    (sentence,) = words.quality([row(low, high), row(low, high, measure="macro-F1"), row(0.4, 0.5, half="seen")])
    assert sentence.startswith("posts, held out (1,234 texts): accuracy vader 0.500")
    assert said in sentence


@pytest.mark.parametrize(("past", "ahead", "said"), [
    ((0.1, 0.3), (-0.1, 0.1), ["follows prices: +0.200", "4.0 % of the variance", "nothing that can be told from"]),
    ((-0.1, 0.1), (0.1, 0.2), ["does not visibly follow", "Look for a leak"]),
    ((-0.2, -0.1), (-0.2, -0.1), ["runs against the day before", "go the other way: -0.150"])])
def test_lead_and_lag(past: tuple[float, float], ahead: tuple[float, float], said: list[str]) -> None:
    sentence = words.lead_lag(curve(past, ahead))
    assert all(part in sentence for part in said), sentence


def test_a_slip_is_told_in_this_curve_s_own_figures() -> None:
    sentence = words.slip(curve((0.1, 0.2), (-0.1, 0.1)))
    assert "At lag 0, the hour that had just ended, the correlation is +0.150" in sentence
    assert "at lag 1, the first hour ahead, +0.000 [-0.100, +0.100]" in sentence


@pytest.mark.parametrize(("effect", "adjusted", "uses", "base", "said"), [
    (0.003, 0.02, True, 0.69, ["sentiment helps: it saves 3.00 thousandths of a nat a row [+1.00, +5.00], p = 0.020"]),
    (0.003, 0.2, True, 0.69, ["no difference that can be told from chance", "a gain of 2.70 would have been seen"]),
    (0.003, 0.0001, False, 0.69, ["adding sentiment (the line does not use it) helps", "p < 0.001"]),
    (-0.003, 1.0, False, 0.69, ["adding sentiment (the line does not use it) hurts: it costs 3.00"]),
    (-0.003, 1.0, True, 0.681, ["With it the model is no better than always saying the base rate."]),
    (0.001, 1.0, True, 0.6, ["Either way the model is no better"])])
def test_ablations(effect: float, adjusted: float, uses: bool, base: float, said: list[str]) -> None:
    sentence = words.ablation(ablation(effect, 0.001, uses=uses, base=base), adjusted)
    assert all(part in sentence for part in said), sentence


def test_the_summary_has_a_sentence_for_each_part_that_is_there() -> None:
    assert words.summary(worth()) == [
        "Reading: against people's labels, tidemark is better than vader on 1 and worse on 1 of 2 held-out "
        "comparisons.",
        "Timing: texts follow prices (+0.150 [+0.100, +0.200] with the day before) and do not lead them (+0.005 "
        "[-0.010, +0.020] with the day after).",
        "Forecasts: sentiment improves direction_1h and makes volatility_24h worse."]
    gone = Absent("gone")
    assert words.summary(worth(quality=gone, curves=gone, lines={"direction_1h": gone}, adjusted=())) == []
    nothing = words.summary(worth(lines={"direction_1h": (ablation(0.001, 0.001),)}, adjusted=(0.6,)))
    assert nothing[-1] == "Forecasts: sentiment improves no line beyond chance."
