"""All that a check has to know of a champion, learnt at the first one and kept beside the snapshots.

The key names everything it is made of: the champion's snapshots, the line's rules, the formats. A champion's training
data never change, so what is kept stays good; what is missing, damaged or of other rules is learnt again.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pipelines.config import Settings
from pipelines.contracts.line import Drift, Line
from pipelines.contracts.records import Candidate
from pipelines.errors import ContractError, InsufficientData, RegistryError, TrackingUnavailable
from pipelines.features import catalog
from pipelines.monitoring import norm, promise
from pipelines.monitoring.learn import learn as learn_norm
from pipelines.monitoring.live import block_length
from pipelines.monitoring.norm import Norm
from pipelines.monitoring.promise import Promise, Series
from pipelines.store import Warehouse, blobs, snapshots

FORMAT = 1
KIND = "learnt"
#: Groups that look back to let a recursion settle: hardly anything of what they begin with stays.
SETTLING = ("oscillators", "regime")
HOURS_PER_DAY = 24.0
#: SHAP values of more rows move no share by a visible amount.
SAMPLE = 300


@dataclass(frozen=True)
class Learnt:
    """Attributes:
        norm: of the features; None where the training rows are too few for windows.
        promise: of predictions, losses and labels.
        importance: column → share of the mean absolute SHAP value, which add up to 1; empty where the model could not
            be asked.
    """

    norm: Norm | None
    promise: Promise
    importance: Mapping[str, float] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """A NumPy archive without pickles; ``from_bytes`` gives the same back."""
        promised = self.promise
        head = {"format": FORMAT, "norm": self.norm is not None, "importance": dict(self.importance),
                "realised": dict(promised.realised), "expected": dict(promised.expected),
                "series": {name: [series.correlation, series.mean] for name, series in promised.series.items()}}
        times = pd.DatetimeIndex(promised.losses.index).as_unit("us")
        arrays: dict[str, np.ndarray[Any, Any]] = {
            "head": np.frombuffer(json.dumps(head).encode(), dtype=np.uint8), "edges": promised.edges,
            "shares": promised.shares, "losses": promised.losses.to_numpy(dtype=np.float64), "times": times.asi8,
            **{f"series.{name}": series.blocks for name, series in promised.series.items()}}
        if self.norm is not None:
            arrays["norm"] = np.frombuffer(self.norm.to_bytes(), dtype=np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Learnt:
        """Raises:
            ContractError: another format.
        """
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            head: dict[str, Any] = json.loads(arrays["head"].tobytes())
            if head["format"] != FORMAT:
                raise ContractError(f"what was learnt has format {head['format']}, not {FORMAT}; learn it again")
            series = {name: Series(arrays[f"series.{name}"], correlation, mean)
                      for name, (correlation, mean) in head["series"].items()}
            times = pd.DatetimeIndex(arrays["times"].view("datetime64[us]"), name="event_time").tz_localize("UTC")
            kept = Norm.from_bytes(arrays["norm"].tobytes()) if head["norm"] else None
            return cls(kept, Promise(series, arrays["edges"], arrays["shares"], pd.Series(arrays["losses"], times),
                                     head["realised"], head["expected"]), head["importance"])


def of(warehouse: Warehouse, settings: Settings, line: Line, champion: Candidate,
       reference: pd.DataFrame | None = None) -> Learnt:
    """What is kept of a champion, or learnt now and kept.

    Args:
        reference: the champion's training snapshot, where the caller has read it already.

    Raises:
        StoreError, StoreUnavailable: a snapshot cannot be read, or the result not be kept.
    """
    key = key_of(line, champion)
    kept = blobs.get(warehouse, KIND, key)
    if kept is not None:
        try:
            return Learnt.from_bytes(kept)
        except (ContractError, ValueError, KeyError):
            pass  # written by another version
    frame = snapshots.get(warehouse, champion.snapshot_digest) if reference is None else reference
    made = learn(line, frame, snapshots.get(warehouse, champion.evidence_digest),
                 None if champion.search_digest is None else snapshots.get(warehouse, champion.search_digest),
                 importance(warehouse, settings, line, champion, frame))
    if made.importance:  # a model that could not be asked today may answer tomorrow
        blobs.put(warehouse, KIND, key, made.to_bytes())
    return made


def learn(line: Line, reference: pd.DataFrame, evidence: pd.DataFrame, searched: pd.DataFrame | None,
          weights: Mapping[str, float]) -> Learnt:
    """Pure: from the training rows, the out-of-sample predictions on evidence and search folds, and the importance."""
    promised = promise.learn(evidence, searched, reference[["event_time", "y"]], length=block_length(line),
                             bar=line.bar)
    try:
        found = learn_norm(reference, line.drift, ignore=calendar(), memory=memory())
    except InsufficientData:
        return Learnt(None, promised, weights)
    return Learnt(found, promised, weights)


def importance(warehouse: Warehouse, settings: Settings, line: Line, champion: Candidate,
               reference: pd.DataFrame) -> dict[str, float]:
    """Mean absolute SHAP value of each of the model's columns over evenly spaced training rows, as shares of their sum.

    Asked of the model itself: the importance on its run is in another unit for every family. Empty when it cannot be
    loaded: it weighs, it does not decide.
    """
    from pipelines.registry import models  # MLflow takes a second to import

    try:
        model = models.load(warehouse, settings, line, champion.version)
    except (TrackingUnavailable, RegistryError):
        return {}
    rows = np.unique(np.linspace(0, len(reference) - 1, min(SAMPLE, len(reference))).astype(int))
    sample = reference.iloc[rows][list(model.feature_names)].to_numpy(dtype=np.float64)
    weight = np.abs(model.contributions(sample)).mean(axis=0)  # type: ignore[attr-defined]
    total = float(weight.sum())
    shares = weight / total if total > 0 else np.full(len(weight), 1 / max(len(weight), 1))
    return dict(zip(model.feature_names, map(float, shares), strict=True))


def key_of(line: Line, champion: Candidate) -> str:
    """SHA-256 of what it is learnt from and how."""
    rules: Drift = line.drift
    parts = {"formats": [FORMAT, norm.FORMAT], "snapshot": champion.snapshot_digest,
             "evidence": champion.evidence_digest, "search": champion.search_digest,
             "model": [champion.line, champion.version, champion.run_id], "rules": rules.model_dump(mode="json"),
             "block_days": line.block_days, "ignore": calendar(), "memory": memory()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def calendar() -> tuple[str, ...]:
    """Columns of the calendar: a window of days always covers them in its own way, that is no drift."""
    return tuple(feature.name for feature in catalog.GROUPS["time"].features)


def memory() -> dict[str, float]:
    """Column → days for which an event stays in it."""
    return {feature.name: feature.lookback / HOURS_PER_DAY for name, group in catalog.GROUPS.items()
            if name not in SETTLING for feature in group.features}
