"""What the neural families share: which columns are a sequence, how numbers are made fit, and a file without code.

A family is asked with single rows (serving) and with many (training), and both have to give the same forecast. So a
row brings its own past: the columns ``lag_<channel>_<hours ago>`` of the feature group ``lags`` are read as a sequence,
oldest first, and nothing has to be remembered between rows. All other columns stand beside it.

PyTorch only trains and explains. A forecast is computed by a kernel in float64, row by row, each sum in one order:
BLAS would give a row other last bits in a batch than alone. The kernel is not asked for anything but the row, so one
row scores exactly as it did in training.

A missing value becomes the training rows' mean, and what lies more than ``CLIP`` standard deviations out is moved
there. On top of every network lies a linear model of the same inputs (Cheng et al. 2016, "Wide & Deep Learning"): where
there is nothing to see but a straight line, nothing is lost.
"""

from __future__ import annotations

import json
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from scipy.special import expit

from pipelines.contracts.ports import FloatArray
from pipelines.errors import UnsafeArtifact
from pipelines.training.families import neural_train
from pipelines.training.families.base import artifact, check, check_width, digest

FILE = "model.safetensors"
CLIP = 5.0
_FORMAT = 1
_MOST_BYTES = 32_000_000
_WIDEST = 256
_LAG = re.compile(r"lag_([a-z_]+)_(\d+)")

_log = logging.getLogger(__name__)

Tensors = Mapping[str, Any]


@dataclass(frozen=True)
class Layout:
    """Where a network finds its inputs among the columns: ``steps`` (hours, channels), oldest hour first, and
    ``beside`` (columns,) hold column positions."""

    steps: Any
    beside: Any
    columns: int


def layout(names: tuple[str, ...], row_is_step: bool) -> Layout:
    """The layout of these columns. Lags are a sequence if each channel has the same hours, from 1 on without a gap.

    Args:
        row_is_step: where there are no lags, the whole row is a sequence of one step; else it stands beside none.
    """
    channels: dict[str, dict[int, int]] = defaultdict(dict)
    for position, name in enumerate(names):
        if found := _LAG.fullmatch(name):
            channels[found[1]][int(found[2])] = position
    hours = sorted(next(iter(channels.values()), ()), reverse=True)
    whole = len(hours) > 1 and sorted(hours) == list(range(1, len(hours) + 1))
    if whole and all(sorted(found, reverse=True) == hours for found in channels.values()):
        steps = np.array([[channels[channel][hour] for channel in sorted(channels)] for hour in hours], dtype=np.int64)
    elif row_is_step:
        steps = np.arange(len(names), dtype=np.int64)[None, :]
    else:
        steps = np.empty((0, 1), dtype=np.int64)
    return Layout(steps, np.setdiff1d(np.arange(len(names), dtype=np.int64), steps.ravel()), len(names))


@dataclass(frozen=True)
class Network:
    """One architecture.

    Attributes:
        shapes: (layout, width) → the shape of each of its tensors, by name; of a matrix, inputs come first.
        forward: (tensors, layout, x) → log-odds beyond the linear model, in PyTorch; x: standardised (rows, columns).
        score: the same by a kernel, on NumPy arrays in float64, row by row.
        row_is_step: see :func:`layout`.
        tables: tensors whose rows are looked up or scaled one by one, so that their fan-in is not their height.
    """

    name: str
    shapes: Callable[[Layout, int], dict[str, tuple[int, ...]]]
    forward: Callable[[Tensors, Layout, Any], Any]
    score: Callable[[Tensors, Layout, FloatArray], FloatArray]
    row_is_step: bool
    tables: frozenset[str] = frozenset()


class Native:
    """The tensors of a model and what they mean; as a file: safetensors, with the meaning as JSON in its header."""

    def __init__(self, tensors: Tensors, config: Mapping[str, Any]) -> None:
        self.tensors, self.config = dict(tensors), dict(config)

    def save_model(self, path: str) -> None:
        """Write the file; the same model is the same bytes."""
        meaning = json.dumps(self.config, sort_keys=True)
        save_file({name: np.ascontiguousarray(value) for name, value in self.tensors.items()}, path, {"model": meaning})


class Fitted:
    """A fitted network."""

    def __init__(self, network: Network, native: Native, feature_names: tuple[str, ...]) -> None:
        self.family = network.name
        self.feature_names = feature_names
        self._network, self._native = network, native
        self._layout = layout(feature_names, network.row_is_step)
        self._tensors = {name: np.ascontiguousarray(value, dtype=np.float64) for name, value in native.tensors.items()}

    def predict(self, features: FloatArray) -> FloatArray:
        x = standardised(features, self._tensors)
        score = self._network.score(self._tensors, self._layout, x)
        for column, weight in zip(x.T, self._tensors["linear"], strict=True):  # not by BLAS, see above
            score += column * weight
        chances: FloatArray = expit(score + self._tensors["bias"][0])
        return chances

    def native(self) -> Any:
        return self._native

    def importance(self) -> FloatArray:
        weights: FloatArray = self._tensors["importance"]
        return weights

    def contributions(self, features: FloatArray) -> FloatArray:
        """Integrated gradients of the log-odds from the mean training row (Sundararajan, Taly & Yan 2017, equation 1):
        they add up to the distance from that row's log-odds (their proposition 1)."""
        return neural_train.integrated_gradients(self._network, self._layout, self._tensors,
                                                 standardised(features, self._tensors))

    def fingerprint(self) -> str:
        named = sorted(self._native.tensors.items())
        return digest(self.family, self.feature_names, json.dumps(self._native.config, sort_keys=True),
                      *(part for pair in named for part in pair))


