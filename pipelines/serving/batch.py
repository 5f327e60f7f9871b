"""Batch prediction: every new bar scored by the champion of its time, by the challenger in its shadow, and for a while
after a promotion by the champion's predecessor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd

from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.window import Window
from pipelines.errors import RegistryError
from pipelines.registry import models
from pipelines.registry.standing import challenger, predecessor
from pipelines.serving.rows import rows
from pipelines.store import Warehouse, ledger, tables, upsert

CHAMPION, CHALLENGER, PREDECESSOR = "champion", "challenger", "predecessor"


@dataclass(frozen=True)
class PredictReport:
    """What one window got. ``rows`` counts predictions that stand for the window after the call, ``new`` those that
    this call added; ``by_role`` counts ``rows`` per role; ``note`` says why there are none, or none of a role."""

    line: str
    window: str
    rows: int
    new: int
    by_role: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


def predict(warehouse: Warehouse, settings: Settings, line: Line, window: Window) -> PredictReport:
    """Score the rows that became available in ``window``.

    The champion is the one in effect at the window's start, the challenger the newest version after it that was
    trained as of then or before and runs in shadow; both are read from the ledger, so a rerun finds the same. The
    predecessor of a fresh champion (``[gate.rollback]``) scores along if it still can. A prediction once written
    stands: it is never changed, and none is written for a row whose outcome was known by the time the row was.

    Raises:
        ConfigError: the line's rows are texts: see ``serving.scorer``.
        UnsafeArtifact, RegistryError: a model cannot be loaded, or no longer fits the line's features.
        StoreUnavailable, TrackingUnavailable: try again.
    """
    line.require_bars("predict")
    roles = _roles(warehouse, line, window.start)
    if not roles:
        return PredictReport(line.name, window.key, 0, 0, note=(
            f"no champion was in effect at {window.start:%Y-%m-%d %H:%M} UTC: nothing to predict with"))
    frame = rows(warehouse, line, window)
    frame = frame.assign(label_end=frame["event_time"] + line.bar + line.horizon)
    frame = frame[frame["available_at"] < frame["label_end"]].reset_index(drop=True)
    note = "" if len(frame) else "no row became available in this window in time"
    scored = {}
    for role, version in roles.items():
        try:
            scored[role] = predictions(warehouse, settings, line, frame, role, version)
        except RegistryError as error:
            if role != PREDECESSOR:
                raise
            # Of a predecessor nothing depends but the watch: that it fits no longer must not stop the champion.
            note = f"version {version} is not watched against the champion: {error}"
    new = 0
    with warehouse.begin() as connection:
        for made in scored.values():
            new += upsert.upsert(connection, tables.predictions, made, update=False)[0]
    by_role = {role: len(made) for role, made in scored.items()}
    return PredictReport(line.name, window.key, sum(by_role.values()), new, by_role,
                         {role: roles[role] for role in scored}, note)


def predictions(warehouse: Warehouse, settings: Settings, line: Line, frame: pd.DataFrame, role: str,
                version: int) -> pd.DataFrame:
    """One version's predictions for ``frame`` (``FEATURE_META``, ``label_end`` and features), in the columns of
    ``ai_trading.predictions``."""
    model = models.load(warehouse, settings, line, version)
    made = frame[["symbol", "event_time", "available_at", "label_end"]].copy()
    made.insert(0, "line", line.name)
    made.insert(1, "version", version)
    made["role"] = role
    made["probability"] = models.score(model, frame, line, version)
    made["feature_digest"] = feature_digests(frame, model.feature_names)
    return made


def feature_digests(frame: pd.DataFrame, names: tuple[str, ...]) -> list[str]:
    """SHA-256 of each row's feature names and float64 values: equal digests, equal inputs, wherever they came from."""
    values: FloatArray = np.ascontiguousarray(frame.loc[:, list(names)].to_numpy(dtype=np.float64))
    head = hashlib.sha256("\x1f".join(names).encode())
    digests = []
    for row in values:
        digest = head.copy()
        digest.update(row.tobytes())
        digests.append(digest.hexdigest())
    return digests


def _roles(warehouse: Warehouse, line: Line, at: datetime) -> dict[str, int]:
    with warehouse.begin() as connection:
        present = ledger.champion(connection, line.name, as_of=at)
        if present is None:
            return {}
        shadow = challenger(connection, line, present.version, as_of=at)
    found = {CHAMPION: present.version, CHALLENGER: shadow, PREDECESSOR: predecessor(present, line, at)}
    return {role: version for role, version in found.items() if version is not None}
