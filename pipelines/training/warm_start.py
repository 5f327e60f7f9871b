"""Where a search may start: at the configuration that the last training of the line has chosen.

Not at the champion's: which candidate became champion was decided on days that may be fresh days of this training, and
the gate would meet a winner that had been chosen on its own evidence. What the last search chose, it chose on its
search days, and these have to lie before the fresh days of this one.

They may be search days of this one, though. Then the configuration has won there against trials that this search does
not know, and the gate has to hear of them: they are counted among the trials that were made.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipelines.contracts.line import Line
from pipelines.errors import TrainingError
from pipelines.store import Warehouse, ledger, snapshots
from pipelines.training import stopping
from pipelines.training.record import Tracker
from pipelines.training.trial import Start
from pipelines.validation.splits import Plan

_PREFIX = "model."


@dataclass(frozen=True)
class Warm:
    """The start that a version gives: its family and parameters, and how many ``trials`` it was chosen among on days
    that this search uses again (0: on none of them)."""

    version: int
    family: str
    params: dict[str, Any]
    trials: int

    @property
    def start(self) -> Start:
        return Start(self.family, self.params)


def find(warehouse: Warehouse, tracker: Tracker, line: Line, as_of: datetime, folds: Plan) -> Warm | None:
    """The start for a training as of a time: from the newest candidate that was trained no later, None if there is
    none, or none whose search days are known to end before the fresh days.

    Raises:
        TrackingUnavailable, StoreUnavailable: try again.
    """
    with warehouse.begin() as connection:
        last = ledger.last_candidate(connection, line.name, as_of=as_of)
    evidence = None if last is None else snapshots.entry(warehouse, last.evidence_digest, line=line.name)
    if last is None or evidence is None or last.family not in line.search.families:
        return None
    searched = evidence[0].start  # where its fresh days begin, its search ends
    if searched > folds.evidence_start:
        return None
    try:
        params = tracker.logged(last.run_id)
    except TrainingError:  # its run was deleted: there is nothing to start from
        return None
    chosen = {key.removeprefix(_PREFIX): read(text) for key, text in sorted(params.items()) if key.startswith(_PREFIX)}
    if line.search.early_stopping and stopping.MOST in params:  # what it may take, not what it came to
        chosen[stopping.ROUNDS] = read(params[stopping.MOST])
    again = searched > folds.search[0].test_start
    return Warm(last.version, last.family, chosen, last.trials if again else 0) if chosen else None


def read(text: str) -> Any:
    """A parameter as it was before MLflow made it text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