def standardised(features: FloatArray, tensors: Tensors) -> FloatArray:
    """Distance from the mean in standard deviations, at most ``CLIP``; a missing value is no distance."""
    scaled = (features - tensors["mean"]) / tensors["scale"]
    return np.ascontiguousarray(np.clip(np.where(np.isnan(scaled), 0.0, scaled), -CLIP, CLIP))


class NeuralFamily:
    """A network as a family; a file of each architecture says which parameters it is searched over."""

    flavor = "safetensors"
    packages = ("torch", "safetensors", "numba")
    trusted_types: tuple[str, ...] = ()
    reviewed_types: frozenset[str] = frozenset()
    importance_unit = "mean |integrated gradient| over training rows"
    contribution_unit = "log-odds"

    def __init__(self, network: Network, defaults: Mapping[str, Any],
                 space: Callable[[Any], dict[str, Any]]) -> None:
        self.name, self.defaults, self.space = network.name, defaults, space
        self._network = network

    def fit(self, features: FloatArray, labels: FloatArray, feature_names: tuple[str, ...],
            params: Mapping[str, Any], seed: int) -> Fitted:
        """Fit on rows in the order of time.

        The last part of the rows chooses the epoch and is not learned from otherwise. Its first labels may overlap the
        last ones that are learned from, by the label's horizon, which a family does not know: all of these rows are
        training rows, so no more than the number of epochs can suffer.
        """
        check(features, labels, feature_names)
        width, where = int(params["width"]), layout(feature_names, self._network.row_is_step)
        if len(where.steps) < 2:
            _log.info("%s sees no sequence, only the row itself: add the group lags to features.groups", self.name)
        tensors = neural_train.train(self._network, where, width, features, labels, params, seed)
        config = {"format": _FORMAT, "family": self.name, "width": width, "names": list(feature_names)}
        return Fitted(self._network, Native(tensors, config), feature_names)

    def load(self, path: Path, feature_names: tuple[str, ...]) -> Fitted:
        source = artifact(path, FILE)
        if source.stat().st_size > _MOST_BYTES:
            raise UnsafeArtifact(f"{source} has {source.stat().st_size} bytes; a model here has at most {_MOST_BYTES}")
        try:
            with safe_open(source, framework="numpy") as file:
                config = json.loads((file.metadata() or {})["model"])
                native = Native({name: file.get_tensor(name) for name in file.keys()}, config)  # noqa: SIM118
            family, width, names = config["family"], config["width"], tuple(config["names"])
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
            raise UnsafeArtifact(f"{source} is not a safetensors model ({type(error).__name__}: {error!s:.150}); "
                                 "restore it or train again") from error
        if family != self.name:
            raise UnsafeArtifact(f"{source} is a {family!s:.40}, not a {self.name}")
        check_width(source, len(names), feature_names)
        if names != feature_names or set(config) != {"format", "family", "width", "names"} or (
                config["format"] != _FORMAT or type(width) is not int or not 0 < width <= _WIDEST):
            raise UnsafeArtifact(f"{source} says something else about itself than was registered; restore it or train "
                                 "again")
        _check(native.tensors, all_shapes(self._network, layout(names, self._network.row_is_step), width), source)
        return Fitted(self._network, native, feature_names)


def all_shapes(network: Network, where: Layout, width: int) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a file: the network's, the linear model's, the scales and the importance."""
    columns = (where.columns,)
    return {"mean": columns, "scale": columns, "importance": columns, "linear": columns, "bias": (1,),
            **{f"net.{name}": shape for name, shape in network.shapes(where, width).items()}}


def _check(tensors: Tensors, shapes: Mapping[str, tuple[int, ...]], source: Path) -> None:
    """Refuse other tensors than the architecture has: the kernels trust their shapes."""
    strange = sorted({*tensors} ^ {*shapes}) or sorted(
        name for name, value in tensors.items()
        if value.shape != shapes[name] or value.dtype != (np.float64 if name in ("mean", "scale", "importance")
                                                          else np.float32) or not np.isfinite(value).all())
    if strange or not (tensors["scale"] > 0).all():
        raise UnsafeArtifact(f"{source} holds other tensors than this architecture has: "
                             f"{', '.join(strange[:5]) or 'scale'}; restore it or train again")


class _Served:
    """What MLflow's generic flavour calls: the columns by name, the chances."""

    def __init__(self, model: Fitted) -> None:
        self._model = model

    def predict(self, frame: Any, params: Mapping[str, Any] | None = None) -> FloatArray:
        return self._model.predict(frame[list(self._model.feature_names)].to_numpy(dtype=np.float64))


def _load_pyfunc(path: str) -> _Served:
    """MLflow's way in (`loader_module`); the file itself says which of the two it is, and is checked as always."""
    from pipelines.training import families

    with safe_open(path, framework="numpy") as file:
        config = json.loads(file.metadata()["model"])
    return _Served(families.get(str(config["family"])).load(Path(path), tuple(config["names"])))  # type: ignore[arg-type]
