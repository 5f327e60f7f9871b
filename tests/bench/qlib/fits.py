"""The LightGBM fits that a piece of work contains, taken down so that they can be done again alone.

It knows LightGBM only, so that both environments can use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightgbm as lgb
import numpy as np


class Fits:
    """Calls of ``lightgbm.train`` with what their datasets were made of, in order; ``models``: what they gave."""

    def __init__(self) -> None:
        self.models: list[str] = []
        self._datasets: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self._calls: list[tuple[dict[str, Any], tuple[Any, ...], dict[str, Any]]] = []
        self._arrays: dict[bytes, np.ndarray] = {}

    @contextmanager
    def taken_down(self) -> Iterator[None]:
        """Within it, every fit is taken down. Slow: nothing in it is to be timed."""
        make, train = lgb.Dataset.__init__, lgb.train

        def noted_make(dataset: Any, *given: Any, **named: Any) -> None:
            dataset.number = len(self._datasets)
            self._datasets.append((tuple(map(self._keep, given)), {key: self._keep(at) for key, at in named.items()}))
            make(dataset, *given, **named)

        def noted_train(params: dict[str, Any], *given: Any, **named: Any) -> Any:
            asked = dict(params), tuple(map(self._keep, given)), {key: self._keep(at) for key, at in named.items()}
            model = train(params, *given, **named)
            self._calls.append(asked)
            self.models.append(model.model_to_string())
            return model

        lgb.Dataset.__init__, lgb.train = noted_make, noted_train
        try:
            yield
        finally:
            lgb.Dataset.__init__, lgb.train = make, train

    def again(self, without: tuple[str, ...] = ()) -> list[Any]:
        """The same fits alone: each dataset made once, as it was, and each fit done once; ``without`` these arguments
        of ``lightgbm.train``, which must not change the model."""
        datasets: dict[int, Any] = {}

        def real(value: Any) -> Any:
            if isinstance(value, _Made):
                if value.number not in datasets:
                    given, named = self._datasets[value.number]
                    datasets[value.number] = lgb.Dataset(*map(real, given), **{key: real(at) for key, at in
                                                                              named.items()})
                return datasets[value.number]
            return [real(each) for each in value] if isinstance(value, list) else value

        return [lgb.train(dict(params), *map(real, given), **{key: real(at) for key, at in named.items()
                                                           if key not in without})
                for params, given, named in self._calls]

    def same(self, models: list[Any]) -> bool:
        """Whether these are the models that the work itself has made."""
        return bool(models) and [model.model_to_string() for model in models] == self.models

    def _keep(self, value: Any) -> Any:
        if isinstance(value, lgb.Dataset):
            return _Made(value.number)
        if isinstance(value, (list, tuple)) and any(isinstance(each, lgb.Dataset) for each in value):
            return [self._keep(each) for each in value]
        if isinstance(value, np.ndarray):  # folds overlap between trials: each array is kept once
            order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
            key = hashlib.sha256(f"{value.shape}{value.dtype}{order}".encode() + value.tobytes(order)).digest()
            return self._arrays.setdefault(key, value.copy(order))
        return value


class _Made:
    """Stands for the dataset of this number."""

    def __init__(self, number: int) -> None:
        self.number = number
