"""The year, day by day, as the DAGs play it: serve, mature, check, ask the policy, look; train, judge, promote.

What is done and in which order is that of ``plugins/tidemark_airflow`` (watching, looking, training, judging); what the
wall clock is there is the data's time here. Nothing of this sees the truth.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pandas as pd

from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.records import Candidate, Reason, RetrainRequest
from pipelines.contracts.window import Window
from pipelines.features import run as features_run
from pipelines.gate import decide
from pipelines.monitoring import check, looks, outcomes
from pipelines.registry import evidence, models, promotion
from pipelines.retrain import run as retrain
from pipelines.serving import batch
from pipelines.serving.rows import rows
from pipelines.store import Warehouse, ledger, snapshots
from pipelines.training import stage

ACTOR = "year"
#: When a version begins to score, and which.
Reign = list[tuple[datetime, int]]


@dataclass
class Meter:
    """CPU seconds of this process (the database's are not in it) and how often, by kind of work."""

    seconds: dict[str, float] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def of(self, work: str) -> Iterator[None]:
        begun = time.process_time()
        try:
            yield
        finally:
            self.seconds[work] = self.seconds.get(work, 0.0) + time.process_time() - begun
            self.times[work] = self.times.get(work, 0) + 1


@dataclass(frozen=True)
class Stage:
    """Where it is played. ``tick`` is told each day that has passed."""

    warehouse: Warehouse
    settings: Settings
    year: Window
    tick: Callable[[datetime], None] = lambda _: None


def policy(on: Stage, line: Line, *, audited: bool = True) -> Meter:
    """The line's own year: whatever its policy asks for is trained, whatever the gate promotes serves.

    Args:
        audited: what the first training is made of is audited for leaks; that of the others is the same.
    """
    meter = Meter()
    retrain.consider(on.warehouse, line, None, as_of=on.year.start, at=on.year.start)
    answer(on, line, on.year.start, meter, audited=audited)
    for day in on.year.days():
        with meter.of("features"):
            features_run.materialise(on.warehouse, line, day)
        with meter.of("predict"):
            batch.predict(on.warehouse, on.settings, line, day)
        with meter.of("mature"):
            outcomes.mature(on.warehouse, line, day.end)
        with meter.of("check"):
            report = check.check(on.warehouse, on.settings, line, day.end)
        with meter.of("consider"):
            retrain.consider(on.warehouse, line, report, as_of=day.end, at=day.end)
        with meter.of("look"):
            looks.review(on.warehouse, on.settings, line, day.end, at=day.end)
        answer(on, line, day.end, meter)
        on.tick(day.end)
    return meter


def answer(on: Stage, line: Line, at: datetime, meter: Meter, *, audited: bool = False) -> None:
    """Serve the open request, if there is one, and act on the gate's verdict."""
    with on.warehouse.begin() as connection:
        request = ledger.claim_request(connection, line.name, claimed_by=ACTOR, at=at, resume=True,
                                       expires_at=at + stage.claim_duration(line))
    if request is None:
        return
    candidate = train(on, line, request, at, meter, audited=audited)
    with meter.of("judge"):
        verdict = decide(evidence.assemble(on.warehouse, on.settings, line, candidate), line.gate)
        promotion.record(on.warehouse, line, candidate, verdict, at=at)
        promotion.apply(on.warehouse, on.settings, line, candidate, verdict, actor=ACTOR, at=at)


def train(on: Stage, line: Line, request: RetrainRequest, at: datetime, meter: Meter, *,
          audited: bool = False) -> Candidate:
    """A training as the train DAG does it; ``audited``: with the leak audit.

    Raises:
        LeakFound: the audit has found something: nothing that follows would be worth anything.
    """
    if audited:
        with meter.of("audit"):
            session = stage.open_training(on.warehouse, on.settings, line, request, at=at)
            stage.inspect(on.warehouse, on.settings, line, session)
    with meter.of("train"):
        if not audited:
            session = stage.open_training(on.warehouse, on.settings, line, request, at=at)
        stage.run_trials(on.warehouse, on.settings, line, session, 0)
        return stage.conclude(on.warehouse, on.settings, line, session, at=at)


def weekly(on: Stage, line: Line, every: timedelta = timedelta(days=7)) -> tuple[list[Candidate], Meter]:
    """A training every week, whatever happens; nobody asks, nobody judges."""
    meter, made, at = Meter(), [], on.year.start
    while at < on.year.end:
        request = RetrainRequest(line=line.name, reason=Reason.SCHEDULE, as_of=at, requested_by=ACTOR)
        made.append(train(on, line, request, at, meter))
        on.tick(at)
        at += every
    return made, meter


def newest(candidates: list[Candidate]) -> Reign:
    """Whatever is newest serves."""
    return [(candidate.as_of, candidate.version) for candidate in candidates]


def better(on: Stage, line: Line, candidates: list[Candidate]) -> Reign:
    """A candidate serves when its mean loss on its evidence days is lower than that of the one that serves, on the same
    rows (those that it has not learned from): the rule of most pipelines."""
    reign = newest(candidates[:1])
    serving = candidates[0]
    for candidate in candidates[1:]:
        model = models.load(on.warehouse, on.settings, line, serving.version)

        def score(found: pd.DataFrame, model: object = model, version: int = serving.version) -> FloatArray:
            return models.score(model, found, line, version)  # type: ignore[arg-type]

        both = evidence.beside_champion(line, snapshots.get(on.warehouse, candidate.evidence_digest),
                                        snapshots.get(on.warehouse, candidate.snapshot_digest),
                                        serving.trained_through, score)
        own, other = (evidence.mean_loss(both, name).mean() for name in (evidence.CANDIDATE, evidence.CHAMPION))
        if own < other:
            serving = candidate
            reign.append((candidate.as_of, candidate.version))
    return reign


def chances(on: Stage, line: Line, reign: Reign, frame: pd.DataFrame) -> pd.Series:
    """What the versions of a reign predict for the rows that became available in their time, by ``frame``'s index."""
    ends = [*(begins for begins, _ in reign[1:]), on.year.end]
    parts = []
    for (begins, version), ends_at in zip(reign, ends, strict=True):
        mine = frame[(frame["available_at"] >= begins) & (frame["available_at"] < ends_at)]
        model = models.load(on.warehouse, on.settings, line, version)
        parts.append(pd.Series(models.score(model, mine, line, version), index=mine.index))
    return pd.concat(parts)


def feature_rows(on: Stage, line: Line) -> pd.DataFrame:
    """The rows of the year as they were served: ``symbol``, ``event_time``, ``available_at``, features."""
    return rows(on.warehouse, line, on.year)
