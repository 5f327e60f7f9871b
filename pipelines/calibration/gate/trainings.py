"""Real trainings on simulated markets, judged by the gate.

Each training is the product's own: snapshot from the warehouse, folds, the whole search on a shared study with all its
trials and pruning, predictions of every complete trial, final fit, evidence as the registry assembles it. Left out is
what decides nothing: MLflow, the report, the leak audit (its recall is measured by its own tests).

Trainings of one world are `STEP` days apart, so their fresh days do not overlap; worlds have other seeds. The champion
of a training is the model of the one `LAG` steps before: all it is judged on is out of its sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipelines.calibration.gate.outcome import Outcome, Outcomes, Scenario
from pipelines.config import Simulator
from pipelines.contracts.line import Features as Groups
from pipelines.contracts.line import Gate, Line, Search, Target, WalkForward
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.records import Candidate, Evidence
from pipelines.contracts.records import Outcome as Answer
from pipelines.errors import ContractError

if TYPE_CHECKING:
    from pipelines.calibration.gate.workshop import Workshop
    from pipelines.training.families.base import Fitted

START = datetime(2024, 1, 1, tzinfo=UTC)
SYMBOLS = 3
STEP = timedelta(days=7)
LAG = 3
#: Trainings judged in one world, before the next one is made with another seed.
PER_WORLD = 50
#: How long after an edge has turned round a new champion may come.
PATIENCE = 6
FALSE, RIGHT = "a candidate that is no better is promoted", "the candidate, which is better, is promoted"
#: The shipped hourly direction line with two of its four families and eight of its sixteen trials. The floor of the
#: AUC is off, and returns are not asked for: both could only lower the rate of promotions.
LINE = Line(
    name="calibration_1h", title="Sign of the next hour's return, for calibration",
    target=Target(kind="direction", horizon_bars=1),
    features=Groups(groups=("returns", "trend", "volatility", "time", "sentiment", "indicators")),
    walk_forward=WalkForward(train_days=28, test_days=4, search_folds=4, evidence_days=7),
    search=Search(families=("logistic_regression", "lightgbm"), trials=8), gate=Gate(min_auc=0.0))
WARM_UP = timedelta(days=LINE.walk_forward.history_days + 5)


@dataclass(frozen=True)
class Trained:
    """A training's candidate: its record, what the evidence is made of, and its model."""

    candidate: Candidate
    snapshot: pd.DataFrame
    evidence: pd.DataFrame
    tried: pd.DataFrame
    model: Fitted


def train(workshop: Workshop, world: Simulator, as_of: datetime, seed: int, shuffle: bool = False) -> Trained:
    """Train ``LINE`` in a world, once for equal arguments; ``shuffle``: on labels permuted by `shuffled`."""
    key = (world.model_dump_json(), as_of, seed, shuffle)
    if key not in workshop.kept:
        workshop.kept[key] = _train(workshop, world, as_of, seed, shuffle)
    found = workshop.kept[key]
    if not isinstance(found, Trained):
        raise ContractError(f"{key} is kept by somebody else; use another key")
    return found


def _train(workshop: Workshop, world: Simulator, as_of: datetime, seed: int, shuffle: bool) -> Trained:
    from pipelines.features import snapshot
    from pipelines.training import fit, produce, search
    from pipelines.validation.splits import plan

    warehouse = workshop.world(world)
    ref, frame = snapshot.training(warehouse, LINE, as_of)
    if shuffle:
        frame = shuffled(frame, np.random.default_rng([seed, int(as_of.timestamp())]))
    data = fit.matrix(frame)
    folds = plan(LINE, frame)
    study = f"{LINE.name}/{len(workshop.kept)}"
    rows = fit.tested_rows(data, folds.search)

    def evaluate(family: str, params: object) -> Iterator[search.FoldScore]:
        return fit.score_folds(data, folds.search, family, params, seed)  # type: ignore[arg-type]

    def keep(predictions: FloatArray) -> str:
        return produce.keep_trial(warehouse, LINE, folds, rows, predictions)

    search.create(workshop.optuna_url, study, LINE.search.families)
    search.run(workshop.optuna_url, study, family_names=LINE.search.families, trials=LINE.search.trials, seed=seed,
               evaluate=evaluate, keep=keep)
    trials = search.records(workshop.optuna_url, study)
    search.delete(workshop.optuna_url, study)
    best = search.best(trials)
    family = str(best.family)
    searched = fit.out_of_sample(data, folds.search, family, best.params, seed)
    model, used = fit.final(data, LINE, family, best.params, seed)
    candidate = Candidate(
        line=LINE.name, version=2, run_id=study, family=family, as_of=as_of,
        trained_through=frame["label_end"].iloc[used].max().to_pydatetime(), snapshot_digest=ref.digest,
        evidence_digest="", trials=sum(trial.state in ("complete", "pruned") for trial in trials), audited=True)
    return Trained(candidate, frame[frame["event_time"] >= folds.search[0].test_start],
                   fit.out_of_sample(data, folds.evidence, family, best.params, seed),
                   produce.search_frame(warehouse, searched, trials), model)


