"""What the gate judges: the same rows, scored by the candidate and by what it wants to replace.

A candidate brings its walk-forward predictions on days its search never saw. The champion scores the very same rows,
with the feature values of the candidate's training snapshot - but only rows after everything the champion has learned
from, so that they are out of sample for both. Beside it lies what every trial of the search predicted on the search
folds, for the gate corrects for all that was tried.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np
import pandas as pd

from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.records import BASELINES, Action, Candidate, Evidence, Promotion
from pipelines.errors import ContractError
from pipelines.registry import models
from pipelines.store import Warehouse, ledger, snapshots
from pipelines.validation import backtest, metrics

CANDIDATE, CHAMPION = "candidate", "champion"
TRIAL = "trial_"


def assemble(warehouse: Warehouse, settings: Settings, line: Line, candidate: Candidate) -> Evidence:
    """The evidence on a candidate, as of its training.

    The opponent is the champion; the better of the naive baselines while there is none. A candidate that was promoted
    already is compared with the champion it replaced, so that judging again gives the same verdict.

    Raises:
        RegistryError: the champion cannot score the rows, because features it needs are no longer built.
        UnsafeArtifact, TrackingUnavailable: the champion's model cannot be loaded.
        StoreError, IntegrityError: a snapshot is missing or damaged.
    """
    with warehouse.begin() as connection:
        champion = _rival(ledger.history(connection, line.name), candidate)
        rival = None if champion is None else ledger.candidate(connection, line.name, champion)
    rows = snapshots.get(warehouse, candidate.evidence_digest)
    tried = None if candidate.search_digest is None else snapshots.get(warehouse, candidate.search_digest)
    if rival is None:
        return judged(line, candidate, rows, tried, None)
    features = snapshots.get(warehouse, candidate.snapshot_digest)
    model = models.load(warehouse, settings, line, rival.version)

    def score(found: pd.DataFrame) -> FloatArray:
        return models.score(model, found, line, rival.version)

    rows = beside_champion(line, rows, features, rival.trained_through, score)
    tried = None if tried is None else beside_champion(line, tried, features, rival.trained_through, score)
    return judged(line, candidate, rows, tried, champion)


def beside_champion(line: Line, rows: pd.DataFrame, features: pd.DataFrame, trained_through: datetime,
                    score: Callable[[pd.DataFrame], FloatArray]) -> pd.DataFrame:
    """The rows after everything the champion has learned from, with what it predicts in a column of its own.

    Args:
        features: the candidate's training snapshot, which holds these rows.
        score: the champion's P(y = 1) for rows of that snapshot.
    """
    later = rows[rows["event_time"] > trained_through].reset_index(drop=True)
    return later.assign(**{CHAMPION: score(_features(line, later, features))})


def judged(line: Line, candidate: Candidate, rows: pd.DataFrame, tried: pd.DataFrame | None,
           champion: int | None) -> Evidence:
    """Evidence from predictions.

    Args:
        rows: ``EVIDENCE_COLUMNS`` on the evidence folds, and the champion's column if there is one.
        tried: the same on the search folds with one column for each complete trial; None where it is not known.
        champion: its version.
    """
    contenders = [CANDIDATE, *((CHAMPION,) if champion is not None else ()), *(
        name for name in BASELINES if name in rows)]
    losses = pd.DataFrame({name: mean_loss(rows, name) for name in contenders})
    returns = _returns(line, rows, contenders)
    opponent = CHAMPION if champion is not None else _best_naive(losses)
    trials, selected = _trials(tried)
    search = None if tried is None or not trials else pd.DataFrame(
        {name: mean_loss(tried, name) for name in (opponent, *trials)})
    return Evidence(
        line=line.name, version=candidate.version, as_of=candidate.as_of, champion_version=champion,
        opponent=opponent, losses=losses, net_returns=returns,
        metrics={name: _metrics(rows, name, returns) for name in contenders} if len(rows) else {},
        rows=len(rows), trials=candidate.trials, overlap=_overlap(line, rows), search=search,
        search_returns=None if search is None or tried is None else _returns(line, tried, [opponent, *trials]),
        selected=selected, audited=candidate.audited)


def _overlap(line: Line, rows: pd.DataFrame) -> int:
    """Over how many following timestamps a label still reaches: those of a trade differ, so their mean."""
    if line.target.rows != "trades" or rows.empty:
        return line.target.horizon_bars - 1
    at = np.unique(rows["event_time"])
    begins, ends = (np.searchsorted(at, rows[name], side="right") for name in ("event_time", "label_end"))
    return int(np.ceil(np.mean(ends - begins)))


def mean_loss(rows: pd.DataFrame, contender: str) -> pd.Series:
    """Cross-sectional mean log loss (nats) of a column of probabilities per ``event_time``, ascending."""
    if rows.empty:
        return pd.Series(dtype=np.float64, index=pd.DatetimeIndex([], tz="UTC", name="event_time"))
    return pd.Series(metrics.losses(rows["y"], rows[contender])).groupby(rows["event_time"]).mean().sort_index()


def _rival(history: list[Promotion], candidate: Candidate) -> int | None:
    for row in history:
        if row.version == candidate.version and row.action is Action.PROMOTE:
            return row.previous
    return history[-1].version if history else None


def _trials(tried: pd.DataFrame | None) -> tuple[list[str], str | None]:
    """The columns of the trials, and the one that the candidate was made from: the first that predicts as it does
    (the best one; twins predict alike)."""
    if tried is None or tried.empty:
        return [], None
    names = [str(name) for name in tried.columns if str(name).startswith(TRIAL)]
    chosen = (name for name in names if np.array_equal(tried[name], tried[CANDIDATE]))
    return names, next(chosen, None)


def _features(line: Line, rows: pd.DataFrame, snapshot: pd.DataFrame) -> pd.DataFrame:
    """The feature values of exactly these rows, in their order."""
    found = rows[["symbol", "event_time"]].merge(snapshot, on=["symbol", "event_time"], how="left", indicator=True)
    if len(found) != len(rows) or (found["_merge"] != "both").any():
        raise ContractError(f"the evidence of {line.name} has rows that its training snapshot lacks; train again")
    return found


def _best_naive(losses: pd.DataFrame) -> str:
    means = losses[[name for name in BASELINES if name in losses]].mean()
    return str(means.idxmin()) if means.notna().any() else BASELINES[0]


def _returns(line: Line, rows: pd.DataFrame, contenders: list[str]) -> pd.DataFrame | None:
    if line.costs is None or line.target.on_barriers or rows["forward_return"].isna().all():
        return None
    costs, horizon = line.costs, line.target.horizon_bars
    return pd.DataFrame({name: backtest.net_returns(rows, rows[name], costs, horizon) for name in contenders})


def _metrics(rows: pd.DataFrame, contender: str, returns: pd.DataFrame | None) -> dict[str, float]:
    found = metrics.classification(rows["y"], rows[contender])
    if returns is not None:
        net = returns[contender]
        found |= {"net_return_mean": float(net.mean()), **backtest.summary(net)}
    return found
