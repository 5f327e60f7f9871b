"""A small Transformer (Vaswani et al. 2017): hours look at hours, then a class token looks at everything.

Tokens are the hours of the feature group ``lags`` (their channels, and a learned position) and each other column by
itself, as in the FT-Transformer (Gorishniy et al. 2021, "Revisiting Deep Learning Models for Tabular Data", section
3.3: value times vector plus bias). The hours pass one encoder block with the norm before each part. The class token is
the only one whose result is used, so it is the only one that looks at the columns: linear in their number. One head.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.numerics.jit import kernel
from pipelines.training.families.neural import Layout, Network, NeuralFamily

_EPSILON = 1e-5


def _shapes(where: Layout, width: int) -> dict[str, tuple[int, ...]]:
    hours, channels = where.steps.shape
    square, wide = (width, width), (width, 2 * width)
    encoder = {"hour": (channels, width), "position": (hours, width), "query": square, "key": square, "value": square,
               "mix": square, "up": wide, "up_bias": (2 * width,), "down": wide[::-1]} if hours else {}
    return {**encoder, "column": (len(where.beside), width), "column_bias": (len(where.beside), width),
            "class": (width,), "class_key": square, "class_value": square, "class_up": wide,
            "class_up_bias": (2 * width,), "class_down": wide[::-1], "out": (width,)}


def _forward(p: Mapping[str, Any], where: Layout, x: Any) -> Any:
    import torch
    from torch.nn.functional import gelu, layer_norm

    width = p["out"].shape[0]
    norm = (width,)
    tokens = x[:, where.beside, None] * p["column"] + p["column_bias"]
    if len(where.steps):
        hours = x[:, where.steps.ravel()].reshape(len(x), *where.steps.shape) @ p["hour"] + p["position"]
        seen = layer_norm(hours, norm)
        looks = torch.softmax((seen @ p["query"]) @ (seen @ p["key"]).transpose(1, 2) / math.sqrt(width), dim=2)
        hours = hours + looks @ (seen @ p["value"]) @ p["mix"]
        hours = hours + gelu(layer_norm(hours, norm) @ p["up"] + p["up_bias"]) @ p["down"]
        tokens = torch.cat([layer_norm(hours, norm), tokens], dim=1)
    looks = torch.softmax(tokens @ (p["class_key"] @ p["class"]) / math.sqrt(width), dim=1)
    found = p["class"] + (looks[:, None, :] @ tokens)[:, 0] @ p["class_value"]
    found = found + gelu(layer_norm(found, norm) @ p["class_up"] + p["class_up_bias"]) @ p["class_down"]
    return layer_norm(found, norm) @ p["out"]


def _score(p: Mapping[str, Any], where: Layout, x: FloatArray) -> FloatArray:
    width = len(p["net.out"])
    tokens = np.empty((len(x), len(where.steps) + len(where.beside), width))
    if len(where.steps):
        _encode(x, where.steps, p["net.hour"], p["net.position"], p["net.query"], p["net.key"], p["net.value"],
                p["net.mix"], p["net.up"], p["net.up_bias"], p["net.down"], tokens)
    tokens[:, len(where.steps):] = x[:, where.beside, None] * p["net.column"] + p["net.column_bias"]
    scores: FloatArray = _read(tokens, p["net.class"], p["net.class_key"], p["net.class_value"], p["net.class_up"],
                               p["net.class_up_bias"], p["net.class_down"], p["net.out"])
    return scores


@kernel
def _normed(value: Any, into: Any) -> None:
    """Mean 0 and variance 1 (Ba et al. 2016), without scale and shift of its own."""
    mean, spread = 0.0, 0.0
    for unit in range(len(value)):
        mean += value[unit]
    mean /= len(value)
    for unit in range(len(value)):
        spread += (value[unit] - mean) * (value[unit] - mean)
    spread = math.sqrt(spread / len(value) + _EPSILON)
    for unit in range(len(value)):
        into[unit] = (value[unit] - mean) / spread


@kernel
def _times(vector: Any, matrix: Any, into: Any) -> None:
    """into += vector @ matrix, in one order."""
    for before in range(matrix.shape[0]):
        for unit in range(matrix.shape[1]):
            into[unit] += vector[before] * matrix[before, unit]


@kernel
def _softmax(value: Any) -> None:
    largest, total = value[0], 0.0
    for at in range(len(value)):
        largest = max(largest, value[at])
    for at in range(len(value)):
        value[at] = math.exp(value[at] - largest)
        total += value[at]
    for at in range(len(value)):
        value[at] /= total


@kernel
def _widened(value: Any, up: Any, up_bias: Any, down: Any, seen: Any, wide: Any) -> None:
    """value += gelu(norm(value) @ up + bias) @ down (Hendrycks & Gimpel 2016)."""
    _normed(value, seen)
    wide[:] = up_bias
    _times(seen, up, wide)
    for unit in range(len(wide)):
        wide[unit] = 0.5 * wide[unit] * (1.0 + math.erf(wide[unit] / math.sqrt(2.0)))
    _times(wide, down, value)


@kernel
def _encode(x: Any, steps: Any, w_hour: Any, position: Any, w_query: Any, w_key: Any, w_value: Any, w_mix: Any,
            w_up: Any, up_bias: Any, w_down: Any, tokens: Any) -> None:
    """The encoder block over the hours of each row, into the first tokens."""
    hours, width = position.shape
    value, query, key, passed = (np.empty((hours, width)), np.empty((hours, width)), np.empty((hours, width)),
                                 np.empty((hours, width)))
    seen, mixed, looks, wide = np.empty(width), np.empty(width), np.empty(hours), np.empty(2 * width)
    for row in range(len(x)):
        query[:], key[:], passed[:] = 0.0, 0.0, 0.0
        for hour in range(hours):
            value[hour] = position[hour]
            for channel in range(steps.shape[1]):
                for unit in range(width):
                    value[hour, unit] += x[row, steps[hour, channel]] * w_hour[channel, unit]
            _normed(value[hour], seen)
            _times(seen, w_query, query[hour])
            _times(seen, w_key, key[hour])
            _times(seen, w_value, passed[hour])
        for hour in range(hours):
            for other in range(hours):
                looks[other] = 0.0
                for unit in range(width):
                    looks[other] += query[hour, unit] * key[other, unit]
                looks[other] /= math.sqrt(width)
            _softmax(looks)
            mixed[:] = 0.0
            for other in range(hours):
                for unit in range(width):
                    mixed[unit] += looks[other] * passed[other, unit]
            _times(mixed, w_mix, value[hour])
            _widened(value[hour], w_up, up_bias, w_down, seen, wide)
            _normed(value[hour], tokens[row, hour])


@kernel
def _read(tokens: Any, token: Any, w_key: Any, w_value: Any, w_up: Any, up_bias: Any, w_down: Any, w_out: Any) -> Any:
    """What the class token finds among the tokens of each row, as one number."""
    rows, count, width = tokens.shape
    scores = np.zeros(rows)
    asks = np.zeros(width)
    for unit in range(width):
        for other in range(width):
            asks[unit] += w_key[unit, other] * token[other]
    seen, mixed, found = np.empty(width), np.empty(width), np.empty(width)
    looks, wide = np.empty(count), np.empty(2 * width)
    for row in range(rows):
        for at in range(count):
            looks[at] = 0.0
            for unit in range(width):
                looks[at] += tokens[row, at, unit] * asks[unit]
            looks[at] /= math.sqrt(width)
        _softmax(looks)
        mixed[:] = 0.0
        for at in range(count):
            for unit in range(width):
                mixed[unit] += looks[at] * tokens[row, at, unit]
        found[:] = token
        _times(mixed, w_value, found)
        _widened(found, w_up, up_bias, w_down, seen, wide)
        _normed(found, seen)
        for unit in range(width):
            scores[row] += seen[unit] * w_out[unit]
    return scores


def _space(trial: Any) -> dict[str, Any]:
    return {
        "width": trial.suggest_int("width", 8, 24, step=8),
        "epochs": trial.suggest_int("epochs", 4, 12),
        "learning_rate": trial.suggest_float("learning_rate", 5e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 1.0, log=True),
    }


FAMILY = NeuralFamily(Network("transformer", _shapes, _forward, _score, row_is_step=False,
                              tables=frozenset({"position", "column", "column_bias"})),
                      {"width": 8, "epochs": 8, "learning_rate": 3e-3, "weight_decay": 0.05}, _space)
