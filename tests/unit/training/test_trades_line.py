"""A line that learns from a log of trades, from the warehouse to a verdict: the way of every other line."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from infra.studies import judging, trade_win
from pipelines import config
from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line, Target, load_lines
from pipelines.contracts.records import Outcome, Reason, RetrainRequest
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError, TrainingError
from pipelines.features import run as features_run
from pipelines.gate import decide
from pipelines.monitoring import check
from pipelines.registry import evidence, promotion
from pipelines.registry.client import ModelRegistry
from pipelines.registry.lineage import sources
from pipelines.registry.reproduce import reproduce
from pipelines.serving import batch
from pipelines.serving.scorer import champion_scorer
from pipelines.store import Warehouse, facts, ledger, snapshots
from pipelines.training import audit, fit, produce, stage, take
from pipelines.validation.splits import plan
from tests.fixtures.mlflow_server import MlflowServer
from tests.unit.features.world import DAY, HOUR, START, clean

DAYS = 20
AS_OF = START + DAYS * DAY
AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
T = pd.Timestamp(START)
DATA = Path(os.environ.get("TIDEMARK_TEST_DATA", config.ROOT.parent / "shared" / "data"))


def make_line(name: str = "wins", **rest: object) -> Line:
    return Line.model_validate({
        "name": name, "title": "Wins", "target": {"kind": "trade_win"},
        "features": {"groups": ["returns", "history"], "longest_bars": 24},
        "walk_forward": {"scheme": "expanding", "train_days": 7, "test_days": 2, "search_folds": 2, "evidence_days": 8,
                         "evidence_fold_days": 4},
        "search": {"families": ["logistic_regression"], "trials": 2, "workers": 1, "nested_runs": 1},
        "gate": {"min_rows": 100, "shadow": {"when": "never"}, "rollback": {"watch_days": 0}},
        "retrain": {"on": []}} | rest)


def fill(warehouse: Warehouse, *, told: float = 1.2, seed: int = 0) -> None:
    """Bars of two markets and a log of trades that are the likelier to win, the higher the return of the day before
    the entry (``told``: how much)."""
    rng = np.random.default_rng(seed)
    bars = clean(DAYS * 24, seed=seed + 1)
    rows = []
    for symbol, mine in bars.groupby("symbol"):
        close = mine["close"].to_numpy()
        for hour in range(26, DAYS * 24 - 8):
            if rng.random() < 0.35:
                continue
            known = np.log(close[hour - 1] / close[hour - 25]) / (0.01 * np.sqrt(24))
            won = rng.random() < 1 / (1 + np.exp(-told * known))
            rows.append((symbol, T + hour * HOUR, T + (hour + int(rng.integers(1, 6))) * HOUR,
                         (1 if won else -1) * rng.uniform(0.002, 0.02)))
    log = pd.DataFrame(rows, columns=["symbol", "event_time", "closed_at", "profit_ratio"])
    for name in ("event_time", "closed_at"):
        log[name] = log[name].astype("datetime64[us, UTC]")
    log = log.assign(source="bot", trade_id=[f"{number:04d}" for number in range(len(log))], side="long",
                     entry_price=1.0, size=1.0, exit_price=1.0, exit_reason="done", available_at=log["closed_at"])
    opened = log.assign(available_at=log["event_time"], closed_at=pd.Series(pd.NaT, index=log.index,
                                                                             dtype="datetime64[us, UTC]"),
                        exit_price=np.nan, profit_ratio=np.nan, exit_reason=None)
    facts.write(warehouse, Kind.BARS, bars.drop(columns="revision"))
    facts.write(warehouse, Kind.TRADES, opened)
    facts.write(warehouse, Kind.TRADES, log)


def test_what_the_entry_tells_is_learned_promoted_and_taken(
        warehouse: Warehouse, mlflow_server: MlflowServer, new_database: Callable[..., str],
        monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    written: dict[str, pd.DataFrame] = {}

    def report(place: Path, **given: object) -> None:  # pictures cost seconds and are looked at elsewhere
        written["evidence"] = given["evidence"]  # type: ignore[assignment]
        (place / "model_card.md").write_text(str(given["card"]))
        written["card"] = str(given["card"])  # type: ignore[assignment]

    monkeypatch.setattr(produce.report, "write", report)
    settings = Settings(optuna_url=new_database(migrated=False), **mlflow_server.settings)
    line = make_line(f"wins_{zlib.crc32(request.node.name.encode())}")
    fill(warehouse)
    with warehouse.begin() as connection:
        ledger.request_retrain(connection, RetrainRequest(line.name, Reason.MANUAL, AS_OF, "ann"), at=AT)
        asked = ledger.claim_request(connection, line.name, claimed_by="test", at=AT,
                                     expires_at=AT + timedelta(hours=6))
    assert asked is not None
    session = stage.open_training(warehouse, settings, line, asked, at=AT)
    assert "no leak found by sources, availability, prefix" in stage.inspect(warehouse, settings, line, session)
    assert stage.run_trials(warehouse, settings, line, session, 0) == 2
    candidate = stage.conclude(warehouse, settings, line, session, at=AT)
    verdict = decide(evidence.assemble(warehouse, settings, line, candidate), line.gate)
    promotion.apply(warehouse, settings, line, candidate, verdict, actor="test", at=AT)
    assert verdict.outcome is Outcome.PROMOTE, verdict.reasons

    rows = snapshots.get(warehouse, candidate.evidence_digest)
    assert set(take.COLUMNS) <= set(rows.columns)
    assert (rows["take"] == (rows["candidate"] >= rows["threshold"])).all()
    decided = take.table(rows, line.search.seed)
    assert decided.loc[("difference", "mean_profit"), "low"] > 0
    run = ModelRegistry(settings).run(candidate.run_id)
    version = ModelRegistry(settings).version(line, candidate.version)
    assert float(version.tags[tags.THRESHOLD]) == run.metrics["decision.threshold"]
    assert 0 < run.metrics["decision.threshold"] < 1
    assert run.metrics["decision.take.mean_profit"] == pytest.approx(
        decided.loc[("take", "mean_profit"), "estimate"])
    assert "P(y = 1) for a trade at its opening, where y is 1 when the trade has earned something" in written["card"]
    assert "## TAKE or SKIP" in written["card"]

    assert [source.kind for source in sources(warehouse, line, AS_OF)] == ["bars", "trades"]
    found = reproduce(warehouse, settings, line, 1)
    assert (found.identical, found.differences) == (True, ())


def test_a_log_that_nothing_tells_is_not_promoted(warehouse: Warehouse, new_database: Callable[..., str]) -> None:
    fill(warehouse, told=0.0)
    line = make_line(gate={"min_rows": 100, "min_auc": 0.52, "shadow": {"when": "never"},
                           "rollback": {"watch_days": 0}})
    found = judging.judge(warehouse, new_database(migrated=False), line, AS_OF, audited=True)
    assert found.verdict.outcome is not Outcome.PROMOTE
    row = take.table(found.evidence, 1).loc[("difference", "mean_profit")]
    assert row["low"] <= 0 <= row["high"]


def test_the_audit_notices_the_candle_of_the_entry(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(warehouse)
    line = make_line(features={"groups": ["returns"], "longest_bars": 24})
    honest = audit.trades.in_force
    # Somebody joins the bar of the entry: its close is known an hour later.
    monkeypatch.setattr(audit.trades, "in_force", lambda event, known, at: honest(event, known, at + 3_600_000_000))
    report = audit.run(warehouse, None, line, AS_OF, checks=["prefix"])
    assert {finding.column for finding in report.findings} >= {"return_1h", "return_4h"}


def test_the_threshold_knows_nothing_of_the_days_it_decides(warehouse: Warehouse) -> None:
    line = make_line()
    fill(warehouse)
    _, frame = audit.snapshot.matrix(warehouse, line, AS_OF)
    folds, family = plan(line, frame), "logistic_regression"
    params = produce.families.get(family).defaults
    data = fit.matrix(frame)
    first = folds.evidence[0]
    rule = take.rule(line, data, first.train, family, params, 7)
    rng = np.random.default_rng(0)
    other = frame.copy()
    later = np.setdiff1d(np.arange(len(frame)), first.train)
    other.loc[later, ["return_24h", "forward_return"]] = rng.normal(0, 1, (len(later), 2))
    other.loc[later, "y"] = rng.integers(0, 2, len(later))
    assert take.rule(line, fit.matrix(other), first.train, family, params, 7) == rule
    # Nor is a row predicted by a model that has seen it: with as many features as it likes, noise stays noise.
    assert rule.rows < 0.7 * len(first.train)
    assert rule.taken >= 20
    with pytest.raises(TrainingError, match=r"wins: no threshold can be chosen on 45 training trades up to .* .* "
                                            r"at least 20 are needed: lengthen train_days or load a longer log"):
        take.rule(line, data, first.train[:45], family, params, 7)


def test_the_overlap_is_that_of_the_trades() -> None:
    """Openings at 0, 1, 2 and 5 o'clock: the first trade lasts until 2, the second until 3, the others end at once."""
    hours = np.array([0, 1, 2, 5])
    rows = pd.DataFrame({"event_time": T + pd.to_timedelta(hours, unit="h"),
                         "label_end": T + pd.to_timedelta([2, 3, 3, 6], unit="h")})
    assert evidence._overlap(make_line(), rows) == 1  # (2 + 1 + 0 + 0) / 4, rounded up
    assert evidence._overlap(make_line(), rows.iloc[:0]) == 0
    bars = make_line().model_copy(update={"target": Target(kind="direction", horizon_bars=24)})
    assert evidence._overlap(bars, rows) == 23


