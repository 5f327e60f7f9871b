"""The gate's second stage: a bounded number of looks at what challenger and champion lose on the same live bars.

*When.* Look ``k`` of ``K`` is due at ``started_at + k every`` in data time and sees only what was known by then, so
it gives the same answer whenever it is computed. Its share of the information is ``k / K``: bars come at a constant
rate and the end is fixed in days, while the number of rows at the end is not known beforehand.

*Boundary.* O'Brien-Fleming-like error spending of Lan and DeMets: hardly anything early, nearly the whole level at the
end. A look that saw too little spends its share for nothing, which can only lower the error. The boundary is drawn for
0.8 of the promised level: t statistics whose spread is measured anew at each look hang together less than a Brownian
motion, and differences remember. Drawn for 5 %, four looks in 28 days promote 5.4 % under the null (10,000 paths of
independent hours), 6.5 % when the hours follow an AR(1) with 0.8; drawn for 4 %, 4.3 % and 5.3 %.

*Statistic.* The time since the start is cut into at most eight blocks of equal length (at least a day and two label
horizons each), and the block means of the differences are put to a t-test, as stage 1 does it (Ibragimov and Müller
2010: it keeps its level when differences are correlated inside blocks and their variance changes between them). Labels
reach over a border, so each block but the first gives up as much time as a label still reaches into it. The t statistic
goes to the normal scale by its tail probability (Jennison and Turnbull 2000, section 4.4), where the boundary stands.
Few long blocks are chosen over many short ones for their level: with an AR(1) of 0.9 the path promotes 6.4 % in 8 blocks
and 9.6 % in 28 (drawn for 5 %), while for independent hours 28 blocks find 85 % of the effects of which 8 find 80 %.

References:
    C. Jennison and B. W. Turnbull, *Group Sequential Methods with Applications to Clinical Trials*, 2000; chapter 9
    for repeated confidence intervals. R. Ibragimov and U. K. Müller, *JBES* 28(4), 2010, 453-468.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.contracts.line import SEQUENTIAL_BLOCKS, Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.records import Look, Purpose, Step
from pipelines.errors import ContractError
from pipelines.gate.rules import nats
from pipelines.validation.significance.sequential import Boundary, spending_boundary, with_futility

MOST_BLOCKS = 8
#: The level that the boundary is drawn for, as a share of the one that is promised and then held.
NOMINAL = 0.8
#: A block whose mean rests on fewer timestamps than this share of what the fullest one has is left out.
LEAST_SHARE = 0.25
#: The futility boundary may cost this much power at the effect that it is drawn for.
POWER = 0.8


@dataclass(frozen=True)
class Plan:
    """How often, how long and how strictly two versions are compared.

    Attributes:
        looks, every: at most so many looks, so far apart in data time.
        alpha: probability, over all looks, that one crosses although the version is no better than its opponent.
        futility: give up where the boundary of futility is crossed.
        min_rows: a look at fewer rows does not decide.
        delay: from ``event_time`` until an outcome can be known: a bar and the label's horizon.
        overlap: how long a label still reaches into what follows (horizon less one bar).
        block: shortest block.
        names: what the sentences call the version and its opponent.
    """

    looks: int
    every: timedelta
    alpha: float
    futility: bool
    min_rows: int
    delay: timedelta
    overlap: timedelta
    block: timedelta
    names: tuple[str, str] = ("the challenger", "the champion")


def plan(line: Line, purpose: Purpose) -> Plan:
    """The plan of a line: ``[gate.shadow]``, or ``[gate.rollback]``, without futility: the watch goes on to its end."""
    delay, overlap, block = line.bar + line.horizon, line.horizon - line.bar, timedelta(days=line.block_days)
    if purpose is Purpose.SHADOW:
        shadow = line.gate.shadow
        return Plan(shadow.looks, timedelta(days=shadow.every_days), shadow.alpha, shadow.futility, shadow.min_rows,
                    delay, overlap, block)
    watch = line.gate.rollback
    return Plan(watch.looks, timedelta(days=watch.watch_days) / watch.looks, watch.alpha, False,
                line.gate.shadow.min_rows, delay, overlap, block, ("the predecessor", "the champion"))


@lru_cache(maxsize=64)
def boundary(looks: int, alpha: float, futility: bool) -> Boundary:
    """The boundaries of equally spaced looks that hold the level ``alpha``; a moment's work for each new triple."""
    efficacy = spending_boundary(looks, NOMINAL * alpha, "obrien_fleming")
    return with_futility(efficacy, POWER, "obrien_fleming") if futility and looks > 1 else efficacy


