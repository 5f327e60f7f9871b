"""The records that rooms hand to each other. All frozen, all JSON-friendly through ``dataclasses.asdict``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Refused:
    """One row that did not pass its checks, kept whole so that it can be replayed after a fix."""

    source: str
    kind: str
    reason: str
    payload: Mapping[str, Any]
    event_time: datetime | None = None


@dataclass(frozen=True)
class Gap:
    """Facts that should be there and are not: ``[start, end)`` of ``event_time`` (UTC) on the grid of ``series``.

    ``open_ended``: nothing came after it yet.
    """

    kind: str
    series: str
    start: datetime
    end: datetime
    missing: int
    open_ended: bool = False


@dataclass(frozen=True)
class WriteCounts:
    """What an idempotent write did: new facts, new revisions of known facts, rows that changed nothing."""

    inserted: int = 0
    revised: int = 0
    unchanged: int = 0

    def __add__(self, other: WriteCounts) -> WriteCounts:
        return WriteCounts(self.inserted + other.inserted, self.revised + other.revised,
                           self.unchanged + other.unchanged)


@dataclass(frozen=True)
class SnapshotRef:
    """An immutable feature matrix: ``digest`` is the SHA-256 of its canonical content, ``uri`` where it lies."""

    digest: str
    uri: str
    rows: int
    kind: str
    line: str
    start: datetime
    end: datetime


class Reason(StrEnum):
    """Why a retraining was asked for."""

    BOOTSTRAP = "bootstrap"
    SCHEDULE = "schedule"
    DATA_DRIFT = "data_drift"
    PREDICTION_DRIFT = "prediction_drift"
    PERFORMANCE = "performance"
    NEW_DATA = "new_data"
    CODE_CHANGE = "code_change"
    MANUAL = "manual"


class RequestState(StrEnum):
    """Life of a retrain request: pending → claimed → served | failed; a lost claim returns to pending."""

    PENDING = "pending"
    CLAIMED = "claimed"
    SERVED = "served"
    FAILED = "failed"


@dataclass(frozen=True)
class RetrainRequest:
    """A row of the ledger that asks for a training of ``line`` as of ``as_of``."""

    line: str
    reason: Reason
    as_of: datetime
    requested_by: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    id: int | None = None
    state: RequestState = RequestState.PENDING


@dataclass(frozen=True)
class Candidate:
    """A registered model version that waits for a verdict, with what is needed to judge and rebuild it.

    ``trained_through`` is the latest ``label_end`` (UTC) that the final fit has seen: rows after it are out of
    sample. ``evidence_digest`` names the snapshot of its out-of-sample predictions (see EVIDENCE_COLUMNS),
    ``search_digest`` the one of what every complete trial predicted on the search folds (the same columns, and one
    ``trial_<number>`` each). ``trials`` counts the finished ones, the pruned among them, and those of an earlier
    search that the first one had won against on the same days. ``audited``: the leak audit has found nothing in what it
    was trained on.
    """

    line: str
    version: int
    run_id: str
    family: str
    as_of: datetime
    trained_through: datetime
    snapshot_digest: str
    evidence_digest: str
    trials: int
    request_id: int | None = None
    search_digest: str | None = None
    audited: bool = False


#: Columns of the evidence snapshot: the candidate's walk-forward predictions on folds the search never saw,
#: beside the naive baselines and the same configuration fitted once before the first of them, on the same rows. Of
#: texts one more baseline follows, ``LEXICON``.
EVIDENCE_COLUMNS = ("symbol", "event_time", "available_at", "label_end", "y", "forward_return", "fold",
                    "candidate", "base_rate", "persistence", "no_retraining")
LEXICON = "lexicon"
#: The naive forecasts that a candidate may have to beat, as far as the evidence holds them.
BASELINES = ("base_rate", "persistence", LEXICON)


class Outcome(StrEnum):
    PROMOTE = "promote"
    INCONCLUSIVE = "inconclusive"
    REJECT = "reject"


@dataclass(frozen=True)
class Evidence:
    """What the gate judges: the same rows, scored by the candidate and by what it wants to replace.

    Attributes:
        losses: index ``event_time`` (UTC, sorted, unique), one column per contender (``candidate`` and either
            ``champion`` or the naive baselines); the cross-sectional mean log loss at that time, in nats.
        net_returns: the same index and contenders; mean net simple return per bar after costs; None when the
            target is not tradable.
        metrics: contender → metric → value over all rows.
        opponent: the column that the candidate has to beat.
        search: losses per timestamp of the search folds, as far as they are out of sample for the opponent: one column
            for the opponent and one ``trial_<number>`` for each complete trial; None when nothing is left or known.
        search_returns: net returns per bar of the same, for tradable targets.
        selected: the trial that the candidate was made from, a column of ``search``.
        audited: the leak audit looked at the training's snapshot, labels and folds, and found nothing.
        overlap: over how many following timestamps a label still reaches (horizon - 1 bars): so far apart rows have
            to be to share no outcome.
    """

    line: str
    version: int
    as_of: datetime
    champion_version: int | None
    opponent: str
    losses: pd.DataFrame
    net_returns: pd.DataFrame | None
    metrics: Mapping[str, Mapping[str, float]]
    rows: int
    trials: int
    overlap: int = 0
    search: pd.DataFrame | None = None
    search_returns: pd.DataFrame | None = None
    selected: str | None = None
    audited: bool = False


@dataclass(frozen=True)
class Verdict:
    """The gate's answer.

    ``effect`` is the mean loss saved per prediction on days that no search has seen (positive: the candidate is
    better), with its two-sided 95 % interval; ``minimum_detectable`` the smallest effect that those days could have
    shown with 80 % power. ``p_value`` is one-sided, over those days and the search's together, corrected for all
    ``trials``. ``champion_version`` is the champion it was judged against: a promotion is refused when somebody else
    is champion by then.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    opponent: str
    effect: float
    effect_low: float
    effect_high: float
    p_value: float
    minimum_detectable: float
    periods: int
    rows: int
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    champion_version: int | None = None
    trials: int = 0