def shuffled(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A snapshot whose days have the outcomes of other days: all symbols and hours of a day together, so that labels
    hang together as before and nothing can predict them. Rows whose other day has no such row are left out."""
    day = frame["event_time"].dt.normalize()
    days = np.sort(day.unique())
    source = pd.Series(rng.permutation(len(days)), index=days)
    key = pd.DataFrame({"symbol": frame["symbol"], "hour": frame["event_time"].dt.hour,
                        "day": pd.Series(np.arange(len(days)), index=days).reindex(day).to_numpy()})
    values = key.assign(y=frame["y"].to_numpy(), forward_return=frame["forward_return"].to_numpy())
    asked = key.assign(day=source.reindex(day).to_numpy())
    found = asked.merge(values, on=["symbol", "hour", "day"], how="left", validate="many_to_one")
    there = found["y"].notna().to_numpy()
    changed = frame.assign(y=found["y"].to_numpy(), forward_return=found["forward_return"].to_numpy())
    return changed[there].astype({"y": "int64"}).reset_index(drop=True)


def evidence_of(challenger: Trained, champion: Trained | None) -> Evidence:
    """What the gate judges: against the champion, or against the better naive forecast."""
    from pipelines.registry import evidence, models

    if champion is None:
        return evidence.judged(LINE, challenger.candidate, challenger.evidence, challenger.tried, None)

    def score(rows: pd.DataFrame) -> FloatArray:
        return models.score(champion.model, rows, LINE, champion.candidate.version)

    through = champion.candidate.trained_through
    rows, tried = (evidence.beside_champion(LINE, frame, challenger.snapshot, through, score)
                   for frame in (challenger.evidence, challenger.tried))
    return evidence.judged(LINE, challenger.candidate, rows, tried, 1)


def _promoted(challenger: Trained, champion: Trained | None) -> bool:
    from pipelines.gate import decide

    return decide(evidence_of(challenger, champion), LINE.gate).outcome is Answer.PROMOTE


def _judged(edge: float, *, champion: bool = False, shuffle: bool = False) -> Outcomes:
    def outcomes(reps: int, seed: int, workshop: Workshop | None) -> Iterator[Outcome]:
        bench = _needed(workshop)
        for number in range(reps):
            place, at = divmod(number, PER_WORLD)
            at += LAG
            steps = min(PER_WORLD, reps - place * PER_WORLD) + LAG
            world = Simulator(seed=1000 * seed + 10 * place + 1, start=START, symbols=SYMBOLS, edge=edge,
                              days=(WARM_UP + steps * STEP).days)
            challenger = train(bench, world, START + WARM_UP + at * STEP, seed + at, shuffle)
            rival = train(bench, world, START + WARM_UP + (at - LAG) * STEP, seed + at - LAG) if champion else None
            hit = _promoted(challenger, rival)
            yield Outcome(hit, hit)
    return outcomes


def _turning(reps: int, seed: int, workshop: Workshop | None) -> Iterator[Outcome]:
    """The edge turns round right after the champion's training; a challenger is trained each week after."""
    bench = _needed(workshop)
    for number in range(reps):
        turn = WARM_UP
        world = Simulator(seed=1000 * seed + 500 + number, start=START, symbols=SYMBOLS, edge=1.0,
                          days=(turn + (PATIENCE + 1) * STEP).days, shift_day=turn.days)
        champion = train(bench, world, START + turn, seed)
        delay = math.nan
        for week in range(2, PATIENCE + 1):
            if _promoted(train(bench, world, START + turn + week * STEP, seed + week), champion):
                delay = week * STEP / timedelta(days=1)
                break
        yield Outcome(math.isfinite(delay), math.isfinite(delay), delay=delay)


def _needed(workshop: Workshop | None) -> Workshop:
    if workshop is None:
        raise ContractError("real trainings need a workshop; open one with calibration.workshop.open_workshop")
    return workshop


def scenarios() -> Iterator[Scenario]:
    """All of them, nulls first."""
    search = f"the whole search of {LINE.search.trials} trials"
    yield Scenario("real_edge0", "null", f"simulated market without an edge, {search}, against the better naive "
                   "forecast", FALSE, _judged(0.0), needs_database=True)
    yield Scenario("real_edge0_champion", "null", f"the same against the champion of {LAG * STEP.days} days before",
                   FALSE, _judged(0.0, champion=True), needs_database=True)
    yield Scenario("real_edge1_champion", "null", "market with an edge; the same line with another seed and later "
                   "data against its champion: no better", FALSE, _judged(1.0, champion=True), needs_database=True)
    yield Scenario("real_shuffled", "null", f"market with an edge, labels permuted by whole days, {search}", FALSE,
                   _judged(1.0, shuffle=True), needs_database=True)
    for edge in (0.5, 1.0, 1.4):
        yield Scenario(f"real_edge{edge:g}", "alternative", f"planted edge of {edge:g}, {search}, against the better "
                       "naive forecast", RIGHT, _judged(edge), needs_database=True)
    yield Scenario("real_turn", "alternative", "the edge turns round; a weekly challenger against the stale champion",
                   f"a challenger is promoted within {PATIENCE * STEP.days} days", _turning, needs_database=True)
