"""Evidently with our limits says what we say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipelines.contracts.line import Drift
from pipelines.monitoring import detect
from pipelines.monitoring import evidently_report as door
from tests.unit.monitoring.test_drift import cut, market

POLICY = Drift(window_days=5, share=0.3, method="wasserstein")


@pytest.mark.parametrize("method", ["moments", "wasserstein", "ks", "psi", "jensenshannon"])
def test_evidently_counts_the_same_columns(method: str) -> None:
    world = market(56, columns=6)
    world["f5"] *= 1e-6
    reference, current = cut(world, 0, 51), cut(world, 51, 56)
    current["f1"] += 3.0
    current["f5"] += 3e-6
    policy = POLICY.model_copy(update={"method": method})
    report = detect(reference, current, policy)
    found = door.run(reference, current, report, policy)
    assert found is not None
    assert found.html is None
    value = found.summary["metrics"][0]["value"]
    assert value["count"] == sum(column.drifted for column in report.columns) >= 2
    assert value["share"] == pytest.approx(report.share)
    assert len(json.dumps(found.summary)) < 20_000


def test_the_page_and_its_size() -> None:
    world = market(56, columns=40)
    reference, current = cut(world, 0, 51), cut(world, 51, 56)
    for number in range(20):
        current[f"f{number}"] += 3.0
    current["f39"] = np.nan
    report = detect(reference, current, POLICY)
    found = door.run(reference, current, report, POLICY, html=True)
    assert found is not None
    assert found.html is not None
    assert found.html.lstrip().startswith("<!DOCTYPE html>") or "<html" in found.html[:200]
    assert len(found.html) < 6_000_000
    assert len(found.summary["metrics"]) == 1 + door.MAX_PLOTS
    assert len(found.summary["metrics"][0]["config"]["columns"]) == door.MAX_COLUMNS
    drawn = [metric["config"]["column"] for metric in found.summary["metrics"][1:]]
    assert "f39" not in drawn
    scores = {column.column: abs(column.effect or 0.0) for column in report.columns}  # what a pure shift amounts to
    values = {metric["config"]["column"]: metric["value"] for metric in found.summary["metrics"][1:]}
    assert {name: pytest.approx(scores[name], rel=0.03) for name in values} == values


def test_nothing_to_show() -> None:
    world = market(20, columns=1)
    assert door.run(world, world.iloc[:0], detect(world, world.iloc[:0], POLICY), POLICY) is None
