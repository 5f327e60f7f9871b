"""A small line with real models and a real ledger; beside a real MLflow, or beside one that lives in memory.

The truth is planted: ``return_1h`` carries an edge of the given strength; a negative one is a market that has turned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FittedModel
from pipelines.contracts.records import Candidate, Outcome, SnapshotRef, Verdict
from pipelines.errors import RegistryError, TrackingUnavailable
from pipelines.features import catalog
from pipelines.registry.client import Version
from pipelines.store import Warehouse, ledger, snapshots
from pipelines.training import families, fit
from pipelines.validation.splits import plan

START = datetime(2024, 1, 1, tzinfo=UTC)
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SYMBOLS = ("BTC", "ETH", "SOL")
GROUPS = ("returns", "time")
EDGE_COLUMN = "return_1h"


def make_line(**changes: object) -> Line:
    values: dict[str, object] = {
        "name": "direction_1h", "title": "Sign of the next hour's return",
        "target": {"kind": "direction", "horizon_bars": 1}, "features": {"groups": GROUPS},
        "walk_forward": {"scheme": "rolling", "train_days": 12, "test_days": 2, "search_folds": 2, "evidence_days": 7,
                         "evidence_fold_days": 7, "embargo_bars": 1},
        "search": {"families": ["logistic_regression", "lightgbm"], "trials": 2},
        "costs": {"fee_bps": 0.5, "slippage_bps": 0.5, "band": 0.05},
        "gate": {"alpha": 0.05, "min_rows": 200, "min_auc": 0.52, "require_net_return": True},
        "drift": {"window_days": 3, "share": 0.3, "persistence": 2}}
    return Line.model_validate(values | changes)


def feature_columns(line: Line) -> list[str]:
    return [feature.name for feature in catalog.features(catalog.select(line.features.groups))]


def make_rows(line: Line, start: datetime, days: int, *, edge: float = 1.0, seed: int = 0,
              shift: float = 0.0) -> pd.DataFrame:
    """Rows of bars that close in ``[start, start + days)``: FEATURE_META, features, labels, ``base_prev_label``."""
    rng = np.random.default_rng([seed, int(start.timestamp()) % 2**31])
    hours = days * 24
    opens = pd.date_range(start - timedelta(hours=1), periods=hours, freq="h", unit="us").repeat(len(SYMBOLS))
    names = feature_columns(line)
    values = pd.DataFrame(rng.standard_normal((len(opens), len(names))) + shift, columns=names)
    forward = 0.004 * (0.6 * edge * (values[EDGE_COLUMN].to_numpy() - shift) + rng.standard_normal(len(opens)))
    frame = pd.DataFrame({"symbol": np.tile(SYMBOLS, hours), "event_time": opens,
                          "available_at": opens + timedelta(hours=1)}).astype({"symbol": "str"})
    frame = pd.concat([frame, values], axis=1)
    frame["y"] = (forward > 0).astype(np.int64)
    frame["label_end"] = frame["available_at"] + line.horizon
    frame["forward_return"] = forward
    frame["base_prev_label"] = frame.groupby("symbol")["y"].shift(2)
    return frame.sort_values(["event_time", "symbol"], ignore_index=True)


class FakeRegistry:
    """What ``ModelRegistry`` offers, in memory; ``down`` makes every call fail as a dead server does."""

    def __init__(self) -> None:
        self.held: dict[int, Version] = {}
        self.set: dict[str, int] = {}
        self.run_tags: dict[str, dict[str, str]] = {}
        self.pages: dict[tuple[str, str], str] = {}
        self.files: dict[tuple[str, str], bytes] = {}
        self.writes: list[str] = []
        self.down = False

    def __call__(self, settings: Settings) -> FakeRegistry:
        return self

    def _ask(self, *write: object) -> None:
        if self.down:
            raise TrackingUnavailable("MLflow does not answer")
        if write:
            self.writes.append(" ".join(map(str, write)))

    def aliases(self, line: Line) -> dict[str, int] | None:
        self._ask()
        return dict(self.set) if self.held else None

    def versions(self, line: Line) -> dict[int, Version]:
        self._ask()
        return dict(self.held)

    def version(self, line: Line, version: int) -> Version:
        self._ask()
        return self.held[version]

    def set_alias(self, line: Line, alias: str, version: int) -> None:
        self._ask("alias", alias, version)
        if version not in self.held:
            raise RegistryError(f"no version {version}")
        self.set[alias] = version

    def delete_alias(self, line: Line, alias: str) -> None:
        self._ask("unalias", alias)
        del self.set[alias]

    def tag_version(self, line: Line, version: int, tag: str, value: str) -> None:
        self._ask("tag", version, tag, value)
        self.held[version] = replace(self.held[version], tags={**self.held[version].tags, tag: value})

    def describe_version(self, line: Line, version: int, text: str) -> None:
        self._ask("describe", version)
        self.held[version] = replace(self.held[version], description=text)

    def tag_run(self, run_id: str, tags: dict[str, str]) -> None:
        self._ask()
        self.run_tags.setdefault(run_id, {}).update(tags)

    def log_page(self, run_id: str, path: str, html: str) -> None:
        self._ask("page", run_id, path)
        self.pages[run_id, path] = html

    def log_files(self, run_id: str, place: str, files: Mapping[str, bytes]) -> None:
        self._ask("files", run_id, place)
        self.files.update({(run_id, f"{place}/{name}"): content for name, content in files.items()})


@dataclass
class World:
    """A warehouse, a line, and MLflow: a server (``settings``) or ``registry`` in memory."""

    warehouse: Warehouse
    settings: Settings
    line: Line
    registry: FakeRegistry | None = None
    models: dict[int, FittedModel] = field(default_factory=dict)

    def train(self, as_of: datetime, *, edge: float = 1.0, family: str = "logistic_regression", seed: int = 0,
              frame: pd.DataFrame | None = None) -> Candidate:
        """Register a version trained on the line's history before ``as_of`` and enter it into the ledger."""
        line, days = self.line, self.line.walk_forward.history_days
        frame = make_rows(line, as_of - days * DAY, days, edge=edge, seed=seed) if frame is None else frame
        frame = frame[frame["label_end"] <= as_of].reset_index(drop=True)
        training = self.put(frame, "training", as_of - days * DAY, as_of)
        data, folds = fit.matrix(snapshots.get(self.warehouse, training.digest)), plan(line, frame)
        params = families.get(family).defaults
        evidence = fit.out_of_sample(data, folds.evidence, family, params, seed)
        judged = self.put(evidence, "evidence", folds.evidence_start.to_pydatetime(), as_of)
        searched = fit.out_of_sample(data, folds.search, family, params, seed)
        tried = searched.assign(trial_0=searched["candidate"], trial_1=searched["base_rate"])
        search = self.put(tried, "search", folds.search[0].test_start.to_pydatetime(), as_of)
        model, rows = fit.final(data, line, family, params, seed)
        through = data.frame["label_end"].iloc[rows].max().to_pydatetime()
        version, run_id = self._register(model, family, training, data)
        candidate = Candidate(line.name, version, run_id, family, as_of, through, training.digest, judged.digest, 2,
                              search_digest=search.digest, audited=True)
        self.enter(candidate)
        return candidate

    def enter(self, candidate: Candidate) -> None:
        with self.warehouse.begin() as connection:
            ledger.add_candidate(connection, candidate, at=AT)

    def candidate(self, version: int, as_of: datetime = START) -> Candidate:
        """A version without a model, for what only looks at the ledger and at tags."""
        made = Candidate(self.line.name, version, f"run{version}", "lightgbm", as_of, as_of, "s", "e", 2)
        if self.registry is not None:
            self.registry.held[version] = Version(version, made.run_id, "models:/m-0", AT, "# Card", {})
        self.enter(made)
        return made

    def put(self, frame: pd.DataFrame, kind: str, start: datetime, end: datetime) -> SnapshotRef:
        return snapshots.put(self.warehouse, frame, kind=kind, line=self.line.name, start=start, end=end)  # type: ignore[arg-type]

    def partition(self, day: datetime, **truth: float) -> pd.DataFrame:
        """Materialise one day of feature rows; returns them with their labels."""
        rows = make_rows(self.line, day, 1, **truth)  # type: ignore[arg-type]
        kept = rows[["symbol", "event_time", "available_at", *feature_columns(self.line)]]
        self.put(kept, "partition", day, day + DAY)
        return rows

    def _register(self, model: FittedModel, family: str, training: SnapshotRef, data: fit.Matrix) -> tuple[int, str]:
        if self.registry is not None:
            version = max(self.registry.held, default=0) + 1
            self.models[version] = model
            self.registry.held[version] = Version(version, f"run{version}", "models:/m-0", AT, "# Card", {})
            return version, f"run{version}"
        from pipelines.training.record import Tracker

        tracker, line = Tracker(self.settings), self.line
        run_id = tracker.start(line, line.name, {tags.LINE: line.name, tags.KIND: "training"}, {}, training,
                               dict.fromkeys(data.names, "double"))
        source, digest = tracker.model(line, run_id, model, families.get(family), data.features)  # type: ignore[arg-type]
        made = tracker.register(line, run_id, source, {
            tags.LINE: line.name, tags.FAMILY: family, tags.MODEL_FILE: digest,
            tags.MODEL_CONTENT: model.fingerprint()}, "# Card")  # type: ignore[attr-defined]
        tracker.finish(run_id)
        return made.version, run_id


def said(outcome: Outcome, champion: int | None = None) -> Verdict:
    """A verdict that somebody else has reached."""
    return Verdict(outcome, (f"The test says {outcome.value}.",), "champion" if champion else "base_rate", 0.01, 0.005,
                   0.015, 0.001, 0.004, 168, 504, {"candidate": {"auc": 0.6, "log_loss": 0.68}}, champion)
