"""The rules by which a line asks for a training (its ``[retrain]`` table), and what a training has cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: What a budget is counted over: the days of data time before a decision. A rolling month frees a little every day,
#: a calendar month would free everything at once on its first.
MONTH = timedelta(days=30)


class Retrain(BaseModel):
    """What may ask for a training, and how often.

    ``*_days`` are days of data time, so that a backfill behaves as the days themselves would have; ``*_hours`` are wall
    time. The meaning of each key, with the transitions that follow from them, is in ``docs/retraining.md``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: tuple[Literal["performance", "data_drift", "prediction_drift", "code_change", "schedule", "new_data"], ...] = (
        "data_drift", "performance")
    every_days: int | None = Field(default=None, ge=1)
    new_rows: int | None = Field(default=None, ge=1)
    new_days: int | None = Field(default=None, ge=1)
    cooldown_days: int = Field(default=3, ge=0)
    cooldown_limit_days: int = Field(default=28, ge=0)
    min_new_days: int = Field(default=3, ge=0)
    min_new_rows: int = Field(default=0, ge=0)
    quiet_days: int = Field(default=7, ge=1)
    ripe_days: int = Field(default=10, ge=0)
    again_days: int = Field(default=14, ge=1)
    worse: float = Field(default=1.5, gt=1)
    budget_runs: int = Field(default=10, ge=1)
    budget_cpu_hours: float | None = Field(default=None, gt=0)
    claim_hours: int = Field(default=6, ge=1)
    expire_hours: int = Field(default=48, ge=1)

    @property
    def counts_rows(self) -> bool:
        """Whether a decision has to know how much data is new."""
        return "new_data" in self.on or self.min_new_rows > 0

    @model_validator(mode="after")
    def _triggers_have_their_figures(self) -> Retrain:
        if "schedule" in self.on and self.every_days is None:
            raise ValueError("retrain.on lists 'schedule' but every_days is missing; set it to a number of days")
        if "new_data" in self.on and self.new_rows is None and self.new_days is None:
            raise ValueError("retrain.on lists 'new_data' but neither new_rows nor new_days says how much; set one")
        return self


@dataclass(frozen=True)
class Cost:
    """What a training took: CPU seconds (user and system, of its processes and their children), the wall seconds of
    its steps, those that ran at once added up, and the trials that were finished in it."""

    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    trials: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu_seconds + other.cpu_seconds, self.wall_seconds + other.wall_seconds,
                    self.trials + other.trials)
