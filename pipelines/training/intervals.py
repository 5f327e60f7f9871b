"""How often should a line be retrained? The question answered on its own past, against never retraining."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pandas as pd

from pipelines.contracts.line import Line
from pipelines.features import snapshot
from pipelines.store import Warehouse
from pipelines.training import families, fit
from pipelines.validation import retraining


def run(warehouse: Warehouse, line: Line, as_of: datetime, *, days: int, family: str | None = None,
        intervals: Sequence[timedelta] = retraining.INTERVALS) -> retraining.Report:
    """Walk the last ``days`` before ``as_of`` once per interval and once without retraining.

    Args:
        days: how many days are forecast; the first fit learns from the ``train_days`` before them.
        family: model family, with its default parameters; the line's first if left out.
        intervals: times between fits.

    Raises:
        ConfigError: the line does not use this family. InsufficientData: too little history.
    """
    chosen = families.get(family or line.search.families[0])
    wanted = line.walk_forward.model_copy(update={"evidence_days": days, "search_folds": 0})
    _, frame = snapshot.training(warehouse, line.model_copy(update={"walk_forward": wanted}), as_of)

    def train(rows: pd.DataFrame) -> retraining.Model:
        data = fit.matrix(rows)
        model = chosen.fit(data.features, data.labels, data.names, chosen.defaults, line.search.seed)
        return lambda asked: model.predict(asked.loc[:, list(data.names)].to_numpy(dtype="float64"))

    start = frame["event_time"].max() + line.bar - timedelta(days=days)
    rolling = line.walk_forward.scheme == "rolling"
    walked = retraining.walk(
        frame, train, start, intervals=intervals, embargo=line.bar * line.walk_forward.embargo_bars,
        train=timedelta(days=line.walk_forward.train_days) if rolling else None)
    return retraining.report(walked, alpha=line.gate.alpha, costs=line.costs, horizon_bars=line.target.horizon_bars)
