"""What is a group of features worth to a line? The same walk forward with it and without it.

Both ways use the same family, parameters, seed, rows and folds (purged and embargoed, as in every training); only the
columns of the group differ. The mean loss of each day without the group, less that with it, is tested with the test of
the gate (equal-weighted cosines, ``significance.forecast``). The effect is that of *this* model on *these* days: more
columns also cost something, so a useless group is slightly below zero and the test errs to the safe side (T. E. Clark
and K. D. West, "Approximately normal tests for equal predictive accuracy in nested models", *Journal of Econometrics*
138(1), 2007, 291-311). It asks whether the forecasts are better, not whether the group holds any information.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from pipelines.contracts.line import Line
from pipelines.errors import InsufficientData
from pipelines.features import catalog, feature_names, snapshot
from pipelines.store import Warehouse
from pipelines.training import families, fit
from pipelines.validation import metrics
from pipelines.validation.significance import MeanTest, forecast
from pipelines.validation.splits import Fold, WalkForward
from pipelines.validation.splits.line_plan import MIN_TRAIN_ROWS, WARM_UP

#: Fewest days that the test takes.
LEAST_DAYS = 20
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Ablation:
    """What the group is worth.

    Attributes:
        uses: whether the line has the group; if not, this says what adding it would bring.
        family: model family, with its default parameters.
        days, rows, symbols, first, last: what was forecast (``event_time``, UTC).
        loss_with, loss_without, loss_base_rate: mean log loss in nats over the days; the last one is that of always
            saying the training rows' base rate.
        test: of the nats that the group saves per row, over daily means; ``p_value`` is of "it does not help".
    """

    line: str
    group: str
    uses: bool
    family: str
    days: int
    rows: int
    symbols: int
    first: datetime
    last: datetime
    loss_with: float
    loss_without: float
    loss_base_rate: float
    test: MeanTest


def run(warehouse: Warehouse, line: Line, as_of: datetime, *, days: int, family: str | None = None,
        group: str = "sentiment") -> Ablation:
    """Walk the last ``days`` before ``as_of`` with the group and without it.

    Args:
        days: how many days are forecast; the first fit learns from the ``train_days`` before them.
        group: a group, or one feature like ``trend.rsi_14h``. Of a group of which the line names single features,
            these.
        family: model family, with its default parameters; the line's first if left out.

    Raises:
        ConfigError: unknown family or group. InsufficientData: too little history, or the group never varies.
    """
    groups = line.features.groups if _used(line, group) else (*line.features.groups, group)
    wanted = line.model_copy(update={
        "features": line.features.model_copy(update={"groups": groups}),
        "walk_forward": line.walk_forward.model_copy(update={"evidence_days": days, "search_folds": 0})})
    _, frame = snapshot.matrix(warehouse, wanted, as_of)
    return ablate(frame, line, days=days, family=family, group=group)


def ablate(frame: pd.DataFrame, line: Line, *, days: int, family: str | None = None,
           group: str = "sentiment") -> Ablation:
    """The same on a ready training frame (``features.snapshot.matrix``) that holds the columns of ``group``.

    Raises:
        InsufficientData: fewer than ``LEAST_DAYS`` days with enough rows before them, or columns that never vary.
    """
    chosen = families.get(family or line.search.families[0])
    own = [name for name in _names((group,)) if name in frame.columns]
    if not own or not (frame[own].nunique(dropna=False) > 1).any():
        raise InsufficientData(f"the {group} features of {line.name} never vary in these days: nothing was known. Load "
                               "texts and score them (`tidemark ingest`, `tidemark sentiment`)")
    folds = _folds(frame, line, days)
    tested = fit.out_of_sample(fit.matrix(frame), folds, chosen.name, chosen.defaults, line.search.seed)
    rest = frame.drop(columns=own)
    # With nothing else to learn from, the alternative is the base rate.
    without = tested["base_rate"] if not feature_names(rest) else fit.out_of_sample(
        fit.matrix(rest), folds, chosen.name, chosen.defaults, line.search.seed)["candidate"]
    losses = pd.DataFrame({name: metrics.losses(tested["y"], chances) for name, chances in (
        ("with", tested["candidate"]), ("without", without), ("base_rate", tested["base_rate"]))})
    start = folds[0].test_start
    daily = losses.groupby(start + (tested["event_time"] - start) // _DAY * _DAY).mean()
    overlap = math.ceil((line.target.horizon_bars - 1) * line.bar / _DAY)
    test = forecast.mean_gain(daily["without"] - daily["with"], overlap=overlap, alpha=line.gate.alpha)
    mean = daily.mean()
    return Ablation(line.name, group, _used(line, group), chosen.name, len(daily), len(tested),
                    tested["symbol"].nunique(), tested["event_time"].min().to_pydatetime(),
                    tested["event_time"].max().to_pydatetime(), float(mean["with"]), float(mean["without"]),
                    float(mean["base_rate"]), test)


def _names(groups: Sequence[str]) -> list[str]:
    return [feature.name for feature in catalog.features(catalog.select(groups))]


def _used(line: Line, group: str) -> bool:
    """Whether the line has the group, or the features of it that it names."""
    return not set(_names((group,))).isdisjoint(_names(line.features.groups))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values for several questions at once (S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure",
    *Scandinavian Journal of Statistics* 6(2), 1979, 65-70), in the order given."""
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1.0)
    return [float(value) for value in adjusted]


def _folds(frame: pd.DataFrame, line: Line, days: int) -> list[Fold]:
    """Test windows of ``test_days`` over the last ``days``, those with a training window that is nearly full."""
    rules = line.walk_forward
    train, least = timedelta(days=rules.train_days), timedelta(days=(1 - WARM_UP) * rules.train_days)
    split = WalkForward(train, timedelta(days=rules.test_days), math.ceil(days / rules.test_days), rules.scheme,
                        line.bar * rules.embargo_bars)
    times, labels = frame["event_time"], frame["y"]
    folds = [fold for fold in split.split(times, frame["label_end"]) if len(fold.train) >= MIN_TRAIN_ROWS
             and times.iloc[fold.train].min() <= fold.test_start - least and labels.iloc[fold.train].nunique() == 2]
    tested = sum(times.iloc[fold.test].dt.floor("D").nunique() for fold in folds)
    if tested < LEAST_DAYS:
        raise InsufficientData(
            f"{line.name} has {tested} days to test the worth of a group on, each after {rules.train_days} days to "
            f"learn from; at least {LEAST_DAYS} are needed: load more history, or choose a later as_of")
    return folds