class Action(StrEnum):
    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True)
class Promotion:
    """One row of the append-only promotion ledger; the last row of a line names its champion.

    ``effective_at`` is data time (UTC): partitions that start at or after it are scored by this version.
    """

    line: str
    version: int
    previous: int | None
    action: Action
    actor: str
    reason: str
    effective_at: datetime
    recorded_at: datetime
    id: int | None = None


@dataclass(frozen=True)
class ColumnDrift:
    """One column's distance between reference and current, against the threshold it was given.

    Attributes:
        score, threshold: in the unit of ``method``, which is free of scale.
        effect: current mean minus the reference's, in standard deviations of the reference; None where nothing is
            known.
        spread: current standard deviation over the reference's.
        since: the day (UTC, ISO) from which on the column's days lie elsewhere; only of drifted columns.
        differenced: the changes from row to row are compared, because the level wanders.
        smallest: the shift of the mean, in standard deviations, that would just reach the threshold: what is smaller
            cannot be seen in this column.
        importance: share of the model's attention, where it was given.
    """

    column: str
    method: str
    score: float
    threshold: float
    drifted: bool
    effect: float | None = None
    spread: float | None = None
    since: str | None = None
    differenced: bool = False
    smallest: float | None = None
    importance: float | None = None


@dataclass(frozen=True)
class UnusualRow:
    """A current row worth looking at: ``columns`` maps names to values in standard deviations of the reference."""

    event_time: str
    symbol: str
    columns: Mapping[str, float]


@dataclass(frozen=True)
class DriftReport:
    """What a monitoring check found for one line as of one time.

    Attributes:
        over: the data of this check lie beyond a limit; ``data_drift`` once enough checks in a row do.
        streak: how many checks in a row are over, this one included.
        since: the earliest day (UTC, ISO) from which a drifted column lies elsewhere.
        impact: share of the model's importance that lies in drifted columns; None where no importance was given.
        unusual: the most unusual current rows, in drifted columns.
        pair: the two columns whose correlation has moved most, where correlations are over their limits.
        telling: the columns by which a classifier tells the current rows, where it was asked and does.
    """

    line: str
    as_of: datetime
    columns: tuple[ColumnDrift, ...]
    share: float
    data_drift: bool
    prediction_drift: bool
    performance_drift: bool
    metrics: Mapping[str, float]
    champion_version: int | None
    reference_digest: str | None
    rows: int
    over: bool = False
    streak: int = 0
    since: str | None = None
    impact: float | None = None
    unusual: tuple[UnusualRow, ...] = ()
    pair: tuple[str, str] | None = None
    telling: tuple[str, ...] = ()

    @property
    def alarm(self) -> bool:
        return self.data_drift or self.prediction_drift or self.performance_drift


class Step(StrEnum):
    """What a look says: promote the one that is looked at, give it up, go on, or (nothing is due) wait."""

    PROMOTE = "promote"
    REJECT = "reject"
    CONTINUE = "continue"
    WAIT = "wait"


class Purpose(StrEnum):
    """Why two versions are compared on live bars: a challenger wants to replace the champion, or a fresh champion is
    watched against its predecessor."""

    SHADOW = "shadow"
    ROLLBACK = "rollback"


@dataclass(frozen=True)
class Look:
    """One look of the group-sequential test at the loss differences of two versions on live bars.

    Attributes:
        number, of: which look, of how many at most; 0 while none is due.
        due: data time (UTC) of the look; of the next one while it has to be waited for.
        z: standardised statistic; NaN where there was too little to look at.
        boundary: ``promote`` at or above it; futility: ``reject`` below it (NaN: none).
        effect: mean loss saved per prediction in nats, positive where the version is better than its opponent.
        low, high: repeated confidence interval: it holds at all looks together, and ``low > 0`` exactly where
            ``z > boundary``.
        p_value: one-sided, of this look alone; compare ``z`` with ``boundary``, not this with alpha.
        rows, timestamps, blocks: how much was looked at.
        reasons: plain sentences.
    """

    decision: Step
    number: int
    of: int
    due: datetime
    z: float
    boundary: float
    futility: float
    effect: float
    low: float
    high: float
    p_value: float
    rows: int
    timestamps: int
    blocks: int
    reasons: tuple[str, ...]

    @property
    def final(self) -> bool:
        return self.decision in (Step.PROMOTE, Step.REJECT)


@dataclass(frozen=True)
class RecordedLook:
    """A look in the ledger: of ``version`` (challenger or predecessor) against ``champion_version``.

    ``as_of``: data time (UTC) at which it was made; what follows from it takes effect then.
    """

    line: str
    purpose: Purpose
    version: int
    champion_version: int
    as_of: datetime
    look: Look
    recorded_at: datetime


@dataclass(frozen=True)
class Duel:
    """Two versions of a line that score the same live bars since ``started_at`` (data time, UTC)."""

    line: str
    purpose: Purpose
    version: int
    champion_version: int
    started_at: datetime