def look(differences: pd.Series, started_at: datetime, as_of: datetime, rules: Plan,
         rows: pd.Series | None = None) -> Look:
    """The last look that is due at ``as_of``, made on what was known when it fell due.

    Args:
        differences: per ``event_time`` (UTC, ascending, unique) the opponent's mean log loss less the version's, nats.
        started_at: data time (UTC) from which both scored.
        as_of: data time (UTC); later differences may be there, they are not seen.
        rows: predictions behind each difference, same index; one each when not given.

    Raises:
        ContractError: times that are not UTC, ascending and unique; differences that are not finite.
    """
    values, seconds = _checked(differences)
    number = max(0, min(rules.looks, int((as_of - started_at) / rules.every)))
    due = started_at + max(number, 1) * rules.every
    found = boundary(rules.looks, rules.alpha, rules.futility)
    upper = found.efficacy[max(number, 1) - 1]
    lower = found.futility[max(number, 1) - 1] if found.futility is not None else math.nan
    if number == 0:
        return _blind(Step.WAIT, 0, due, upper, lower, 0, 0, 0, rules,
                      f"The first of {rules.looks} looks is due at {due:%Y-%m-%d %H:%M} UTC.")
    first, last = started_at.timestamp(), (due - rules.delay).timestamp()
    seen = (seconds >= first) & (seconds <= last)
    counted = int(seen.sum() if rows is None else rows.to_numpy()[seen].sum())
    means = _block_means(values[seen], seconds[seen], first, due.timestamp(), rules)
    return _decide(means, number, due, upper, lower, counted, int(seen.sum()), rules)


def path(differences: pd.Series, started_at: datetime, as_of: datetime, rules: Plan, rows: pd.Series | None = None,
         after: int = 0) -> list[Look]:
    """Every look from number ``after + 1`` on that is due at ``as_of``, in order, up to the one that decides."""
    found: list[Look] = []
    for due in dues(started_at, as_of, rules, after):
        found.append(look(differences, started_at, due, rules, rows))
        if found[-1].final:
            break
    return found


def dues(started_at: datetime, as_of: datetime, rules: Plan, after: int = 0) -> list[datetime]:
    """Data times (UTC) of the looks from number ``after + 1`` on that are due at ``as_of``, in order."""
    times = [started_at + number * rules.every for number in range(after + 1, rules.looks + 1)]
    return [due for due in times if due <= as_of]


def _checked(differences: pd.Series) -> tuple[FloatArray, FloatArray]:
    index = differences.index
    if len(differences) == 0:
        return np.empty(0), np.empty(0)
    if not isinstance(index, pd.DatetimeIndex) or str(index.tz) not in ("UTC", "UTC+00:00"):
        raise ContractError("loss differences have no UTC times; index them by event_time")
    if not (index.is_monotonic_increasing and index.is_unique):
        raise ContractError("loss differences are not in time order, one per time; average each time and sort_index()")
    values: FloatArray = differences.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        raise ContractError("loss differences are missing or infinite; clip probabilities before taking logs")
    return values, index.as_unit("us").asi8 / 1e6


