"""One world from its first bar to its figures."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from infra.studies import scratch
from infra.studies.year import playing, scoring, setting
from infra.studies.year.playing import Meter, Stage
from infra.studies.year.scoring import ARMS, BETTER, NEVER, NEWEST, ORACLE, POLICY, Marks
from infra.studies.year.world import Calendar, Year, YearProvider, make
from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.store import Warehouse

#: Work of a meter that belongs to trainings; the rest is the daily round.
TRAINING = ("audit", "train", "judge")


@dataclass(frozen=True)
class Result:
    """A played year.

    Attributes:
        frame: every judged row (``scoring.judged``) with a column of probabilities for each arm.
        marks: of the policy's line.
        reigns: rival → when which version of theirs began to serve.
        meters: arm → its work; the two weekly ones share theirs.
    """

    seed: int
    calendar: Calendar
    line: Line
    frame: pd.DataFrame
    marks: Marks
    reigns: dict[str, playing.Reign]
    meters: dict[str, Meter]

    def trainings(self, arm: str) -> int:
        return self.meters[arm].times.get("train", 0)

    def cpu(self, arm: str) -> float:
        """CPU seconds of its trainings with their verdicts, without the audit of the first."""
        return sum(seconds for work, seconds in self.meters[arm].seconds.items() if work in ("train", "judge"))

    def table(self) -> pd.DataFrame:
        """A row for oracle and arms: millinats saved with interval, share of the oracle's, AUC, net return, costs."""
        from pipelines.validation import metrics

        saved, table = scoring.daily(self.frame), {}
        for name in saved:
            gain, earned = scoring.mean(saved[name], 1000.0), scoring.net(self.frame, self.line, name)
            table[name] = {
                "millinats": gain.value, "millinats_low": gain.low, "millinats_high": gain.high,
                "of_oracle": float(saved[name].mean() / saved[ORACLE].mean()),
                "auc": metrics.classification(self.frame["y"], self.frame[name])["auc"],
                "net_return": float(earned.sum()),
                "trainings": self.trainings(name) if name in ARMS else 0,
                "training_cpu_s": self.cpu(name) if name in ARMS else 0.0,
                "changes": self.changes(name) if name in ARMS else 0}
            if name in ARMS and name != POLICY:
                behind = scoring.mean(saved[POLICY] - saved[name], 1000.0)
                table[name] |= {"policy_ahead": behind.value, "policy_ahead_low": behind.low,
                                "policy_ahead_high": behind.high}
        return pd.DataFrame.from_dict(table, orient="index")

    def changes(self, arm: str) -> int:
        """How often the serving version changed, the first one included."""
        return len(self.marks.changes) if arm == POLICY else len(self.reigns[arm])

    def to_json(self) -> dict[str, Any]:
        """All figures, JSON-friendly."""
        return plain({
            "seed": self.seed, "arms": self.table().to_dict("index"),
            "regimes": scoring.by_regime(self.frame, self.calendar).to_dict("records"),
            "reactions": scoring.reactions(self.marks, self.calendar).to_dict("records"),
            "requests": self.marks.requests["reason"].value_counts().to_dict(),
            "verdicts": self.marks.verdicts["outcome"].value_counts().to_dict(),
            "alarm_checks": self.marks.alarms["kind"].value_counts().to_dict(),
            "cpu_s": {arm: meter.seconds for arm, meter in self.meters.items()}})


def run(seed: int, calendar: Calendar, *, symbols: int = 3, edge: float = 1.4, pictures: bool = False,
        tell: Callable[[str, datetime | None], None] = lambda *_: None) -> Result:
    """Play one world in a warehouse and an MLflow of its own; nothing of it stays.

    Args:
        pictures: let trainings draw themselves.
        tell: is told what is going on, and how far the days have passed.
    """
    line = setting.policy_line()
    tell("planting the world", None)
    year = make(seed, calendar, symbols=symbols, edge=edge)
    with tempfile.TemporaryDirectory(prefix="tidemark-year-", ignore_cleanup_errors=True) as directory, \
            scratch.warehouse() as store, \
            setting.tracking(Path(directory), [line, setting.rival_line(line)]) as url, \
            setting.undrawn(pictures):
        tell("loading its facts", None)
        load(store, year)
        settings = Settings(mlflow_url=url, optuna_url=scratch.database(store, "optuna"))  # type: ignore[arg-type]
        return play(store, settings, line, year, seed, tell)


def load(store: Warehouse, year: Year) -> None:
    """Take in everything; each row keeps the time at which it became known."""
    scratch.load(store, YearProvider(year), year.window, at=year.window.end)


def play(store: Warehouse, settings: Settings, line: Line, year: Year, seed: int,
         tell: Callable[[str, datetime | None], None] = lambda *_: None, *, audited: bool = True) -> Result:
    """All arms in a loaded warehouse."""
    def on(what: str) -> Stage:
        return Stage(store, settings, year.calendar.year, lambda day: tell(what, day))

    own = playing.policy(on("policy and gate"), line, audited=audited)
    stage, rivals = on("weekly trainings"), setting.rival_line(line)
    trained, cost = playing.weekly(stage, rivals)
    reigns = {NEVER: playing.newest(trained[:1]), NEWEST: playing.newest(trained),
              BETTER: playing.better(stage, rivals, trained)}
    rows, frame = playing.feature_rows(stage, line), scoring.judged(store, line, year)
    for name, reign in reigns.items():
        frame = scoring.with_rival(frame, rows, name, playing.chances(stage, rivals, reign, rows))
    one = Meter({"train": cost.seconds["train"] / cost.times["train"]}, {"train": 1})
    meters = {POLICY: own, NEVER: one, NEWEST: cost, BETTER: cost}
    return Result(seed, year.calendar, line, frame, scoring.marks(store, line), reigns, meters)


def plain(value: Any) -> Any:
    """Without NaN and NumPy's types, as JSON wants it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
