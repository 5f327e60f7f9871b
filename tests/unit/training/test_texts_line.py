"""A line that learns from texts, from labels in the warehouse to a scorer: the way of every other line.

The texts are made of words that no lexicon knows, so what a model finds it has learned.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.config import Settings
from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line
from pipelines.contracts.records import Candidate, Outcome, Reason, RetrainRequest, Verdict
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError, InsufficientData, RegistryError
from pipelines.features import run as features_run
from pipelines.features import snapshot
from pipelines.gate import decide
from pipelines.monitoring import check
from pipelines.registry import evidence, promotion
from pipelines.registry.reproduce import reproduce
from pipelines.serving import batch
from pipelines.serving.scorer import champion_scorer, score_documents
from pipelines.store import Warehouse, derived, facts, ledger, tables
from pipelines.training import audit, produce, stage
from tests.fixtures.mlflow_server import MlflowServer

START = pd.Timestamp("2024-01-01", tz="UTC")
DAYS = 40
AS_OF = (START + pd.Timedelta(days=DAYS)).to_pydatetime()
AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
GOOD, BAD, PLAIN = ("blorp", "zanvy", "quimble"), ("snarf", "grotch", "ploom"), ("table", "window", "paper", "seven")


def make_line(name: str, groups: tuple[str, ...] = ("lexicon", "words")) -> Line:
    return Line.model_validate({
        "name": name, "title": "Do people like it?", "target": {"kind": "polarity"},
        "features": {"groups": groups},
        "walk_forward": {"scheme": "expanding", "train_days": 16, "test_days": 5, "search_folds": 2,
                         "evidence_days": 14, "evidence_fold_days": 7, "embargo_bars": 1},
        "search": {"families": ["tfidf_linear"], "trials": 2, "workers": 1, "nested_runs": 1},
        "gate": {"min_rows": 60, "min_auc": 0.6, "shadow": {"when": "never"}, "rollback": {"watch_days": 0}},
        "retrain": {"on": []}})


def make_labels(count: int = 400, *, told: bool = True, seed: int = 0) -> pd.DataFrame:
    """Judged texts; nine of ten good (bad) ones hold a good (bad) word if ``told``, else any of them."""
    rng = np.random.default_rng(seed)
    good = rng.random(count) < 0.5
    likely = np.where(rng.random(count) < 0.9, good, ~good) if told else rng.random(count) < 0.5
    texts = [" ".join(rng.permutation([rng.choice(GOOD if side else BAD), *rng.choice(PLAIN, 3), f"no{number}"]))
             for number, side in enumerate(likely)]
    written = START + pd.to_timedelta(np.sort(rng.integers(0, DAYS * 86_400 - 7_200, count)), unit="s")
    return pd.DataFrame({
        "source": "made", "doc_id": [f"{number:04d}" for number in range(count)],
        "event_time": written.as_unit("us"), "available_at": (written + pd.Timedelta(hours=1)).as_unit("us"),
        "text": texts, "label": np.where(good, 0.8, -0.8), "raters": 5.0})


@dataclass
class Bench:
    warehouse: Warehouse
    settings: Settings
    line: Line

    def train(self, *, audited: bool = True) -> Candidate:
        with self.warehouse.begin() as connection:
            ledger.request_retrain(connection, RetrainRequest(self.line.name, Reason.MANUAL, AS_OF, "ann"), at=AT)
            request = ledger.claim_request(connection, self.line.name, claimed_by="test", at=AT,
                                           expires_at=AT + timedelta(hours=6))
        assert request is not None
        session = stage.open_training(self.warehouse, self.settings, self.line, request, at=AT)
        if audited:
            assert "no leak found by" in stage.inspect(self.warehouse, self.settings, self.line, session)
        assert stage.run_trials(self.warehouse, self.settings, self.line, session, 0) == 2
        return stage.conclude(self.warehouse, self.settings, self.line, session, at=AT)

    def judge(self, candidate: Candidate) -> Verdict:
        verdict = decide(evidence.assemble(self.warehouse, self.settings, self.line, candidate), self.line.gate)
        promotion.apply(self.warehouse, self.settings, self.line, candidate, verdict, actor="test", at=AT)
        return verdict


@pytest.fixture
def bench(warehouse: Warehouse, mlflow_server: MlflowServer, new_database: Callable[..., str],
          monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Bench:
    # Pictures cost seconds and are looked at elsewhere.
    monkeypatch.setattr(produce.report, "write", lambda place, **_: (place / "model_card.md").write_text("#"))
    settings = Settings(optuna_url=new_database(migrated=False), **mlflow_server.settings)
    return Bench(warehouse, settings, make_line(f"texts_{zlib.crc32(request.node.name.encode())}"))


def test_what_the_lexicon_cannot_know_is_learned_promoted_and_scores(bench: Bench) -> None:
    b = bench
    facts.write(b.warehouse, Kind.LABELS, make_labels())
    with pytest.raises(RegistryError, match="no version has beaten the lexicon"):
        champion_scorer(b.warehouse, b.settings, b.line, AS_OF)
    candidate = b.train()
    verdict = b.judge(candidate)
    assert (verdict.outcome, candidate.family) == (Outcome.PROMOTE, "tfidf_linear")
    assert {"candidate", "base_rate", "persistence", "lexicon"} <= set(verdict.metrics)
    # Nine of ten: the loss of a perfect forecast is 0.33 nats, of the lexicon ln 2.
    assert verdict.metrics["lexicon"]["log_loss"] == pytest.approx(np.log(2), abs=0.02)
    assert verdict.metrics["candidate"]["log_loss"] < 0.45

    scorer = champion_scorer(b.warehouse, b.settings, b.line, AS_OF)
    assert scorer.name == f"{b.line.name}@1"
    texts = ["blorp on the table", "snarf seven", "paper window", "", "  ", None]
    said = scorer.score(texts)  # type: ignore[arg-type]
    assert said["compound"].iloc[0] > 0.3
    assert said["compound"].iloc[1] < -0.3
    assert said["compound"].iloc[1] < said["compound"].iloc[2] < said["compound"].iloc[0]
    assert (said.iloc[3:] == 0).all(axis=None)
    assert said.iloc[:3][["positive", "neutral", "negative"]].sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    assert (said["positive"] - said["negative"]).tolist() == pytest.approx(said["compound"].tolist())
    alone = pd.concat([scorer.score([text]) for text in texts], ignore_index=True)  # type: ignore[list-item]
    pd.testing.assert_frame_equal(alone, said, check_exact=True)

    found = reproduce(b.warehouse, b.settings, b.line, 1)
    assert (found.identical, found.differences) == (True, ())
    _documents_side_by_side(b, scorer)


def _documents_side_by_side(b: Bench, scorer: object) -> None:
    day = Window(AS_OF, AS_OF + timedelta(days=1))
    at = pd.Series([AS_OF + timedelta(hours=1)] * 2).astype("datetime64[us, UTC]")
    facts.write(b.warehouse, Kind.DOCUMENTS, pd.DataFrame({
        "source": "s", "doc_id": ["a", "b"], "event_time": at, "available_at": at, "kind": "post",
        "text": ["blorp zanvy", "ploom"]}))
    assert score_documents(b.warehouse, scorer, day) == 2  # type: ignore[arg-type]
    assert score_documents(b.warehouse, scorer, day) == 2  # type: ignore[arg-type]
    with b.warehouse.begin() as connection:
        stored = derived.read(connection, tables.sentiment_scores, columns=["doc_id", "scorer", "compound"])
    assert stored["scorer"].tolist() == [f"{b.line.name}@1"] * 2
    assert (np.sign(stored.set_index("doc_id")["compound"]) == [1, -1]).all()


def test_labels_that_the_texts_do_not_tell_are_refused(bench: Bench) -> None:
    facts.write(bench.warehouse, Kind.LABELS, make_labels(told=False))
    verdict = bench.judge(bench.train(audited=False))
    assert verdict.outcome is Outcome.REJECT
    assert any(reason.startswith("AUC 0.") for reason in verdict.reasons)
    with bench.warehouse.begin() as connection:
        assert ledger.champion(connection, bench.line.name) is None


def test_the_audit_notices_a_label_that_counts_before_it_was_given(
        warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    line = make_line("texts_early", ("lexicon",))
    facts.write(warehouse, Kind.LABELS, make_labels())
    looks = ["availability", "prefix"]
    assert audit.run(warehouse, None, line, AS_OF, checks=looks).passed
    honest = audit.texts.labels
    # Somebody stamps the labels with the time of the text: training rows would hold answers of their own test day.
    monkeypatch.setattr(audit.texts, "labels", lambda judged, line: honest(judged, line).assign(
        label_end=lambda rows: rows["label_end"] - pd.Timedelta(hours=1)))
    report = audit.run(warehouse, None, line, AS_OF, checks=looks)
    assert not report.passed
    assert {finding.column for finding in report.findings} >= {"label_end"}


def test_nothing_is_done_bar_by_bar(warehouse: Warehouse) -> None:
    line, day = make_line("texts_alone"), Window(AS_OF, AS_OF + timedelta(days=1))
    for refused in (lambda: batch.predict(warehouse, Settings(), line, day),
                    lambda: features_run.materialise(warehouse, line, day),
                    lambda: check.check(warehouse, Settings(), line, AS_OF)):
        with pytest.raises(ConfigError, match=r"texts_alone learns from labelled texts.*`tidemark score --line texts_"):
            refused()
    with pytest.raises(InsufficientData, match=r"no labelled texts written between .* --kind labels"):
        snapshot.training(warehouse, line, AS_OF)
    bars = line.model_copy(update={"target": line.target.model_copy(update={"kind": "direction"})})
    with pytest.raises(ConfigError, match="predicts bars"):
        champion_scorer(warehouse, Settings(), bars, AS_OF)