def _block_means(values: FloatArray, seconds: FloatArray, first: float, due: float, rules: Plan) -> FloatArray:
    """(blocks,) means in time order; empty where there is room for fewer than four blocks."""
    count = min(MOST_BLOCKS, int((due - first) / rules.block.total_seconds() + 1e-9))
    if count < SEQUENTIAL_BLOCKS or not len(values):
        return np.empty(0)
    length = (due - first) / count
    place = np.minimum(((seconds - first) / length).astype(np.int64), count - 1)
    kept = (place == 0) | (seconds - first - place * length >= rules.overlap.total_seconds() - 1e-6)
    sums = np.bincount(place[kept], values[kept], count)
    sizes = np.bincount(place[kept], minlength=count)
    full = sizes >= max(1.0, LEAST_SHARE * sizes.max())
    means: FloatArray = sums[full] / sizes[full]
    return means if len(means) >= SEQUENTIAL_BLOCKS else np.empty(0)


def _decide(means: FloatArray, number: int, due: datetime, upper: float, lower: float, rows: int, timestamps: int,
            rules: Plan) -> Look:
    one, other = rules.names
    head = f"Look {number} of {rules.looks}"
    last = number == rules.looks
    if not len(means) or rows < rules.min_rows:
        what = (f"{head} saw too little: {rows} rows at {timestamps} times in {len(means)} blocks that both scored; it "
                f"takes {rules.min_rows} rows and {SEQUENTIAL_BLOCKS} blocks.")
        return _blind(Step.REJECT if last else Step.CONTINUE, number, due, upper, lower, rows, timestamps, len(means),
                      rules, what, *([f"It was the last look: {one} was not shown to be better."] if last else []))
    freedom = len(means) - 1
    effect, error = float(means.mean()), float(means.std(ddof=1) / math.sqrt(len(means)))
    z, p_value = _standardised(effect, error, freedom)
    width = float(stats.t.isf(stats.norm.sf(upper), freedom)) * error
    seen = f"{nats(effect)} nats per prediction over {rows} rows and {timestamps} times (z {z:.2f})"
    if z >= upper:
        step, reason = Step.PROMOTE, f"{head}: {one} is better than {other} by {seen}, past the boundary {upper:.2f}."
    elif last:
        step, reason = Step.REJECT, (f"{head}, the last: {one} was not shown to be better than {other}: {seen}, short "
                                     f"of the boundary {upper:.2f}.")
    elif z < lower:  # NaN, no futility, is never crossed
        step, reason = Step.REJECT, (f"{head}: there is little hope that {one} will be shown to be better than "
                                     f"{other}: {seen}, below the boundary of futility {lower:.2f}.")
    else:
        step, reason = Step.CONTINUE, (f"{head} cannot tell: {seen}, the boundary is {upper:.2f}; the next look is due "
                                       f"at {due + rules.every:%Y-%m-%d %H:%M} UTC.")
    interval = (f"The effect lies between {nats(effect - width)} and {nats(effect + width)} nats with "
                f"{1 - 2 * rules.alpha:.0%} confidence over all looks.")
    return Look(step, number, rules.looks, due, z, upper, lower, effect, effect - width, effect + width, p_value, rows,
                timestamps, len(means), (reason, interval))


def _blind(step: Step, number: int, due: datetime, upper: float, lower: float, rows: int, timestamps: int, blocks: int,
           rules: Plan, *reasons: str) -> Look:
    """A look without a statistic."""
    none = math.nan
    return Look(step, number, rules.looks, due, none, upper, lower, none, none, none, none, rows, timestamps, blocks,
                reasons)


def _standardised(effect: float, error: float, freedom: int) -> tuple[float, float]:
    """The t statistic on the normal scale, and its one-sided p-value; equal means leave nothing to be uncertain of."""
    if error <= 1e-15 * max(1.0, abs(effect)):
        certain = math.copysign(math.inf, effect) if effect else 0.0
        return max(-37.0, min(37.0, certain)), 0.5 if not effect else float(effect < 0)
    statistic = effect / error
    p_value = float(stats.t.sf(statistic, freedom))
    # The smaller tail carries the digits.
    z = float(stats.norm.isf(p_value)) if statistic > 0 else -float(stats.norm.isf(stats.t.sf(-statistic, freedom)))
    return z, p_value