def test_nothing_is_done_bar_by_bar(warehouse: Warehouse) -> None:
    line, day = make_line("wins_alone"), Window(AS_OF, AS_OF + timedelta(days=1))
    for refused in (lambda: batch.predict(warehouse, Settings(), line, day),
                    lambda: features_run.materialise(warehouse, line, day),
                    lambda: check.check(warehouse, Settings(), line, AS_OF)):
        with pytest.raises(ConfigError, match=r"wins_alone learns from closed trades.*`tidemark train wins_alone`"):
            refused()
    with pytest.raises(ConfigError, match=r"wins_alone predicts trades; only a line with target\.kind"):
        champion_scorer(warehouse, Settings(), line, AS_OF)


@pytest.mark.realdata
@pytest.mark.skipif(not (DATA / "trade_log_bbrsi_2021").is_dir(), reason=f"no trade log in {DATA}")
def test_on_the_real_log_the_answer_is_chance(warehouse: Warehouse, new_database: Callable[..., str]) -> None:
    """In sample it looks like skill, on the days that follow like nothing, and the gate refuses it."""
    as_of = datetime(2021, 3, 1, tzinfo=UTC)
    trade_win.load(warehouse, DATA, config.ROOT / "tests" / "data" / "trades.toml",
                   Window(datetime(2021, 1, 1, tzinfo=UTC), as_of))
    line = load_lines(config.ROOT / "mlflow" / "lines")["trade_win"]
    line = line.model_copy(update={"search": line.search.model_copy(update={"trials": 4})})
    found = judging.judge(warehouse, new_database(migrated=False), line, as_of, audited=True)
    frame = found.data.frame
    assert 760 < len(frame) <= 779  # those opened before 24 bars were there are no rows
    assert frame["y"].mean() == pytest.approx(0.48, abs=0.01)
    for family in line.search.families:
        areas = trade_win.honest(line, found, family, draws=400)
        (inside, _, _), (later, low, high) = areas["in sample"], areas["walk-forward"]
        assert inside > 0.6, family
        assert low < 0.5 < high, (family, later, low, high)
    assert found.verdict.outcome is not Outcome.PROMOTE
    row = take.table(found.evidence, line.search.seed).loc[("difference", "mean_profit")]
    assert row["low"] < 0 < row["high"]
