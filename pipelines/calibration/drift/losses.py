"""The inputs stay and the edge dies, or does not: what the performance test says, day by day.

A model says ``P = 1 / (1 + exp(-edge z))`` of every symbol and hour, ``z`` an autoregression that symbols share in
part. While it is right, the outcome is 1 with that probability; symbols' outcomes of an hour hang together through a
Gaussian copula. From the day on which the edge dies outcomes are coins, and all that the model sees and says is as
before: there is no data drift that could be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import numpy as np
import pandas as pd
from scipy.special import expit, ndtr

from pipelines.calibration import noise
from pipelines.calibration.drift.outcome import OURS, Outcome, Scenario, seen
from pipelines.calibration.drift.track import HOURS, START, YEAR, Flags
from pipelines.calibration.gate.trainings import LINE
from pipelines.calibration.scenario import repeated
from pipelines.contracts.ports import FloatArray
from pipelines.monitoring import promise
from pipelines.monitoring.live import Lived, block_length, judge
from pipelines.validation import metrics

FALSE, RIGHT = "at least one false alarm in the year", "an alarm begins within 90 days of the edge's death"
SYMBOLS = 5
#: Share of the variance of ``z``, and correlation of outcomes, that symbols have in common.
COMMON, TOGETHER = 0.35, 0.5
ONSET, PATIENCE = 30, 90
DAY = timedelta(days=1)
#: Days of training, of out-of-sample predictions and of evidence, as the shipped hourly line has them.
WALK = LINE.walk_forward
TRAINED, SAID, EVIDENCE = WALK.train_days, WALK.search_folds * WALK.test_days + WALK.evidence_days, WALK.evidence_days
#: Level at which people test the last window anew every day.
DAILY_LEVEL = 0.01
WEEK = 7
#: Areas under the ROC curve of about 0.53, 0.57 and 0.63.
EDGES = (0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Said:
    """Probabilities and outcomes, shape (hours, symbols)."""

    probability: FloatArray
    y: FloatArray

    def frame(self, first: int, last: int) -> pd.DataFrame:
        """The rows of days ``[first, last)`` after `START`: ``event_time``, ``candidate`` and ``y``."""
        part = slice(first * HOURS, last * HOURS)
        times = pd.date_range(START, periods=len(self.y), freq="h", unit="us")[part]
        return pd.DataFrame({"event_time": times.repeat(self.y.shape[1]),
                             "candidate": self.probability[part].ravel(), "y": self.y[part].ravel()})


def simulate(edge: float, memory: float, days: int, rng: np.random.Generator, dies: int | None = None) -> Said:
    """What a model of this edge says and what comes; from day ``dies`` on nothing follows from what it says."""
    raw = noise.autoregressive(rng, HOURS * days, SYMBOLS + 1, memory, 1000)
    z = np.sqrt(COMMON) * raw[:, :1] + np.sqrt(1 - COMMON) * raw[:, 1:]
    shock = rng.standard_normal((HOURS * days, SYMBOLS + 1))
    chance = ndtr(np.sqrt(TOGETHER) * shock[:, :1] + np.sqrt(1 - TOGETHER) * shock[:, 1:])
    probability: FloatArray = expit(edge * z)
    truth = probability.copy()
    if dies is not None:
        truth[HOURS * dies:] = 0.5
    return Said(probability, (chance < truth).astype(np.float64))


def alarms(said: Said, checks: int) -> dict[str, Flags]:
    """Whether each alarm is on at each daily check, arrays of shape (checks,): performance, the same looked at once a
    week, the two other alarms of the predictions, and a test of the last window anew every day."""
    start = TRAINED + SAID
    since = START + start * DAY
    searched = said.frame(TRAINED, start - EVIDENCE)
    searched["fold"] = np.arange(len(searched)) * WALK.search_folds // len(searched)
    searched["trial_0"] = searched["candidate"]  # there was one trial, and it is not the best of many
    promised = promise.learn(said.frame(start - EVIDENCE, start), searched, said.frame(0, start),
                             length=block_length(LINE), bar=LINE.bar)
    live = Said(said.probability[HOURS * start:], said.y[HOURS * start:])
    hours = pd.DataFrame({
        "event_time": pd.date_range(since, periods=len(live.y), freq="h", unit="us"),
        "level": live.probability.mean(axis=1), "confidence": np.abs(live.probability - 0.5).mean(axis=1),
        "loss": metrics.losses(live.y.ravel(), live.probability.ravel()).reshape(live.y.shape).mean(axis=1),
        "rate": live.y.mean(axis=1)})
    bins = _bins(promised, live)
    rows = pd.DataFrame({"event_time": hours["event_time"].repeat(SYMBOLS).to_numpy(),
                         "probability": live.probability.ravel(), "y": live.y.ravel()})
    found = {name: np.zeros(checks, dtype=bool) for name in (OURS, "weekly", "prediction", "label", "daily_test")}
    for check in range(checks):
        end, as_of = HOURS * (check + 1), since + (check + 1) * DAY
        known = hours.iloc[:end].copy()
        known.iloc[-1:, known.columns.get_indexer(["loss", "rate"])] = np.nan  # its hour is over, its outcome is not
        recent = rows.iloc[max(0, end - WEEK * HOURS) * SYMBOLS:(end - 1) * SYMBOLS]
        seen_now = judge(LINE, promised, Lived(since, known, bins[bins["block"] <= check], recent), as_of)
        found[OURS][check] = seen_now.drifted["performance"]
        found["weekly"][check] = found[OURS][check - (check + 1) % WEEK] if check + 1 >= WEEK else False
        found["prediction"][check], found["label"][check] = seen_now.drifted["prediction"], seen_now.drifted["label"]
        found["daily_test"][check] = seen_now.metrics["loss_p"] <= DAILY_LEVEL
    return found


def _bins(promised: promise.Promise, live: Said) -> pd.DataFrame:
    """Rows by the block in which they were said and the bin of their probability."""
    hour = np.arange(len(live.y)) + 1
    block = np.repeat(hour // HOURS, SYMBOLS)
    place = np.searchsorted(promised.edges, live.probability.ravel(), side="right")
    counted = pd.DataFrame({"block": block, "bin": place}).value_counts(sort=False).rename("rows")
    return counted.reset_index()


def line(rng: np.random.Generator, edge: float, memory: float, dies: bool) -> Outcome:
    """A champion's year, or its last months."""
    start = TRAINED + SAID
    checks = ONSET + PATIENCE if dies else YEAR
    said = simulate(edge, memory, start + checks, rng, start + ONSET if dies else None)
    onset = ONSET if dies else None
    found = {name: seen(alarm, onset, PATIENCE) for name, alarm in alarms(said, checks).items()}
    return Outcome(onset or checks, found)


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    for edge in EDGES:
        for memory in ((0.0, 0.9, 0.98) if edge == 0.25 else (0.9,)):
            told = f"{SYMBOLS} symbols, edge {edge:g}, hourly autocorrelation of what the model says {memory:g}"
            name = f"null_loss{edge:g}_ar{memory:g}"
            yield Scenario(name, "null", f"losses as promised: {told}", FALSE,
                           repeated(name, partial(line, edge=edge, memory=memory, dies=False)))
            name = f"edge{edge:g}_dies_ar{memory:g}"
            yield Scenario(name, "alternative", f"the edge dies and the inputs stay: {told}", RIGHT,
                           repeated(name, partial(line, edge=edge, memory=memory, dies=True)))
