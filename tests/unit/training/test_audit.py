"""The audit of the shipped lines on a warehouse: clean as they are, caught when one of their own parts looks ahead."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pipelines import config
from pipelines.cli import app, stages
from pipelines.config import Simulator
from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line, load_lines
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.window import Window
from pipelines.errors import InsufficientData
from pipelines.features import declare, matrix, snapshot
from pipelines.features.groups import time, volatility
from pipelines.ingest import run as ingest_run
from pipelines.ingest.simulator import SimulatorProvider
from pipelines.sentiment import run as sentiment_run
from pipelines.store import Warehouse
from pipelines.training import audit, families, fit
from pipelines.validation.audit import CEILING, AuditReport
from pipelines.validation.splits import plan
from tests.unit.training.conftest import make_frame, make_line

DAYS = 125
LINES = {name: line for name, line in load_lines(config.ROOT / "mlflow" / "lines").items() if line.on_bars}


@pytest.fixture(scope="module")
def loaded(shared_warehouse: Warehouse) -> tuple[Warehouse, datetime]:
    """A simulated market with the dirt of real feeds: gaps, late rows and revisions."""
    provider = SimulatorProvider(Simulator(days=DAYS, symbols=2, dirt=0.02))
    span = provider.span()
    for part in span.months():
        ingest_run.run(shared_warehouse, provider, part, kinds=[Kind.BARS, Kind.DOCUMENTS, Kind.INDICATORS],
                       at=span.end)
    quarter = Window(span.start + timedelta(days=58), span.end)  # the days that the sentiment line looks at
    for part in quarter.months():
        sentiment_run.run(shared_warehouse, part)
    return shared_warehouse, span.end


@pytest.mark.parametrize("name", sorted(LINES))
def test_the_shipped_lines_have_no_finding(loaded: tuple[Warehouse, datetime], name: str) -> None:
    warehouse, as_of = loaded
    report = audit.run(warehouse, None, LINES[name], as_of)
    assert report.passed, report.markdown()
    states = {result.check: result.state for result in report.results}
    assert {check for check, state in states.items() if state == "skipped"} <= (
        {"execution"} if LINES[name].target.kind == "volatility" else set())
    looked = {result.check: result.looked for result in report.results}
    assert looked["revisions"].cuts >= 10
    assert looked["prefix"].columns >= len(LINES[name].features.groups)


def test_what_is_audited_is_what_is_trained_on(loaded: tuple[Warehouse, datetime],
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse, as_of = loaded
    seen: list[pd.DataFrame] = []
    monkeypatch.setattr(audit, "audit_line", lambda line, **given: seen.append(given["frame"]))
    audit.run(warehouse, None, LINES["calendar_1h"], as_of)
    _, trained = snapshot.training(warehouse, LINES["calendar_1h"], as_of)
    pd.testing.assert_frame_equal(seen[0], trained, check_exact=True)


def leaking(bars: declare.Bars) -> Mapping[str, FloatArray]:
    """The shipped group with its day's volatility taken from the day to come."""
    values = dict(volatility._compute(bars))
    coming = np.full_like(values["realised_volatility_24h"], np.nan)
    coming[:-24] = values["realised_volatility_24h"][24:]
    return values | {"realised_volatility_24h": np.where(np.isnan(coming), 0.0, coming)}


def test_a_feature_group_that_looks_ahead(loaded: tuple[Warehouse, datetime], monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse, as_of = loaded
    group = declare.Group("volatility", volatility.GROUP.features, from_bars=leaking)
    monkeypatch.setitem(matrix.catalog.GROUPS, "volatility", group)
    report = audit.run(warehouse, None, LINES["volatility_24h"], as_of, checks=["prefix"])
    found = {(item.check, item.column): item for item in report.findings}
    assert {column for _, column in found} == {"realised_volatility_24h"}
    line = LINES["volatility_24h"]
    window = Window(as_of - timedelta(days=line.walk_forward.history_days) - line.horizon, as_of)
    rows = matrix.build(warehouse, line, window=window, as_of=as_of)
    assert found["prefix", "realised_volatility_24h"].first_offending_time == rows["event_time"].min()


def test_too_little_history_is_refused(loaded: tuple[Warehouse, datetime]) -> None:
    warehouse, as_of = loaded
    with pytest.raises(InsufficientData):
        audit.run(warehouse, None, LINES["calendar_1h"], as_of - timedelta(days=DAYS - 22))


@pytest.mark.parametrize("family", ["logistic_regression", "lightgbm"])
def test_the_fitter_says_what_the_evidence_says(family: str) -> None:
    """On the fold's own test rows, in any order, it gives the columns of the evidence."""
    line, frame = make_line(), make_frame()
    fold = plan(line, frame).evidence[0]
    told = fit.out_of_sample(fit.matrix(frame), [fold], family, families.get(family).defaults, 7)
    order = np.random.default_rng(1).permutation(len(fold.test))
    said = audit.fitter(family, 7)(frame, fold, frame.iloc[fold.test[order]].reset_index(drop=True))
    np.testing.assert_array_equal(said, told[["candidate", "base_rate", "persistence"]].to_numpy()[order])


def test_the_command(loaded: tuple[Warehouse, datetime], monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON and exit 0 when clean; a table and exit 1 with a finding; the options reach the audit."""
    warehouse, as_of = loaded
    real, seeds = audit.run, []

    def quick(*given: object, **named: object) -> AuditReport:
        seeds.append(named["seed"])
        return real(*given, **named, checks=["prefix"])  # type: ignore[arg-type]

    @contextmanager
    def opened() -> Iterator[Warehouse]:
        yield warehouse

    monkeypatch.setattr(audit, "run", quick)
    monkeypatch.setattr(stages, "open_warehouse", opened)
    ask = ["audit", "calendar_1h", "--as-of", as_of.isoformat()]
    clean = CliRunner().invoke(app, [*ask, "--seed", "5", "--json"])
    assert clean.exit_code == 0, clean.output
    told = json.loads(clean.stdout)
    assert (told["passed"], told["subject"], told["seed"]) == (True, "calendar_1h", 5)
    group = declare.Group("time", matrix.catalog.GROUPS["time"].features, from_rows=_told)
    monkeypatch.setitem(matrix.catalog.GROUPS, "time", group)
    caught = CliRunner().invoke(app, ask)
    assert caught.exit_code == 1
    assert "hour_sin" in caught.stdout
    assert seeds == [5, None]


def _told(rows: declare.Rows) -> Mapping[str, FloatArray]:
    """What was read as of when is known to nobody on the way."""
    assert time.GROUP.from_rows is not None
    values = dict(time.GROUP.from_rows(rows))
    return values | {"hour_sin": values["hour_sin"] + rows.as_of.value / 1e18}


def test_lines_of_any_kind_have_a_ceiling() -> None:
    kinds: set[str] = set(Line.model_fields["target"].annotation.model_fields["kind"].annotation.__args__)
    assert set(CEILING) == kinds
