"""What the champion's own predictions and their outcomes say: prediction, label and performance drift. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.line import Line
from pipelines.monitoring import blocks, estimate, performance, promise, sequential
from pipelines.monitoring.promise import KINDS, SIDES, Promise

Array = np.ndarray[Any, np.dtype[np.float64]]
DAY = timedelta(days=1)
YEAR = 365 * DAY
#: Realised and estimated scores are of the rows of this many days.
SCORE_DAYS = 7
#: A window's mean is compared with the promised one where it holds this share of the timestamps that it should.
ENOUGH = 0.5


@dataclass(frozen=True)
class Lived:
    """What is known of a champion's time, as of a check.

    Attributes:
        since: when it took over (data time, UTC).
        hours: per ``event_time`` (ascending, unique) the mean over symbols of ``level`` (P), ``confidence`` (its
            distance from one half), and, of timestamps whose outcomes are known, ``loss`` (nats) and ``rate`` (y).
        bins: (n,) structured: ``event_time``'s block since ``since``, ``bin`` of P and ``rows``.
        recent: ``event_time``, ``probability`` and ``y`` (NaN: not known yet) of the rows of the last days.
    """

    since: datetime
    hours: pd.DataFrame
    bins: pd.DataFrame
    recent: pd.DataFrame


@dataclass(frozen=True)
class Findings:
    """``drifted``: kind (`KINDS`) → alarm; ``metrics`` for the report."""

    drifted: Mapping[str, bool]
    metrics: Mapping[str, float]


def judge(line: Line, promised: Promise, lived: Lived, as_of: datetime) -> Findings:
    """Hold a champion's live days against what it promised.

    Args:
        as_of: the time of the check (UTC); ``lived`` holds what was known before it.
    """
    length = block_length(line)
    arl = YEAR / length / line.drift.performance_alpha
    drifted: dict[str, bool] = {}
    found: dict[str, float] = {}
    for kind, names in KINDS.items():
        late = line.bar if kind == "prediction" else line.bar + line.horizon
        series = _live(names, promised, lived, as_of, length, late, line.bar)
        present = [name for name in names if name in promised.series and name in series.values]
        questions = [sequential.Question(promised.series[name].blocks, series.values[name], SIDES[name],
                                         promised.series[name].correlation) for name in present]
        seen = sequential.watch(questions, arl)
        drifted[kind] = seen.alarm
        found |= {f"{kind}_evidence": seen.statistic, f"{kind}_limit": seen.threshold,
                  f"{kind}_blocks": float(len(series.chosen)),
                  f"{kind}_days_ago": _days_ago(seen.change, series.chosen, lived.since, length, as_of)}
    return Findings(drifted, found | _window(line, promised, lived, as_of) | _scores(line, promised, lived, as_of))


def block_length(line: Line) -> timedelta:
    """A day, or two label horizons if that is longer."""
    return timedelta(days=line.block_days)


@dataclass(frozen=True)
class _Live:
    chosen: np.ndarray[Any, Any]
    values: Mapping[str, Array]


def _live(names: tuple[str, ...], promised: Promise, lived: Lived, as_of: datetime, length: timedelta,
          late: timedelta, bar: timedelta) -> _Live:
    """Means of the blocks that are over; a timestamp belongs to the block in which it was known, ``late`` after it."""
    hours = lived.hours[lived.hours["loss"].notna()] if names in (KINDS["performance"], KINDS["label"]) else lived.hours
    known = pd.DatetimeIndex(hours["event_time"]) + late
    chosen = blocks.whole(known, lived.since, length, as_of, bar)
    values = {name: promise.scaled(name, blocks.means(pd.Series(hours[name].to_numpy(), index=known), lived.since,
                                                      length, chosen)) for name in names if name in hours}
    if "shape" in names and len(promised.edges):
        counts = np.zeros((len(chosen), len(promised.edges) + 1))
        row = np.searchsorted(chosen, lived.bins["block"])
        inside = np.isin(lived.bins["block"], chosen)
        np.add.at(counts, (row[inside], lived.bins["bin"].to_numpy()[inside]), lived.bins["rows"].to_numpy()[inside])
        values["shape"] = promise.distance(counts, promised.shares)
    return _Live(chosen, values)


def _days_ago(change: int | None, chosen: np.ndarray[Any, Any], since: datetime, length: timedelta,
              as_of: datetime) -> float:
    """When the change most likely began, in days before the check; NaN while nothing is compared."""
    return math.nan if change is None else (as_of - (since + int(chosen[change]) * length)) / DAY


def _window(line: Line, promised: Promise, lived: Lived, as_of: datetime) -> dict[str, float]:
    """Means of the last ``window_days``, beside the promised ones; ``loss_p`` is of this window alone."""
    start = pd.Timestamp(as_of - line.drift.window_days * DAY)
    hours = lived.hours
    needed = ENOUGH * line.drift.window_days * (DAY / line.bar)
    recent = hours[hours["event_time"] + line.bar >= start]
    judged = hours[hours["loss"].notna() & (hours["event_time"] + line.bar + line.horizon >= start)]
    losses = pd.Series(judged["loss"].to_numpy(), index=pd.DatetimeIndex(judged["event_time"]))
    loss = performance.shift(promised.losses, losses, line.horizon)
    found = {"loss_reference": loss.reference, "loss_current": loss.current,
             "loss_p": loss.p_upper if len(judged) >= needed else math.nan,
             "label_rate": float(judged["rate"].mean())}
    for name, label in (("level", "prediction_level"), ("confidence", "prediction_confidence"), ("rate", "label_rate")):
        if name != "rate":
            found[label] = float(recent[name].mean())
        if name in promised.series:
            found[f"{label}_reference"] = promised.series[name].mean
    return found


def _scores(line: Line, promised: Promise, lived: Lived, as_of: datetime) -> dict[str, float]:
    """What the probabilities expect of all rows of the last days, and of those with an outcome what came out.

    ``estimate_off_log_loss``: realised less estimated on the same rows; ``promised_off_log_loss``: the same on the
    promise's rows, where the probabilities were as true as they ever were.
    """
    recent = lived.recent
    p, y = (recent[name].to_numpy(dtype=np.float64) for name in ("probability", "y"))
    known = np.isfinite(y)
    came, thought = estimate.realised(y[known], p[known]), estimate.expected(p[known])
    return {"matured": float(known.sum()), "pending": float((~known).sum()),
            **{name: came[name] for name in estimate.NAMES if known.any()},
            **{f"estimated_{name}": value for name, value in estimate.expected(p).items()},
            **{f"estimate_off_{name}": came[name] - thought[name] for name in estimate.NAMES},
            "estimate_error": estimate.standard_error(p[known]),
            **{f"promised_{name}": promised.realised[name] for name in estimate.NAMES},
            "promised_off_log_loss": promised.realised["log_loss"] - promised.expected["log_loss"]}
