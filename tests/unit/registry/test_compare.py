"""Which training is better: on made frames, where the truth is known, and on trainings of a real line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipelines.contracts import tags
from pipelines.contracts.line import Line
from pipelines.errors import RegistryError
from pipelines.registry import compare
from pipelines.registry.client import Run
from pipelines.store import snapshots
from pipelines.training.measure import Measure
from pipelines.training.record import Tracker, connect
from pipelines.validation import metrics
from pipelines.validation.significance import cosine_test
from tests.unit.registry.world import DAY, START, World, make_line


def frame(skill: float, *, hours: int = 28 * 24, seed: int = 0, first: str = "2024-03-01") -> pd.DataFrame:
    """Predictions of a market with a known chance; ``skill`` 1 knows it, 0 says one half."""
    rng = np.random.default_rng(11)
    chance = 1 / (1 + np.exp(-rng.standard_normal((hours, 2))))
    y = (rng.random((hours, 2)) < chance).astype(float)
    noise = 0.02 * np.random.default_rng(seed).standard_normal((hours, 2))
    times = pd.date_range(first, periods=hours, freq="h", tz="UTC").repeat(2)
    return pd.DataFrame({"symbol": np.tile(["A", "B"], hours), "event_time": times, "y": y.ravel(),
                         "candidate": np.clip(0.5 + skill * (chance - 0.5) + noise, 0.01, 0.99).ravel()})


def test_the_better_one_is_found_whichever_comes_first() -> None:
    good, bad = frame(1.0), frame(0.0)
    pair, = compare.judge({"good": good, "bad": bad})
    other, = compare.judge({"bad": bad, "good": good})
    assert pair == other
    assert (pair.better, pair.worse, pair.rows, pair.periods, pair.relabelled) == ("good", "bad", 1344, 672, 0)
    saved = metrics.losses(bad["y"], bad["candidate"]) - metrics.losses(good["y"], good["candidate"])
    by_time = pd.Series(saved).groupby(good["event_time"].to_numpy()).mean()
    test = cosine_test(by_time, alpha=0.025)
    assert pair.effect == pytest.approx(by_time.mean(), rel=1e-12)
    assert pair.p_value == pytest.approx(test.p_two_sided, rel=1e-9)
    assert (pair.low, pair.high) == pytest.approx((test.low, test.high), rel=1e-9)
    assert pair.minimum_detectable == pytest.approx(test.minimum_detectable)
    words = compare.recommend([pair], {"good": good, "bad": bad})
    assert words.startswith(f"Prefer good: on 1344 common rows it saves {pair.effect:.5f} nats per prediction against "
                            "bad (95 % interval ")


def test_equals_are_not_told_apart_and_the_smallest_detectable_difference_is_said() -> None:
    evidence = {"one": frame(0.8, seed=1), "other": frame(0.8, seed=2)}
    pair, = compare.judge(evidence)
    assert not pair.seen
    assert pair.low < 0 < pair.high
    words = compare.recommend([pair], evidence)
    assert words.startswith("No difference could be seen between ")
    assert f"the smallest detectable difference is {pair.minimum_detectable:.5f}" in words


def test_the_same_predictions_are_no_difference() -> None:
    evidence = {"one": frame(0.8), "copy": frame(0.8)}
    pair, = compare.judge(evidence)
    assert (pair.effect, pair.p_value, pair.seen) == (0.0, 1.0, False)
    assert compare.recommend([pair], evidence) == "They predict the same: no loss differs on 1344 common rows."


def test_the_level_is_shared_among_several_pairs() -> None:
    evidence = {"good": frame(1.0), "middle": frame(0.5), "bad": frame(0.0)}
    pairs = compare.judge(evidence)
    alone, = compare.judge({"good": evidence["good"], "bad": evidence["bad"]})
    among = next(pair for pair in pairs if {pair.better, pair.worse} == {"good", "bad"})
    assert (len(pairs), among.better, among.effect) == (3, "good", alone.effect)
    assert among.p_value == pytest.approx(3 * alone.p_value)
    assert among.high - among.effect > 1.1 * (alone.high - alone.effect)
    assert compare.recommend(pairs, evidence).startswith("Prefer good: on 1344 common rows")
    assert "against middle, the closest rival," in compare.recommend(pairs, evidence)


def test_a_run_that_is_beaten_is_ruled_out_though_no_one_wins() -> None:
    evidence = {"one": frame(0.9, seed=1), "twin": frame(0.9, seed=2), "bad": frame(-0.5)}
    words = compare.recommend(compare.judge(evidence), evidence)
    assert words.startswith("No difference could be seen between ")
    assert "bad can be ruled out" in words


def test_only_common_rows_with_the_same_label_count() -> None:
    good, bad = frame(1.0), frame(0.0)
    bad = bad.iloc[200:].copy()
    bad.iloc[:3, bad.columns.get_loc("y")] = 1 - bad["y"].iloc[:3]
    pair, = compare.judge({"good": good, "bad": bad})
    assert (pair.rows, pair.relabelled) == (1344 - 200 - 3, 3)


def test_runs_without_common_time_get_no_recommendation() -> None:
    evidence = {"early": frame(1.0), "late": frame(0.0, first="2025-01-01")}
    assert compare.judge(evidence) == []
    words = compare.recommend([], evidence)
    assert words.startswith("No recommendation: the runs have too few out-of-sample rows in common "
                            "(early 2024-03-01 00:00 to ")


@pytest.mark.no_cover
def test_twins_are_seldom_called_different() -> None:
    """Under the null the rate of a sentence "prefer" stays near its 5 %."""
    seen = [compare.judge({"one": frame(0.5, hours=200, seed=n), "other": frame(0.5, hours=200, seed=5000 + n)}
                          )[0].seen for n in range(200)]
    assert sum(seen) <= stats.binom.ppf(0.999, 200, 0.05)


def run_of(line: Line, **changes: object) -> Run:
    values = {"run_id": "r", "name": "n", "status": "FINISHED", "metrics": {},
              "params": {"target.kind": "direction", "target.horizon_bars": "1"},
              "tags": {tags.LINE: line.name, tags.KIND: "training", tags.EVIDENCE: "e"}}
    return Run(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("changes", "reason"), [
    ({"tags": {tags.LINE: "other_4h", tags.KIND: "training", tags.EVIDENCE: "e"}}, "run b is of line other_4h, not"),
    ({"params": {"target.kind": "volatility", "target.horizon_bars": "1"}}, "predict different things .target.kind: a "
                                                                           "direction, b volatility"),
    ({"params": {"target.kind": "direction", "target.horizon_bars": "4"}}, "target.horizon_bars: a 1, b 4"),
    ({"tags": {tags.LINE: "direction_1h", tags.KIND: "trial"}}, "run b is a trial in state FINISHED without evidence"),
    ({"tags": {tags.LINE: "direction_1h", tags.KIND: "training"}, "status": "FAILED"}, "in state FAILED"),
])
def test_what_cannot_be_compared_is_refused_with_the_reason(changes: dict[str, object], reason: str) -> None:
    line = make_line()
    with pytest.raises(RegistryError, match=reason):
        compare.refuse(line, {"a": run_of(line), "b": run_of(line, **changes)})


def test_other_barriers_are_other_outcomes() -> None:
    line = make_line(target={"kind": "triple_barrier", "horizon_bars": 24}, gate={"shadow": {"when": "never"}})
    params = {"target.kind": "triple_barrier", "target.horizon_bars": "24", "target.upper": "1.0"}
    with pytest.raises(RegistryError, match=r"predict different things .target\.upper: a 1\.0, b 2\.0"):
        compare.refuse(line, {"a": run_of(line, params=params),
                              "b": run_of(line, params=params | {"target.upper": "2.0"})})


def test_trainings_of_a_real_line_side_by_side(tracked: World, tmp_path: Path) -> None:
    world, line = tracked, tracked.line
    as_of = START + 23 * DAY
    one, two = world.train(as_of), world.train(as_of, family="lightgbm")
    tracker = Tracker(world.settings)
    for candidate, loss in ((one, 0.61), (two, 0.65)):
        tracker.measures(candidate.run_id, [Measure("evidence.log_loss", loss), Measure("fold.auc", 0.6)], {
            tags.EVIDENCE: candidate.evidence_digest, tags.FAMILY: candidate.family})
    lines = {line.name: line}
    names = [one.run_id, f"{line.name}@2"]
    owner, runs = compare.resolve(world.warehouse, world.settings, lines, names)
    assert (owner, runs) == (line, {one.run_id: one.run_id, f"{line.name}@2": two.run_id})
    found = compare.compare(world.warehouse, world.settings, owner, runs)
    assert found.metrics == {"evidence.log_loss": {one.run_id: 0.61, f"{line.name}@2": 0.65}}
    assert dict(found.families) == {one.run_id: "logistic_regression", f"{line.name}@2": "lightgbm"}
    rows = len(snapshots.get(world.warehouse, one.evidence_digest))
    assert [(pair.better, pair.rows) for pair in found.pairs] == [(one.run_id, rows)]
    assert found.recommendation

    for given, reason in (([one.run_id], "at least two different runs"), ([one.run_id, f"{line.name}@1"], "different")):
        _, same = compare.resolve(world.warehouse, world.settings, lines, given)
        with pytest.raises(RegistryError, match=reason):
            compare.compare(world.warehouse, world.settings, line, same)
    client = connect(world.settings)
    client.set_tag(two.run_id, tags.LINE, "volatility_4h")
    for given, reason in ((["0" * 32, names[1]], "MLflow refused"), ([f"{line.name}@x"], "neither a run id nor"),
                          ([f"{line.name}@9"], "has no version 9"), ([one.run_id, two.run_id], "of different lines"),
                          ([two.run_id], "there is no line 'volatility_4h'")):
        with pytest.raises(RegistryError, match=reason):
            compare.resolve(world.warehouse, world.settings, lines, given)
