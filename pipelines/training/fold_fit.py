"""One fit on one fold's rows: columns chosen, rows prepared once for many fits, rounds stopped where that is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.training import families, selection, stopping
from pipelines.training.families.base import Family, Fitted, Preparing, Stopping, check, fit_prepared, prepare
from pipelines.training.matrix import IntArray, Matrix, key_of, span
from pipelines.training.trial import SELECTION
from pipelines.validation.splits import Fold


@dataclass(frozen=True)
class Model:
    """A model, the positions of its columns (None: all), and its rounds where these were stopped."""

    fitted: Fitted
    columns: IntArray | None
    rounds: int | None = None

    def predict(self, features: FloatArray) -> FloatArray:
        return self.fitted.predict(features if self.columns is None else features[:, self.columns])


def fit(data: Matrix, rows: IntArray, family: str, params: Mapping[str, Any], seed: int,
        choose: IntArray | None = None, stop: timedelta | None = None) -> Model:
    """Fit on ``rows``, with the columns that the selection finds on the rows ``choose`` (the same, if left out).

    Args:
        stop: let the latest of the rows decide the number of rounds; the embargo before them.
    """
    chosen = families.get(family)
    own = {key: value for key, value in params.items() if key != SELECTION}
    if stop is not None and isinstance(chosen, Stopping):
        learned, watched = cut(data, rows, stop)
        if watched is not None:
            columns = choice(data, learned, params, seed)
            prepared, seen = _parted(data, learned, watched, chosen, columns, seed)
            model, rounds = chosen.fit_stopped(prepared, seen, own, seed, stopping.PATIENCE)
            return Model(model, columns, rounds)
    columns = choice(data, rows if choose is None else choose, params, seed)
    most = int(own[stopping.ROUNDS]) if stop is not None and isinstance(chosen, Stopping) else None
    return Model(fit_prepared(chosen, _prepared(data, rows, chosen, columns, seed), own, seed), columns, most)


def cut(data: Matrix, rows: IntArray, embargo: timedelta) -> tuple[IntArray, IntArray | None]:
    """``rows`` as those that are learned from and those that are watched; all are learned from where there are too few,
    or where one part has labels of one class only."""
    def make() -> tuple[IntArray, IntArray | None]:
        times = data.frame.iloc[rows]
        parts = stopping.split(rows, times["event_time"], times["label_end"], embargo)
        whole = parts is not None and all(len(np.unique(data.labels[part])) == 2 for part in parts)
        return parts if whole and parts is not None else (rows, None)

    found: tuple[IntArray, IntArray | None] = data.kept.get(("cut", embargo, *key_of(rows)), make, 8 * len(rows))
    return found


def _prepared(data: Matrix, rows: IntArray, family: Family, columns: IntArray | None, seed: int) -> Any:
    """The rows as the family likes them: made once for all fits, where it prepares anything."""
    def make() -> Any:
        return prepare(family, _values(data, rows, columns), data.labels[span(rows)], _names(data, columns), seed)

    if not isinstance(family, Preparing):
        return make()
    key = (family.name, seed, None if columns is None else columns.tobytes(), *key_of(rows))
    return data.kept.get(key, make, len(rows) * len(_names(data, columns)))


def _parted(data: Matrix, learned: IntArray, watched: IntArray, family: Stopping, columns: IntArray | None,
            seed: int) -> tuple[Any, Any]:
    """The rows to learn from and those to watch, as the family likes them. They are kept together: a library knows the
    bins of what is watched by the very object that is learned from."""
    whole = cast(Family, family)

    def make() -> tuple[Any, Any]:
        prepared = prepare(whole, _values(data, learned, columns), data.labels[span(learned)],
                           _names(data, columns), seed)
        return prepared, family.watch(prepared, _values(data, watched, columns), data.labels[span(watched)])

    if not isinstance(family, Preparing):
        return make()
    key = ("parted", whole.name, seed, None if columns is None else columns.tobytes(), *key_of(learned),
           *key_of(watched))
    found: tuple[Any, Any] = data.kept.get(key, make, (len(learned) + len(watched)) * len(_names(data, columns)))
    return found


def _names(data: Matrix, columns: IntArray | None) -> tuple[str, ...]:
    return data.names if columns is None else tuple(data.names[column] for column in columns)


def _values(data: Matrix, rows: IntArray, columns: IntArray | None) -> FloatArray:
    found = data.features[span(rows)]
    return found if columns is None else np.ascontiguousarray(found[:, columns])


def embargo_of(fold: Fold) -> timedelta:
    """The time that the fold keeps free before its test window, kept free before the watched rows too."""
    kept_free: timedelta = fold.test_start - fold.train_end
    return kept_free


def choice(data: Matrix, rows: IntArray, params: Mapping[str, Any], seed: int) -> IntArray | None:
    """The columns that a configuration's selection finds on these training rows, and on nothing else; None: all."""
    way = str(params.get(SELECTION, selection.NONE))
    if way == selection.NONE:
        return None

    def make() -> IntArray:
        ordered = rows[np.argsort(data.frame["event_time"].iloc[rows].to_numpy(), kind="stable")]
        features, labels = data.features[span(ordered)], data.labels[span(ordered)]
        check(features, labels, data.names)
        times = data.frame.iloc[ordered]
        found = selection.Rows(features, labels, times["event_time"], times["label_end"])
        return np.flatnonzero(selection.get(way)(found, seed))

    columns: IntArray = data.kept.get(("columns", way, seed, *key_of(rows)), make, 8 * len(data.names))
    return columns
