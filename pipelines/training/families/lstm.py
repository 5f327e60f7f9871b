"""A small LSTM (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000) over a row's own lags.

It reads the columns of the feature group ``lags`` hour by hour, oldest first; its last state and the other columns go
through one hidden layer. Without lags the row is a sequence of one step, and the group is worth adding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.numerics.jit import kernel
from pipelines.training.families.neural import Layout, Network, NeuralFamily


def _shapes(where: Layout, width: int) -> dict[str, tuple[int, ...]]:
    return {"input": (where.steps.shape[1], 4 * width), "state": (width, 4 * width), "gates": (4 * width,),
            "last": (width, width), "beside": (len(where.beside), width), "hidden": (width,), "out": (width,)}


def _forward(p: Mapping[str, Any], where: Layout, x: Any) -> Any:
    import torch

    width = p["out"].shape[0]
    steps = x[:, where.steps.ravel()].reshape(len(x), *where.steps.shape)
    driven = steps @ p["input"] + p["gates"]
    state = cell = torch.zeros((len(x), width), dtype=x.dtype)
    for step in range(where.steps.shape[0]):
        gates = driven[:, step] + state @ p["state"]
        into, keep, out = torch.sigmoid(gates[:, :3 * width]).chunk(3, dim=1)
        cell = keep * cell + into * torch.tanh(gates[:, 3 * width:])
        state = out * torch.tanh(cell)
    hidden = torch.tanh(state @ p["last"] + x[:, where.beside] @ p["beside"] + p["hidden"])
    return hidden @ p["out"]


def _score(p: Mapping[str, Any], where: Layout, x: FloatArray) -> FloatArray:
    scores: FloatArray = _kernel(x, where.steps, where.beside, p["net.input"], p["net.state"], p["net.gates"],
                                 p["net.last"], p["net.beside"], p["net.hidden"], p["net.out"])
    return scores


@kernel
def _kernel(x: Any, steps: Any, beside: Any, w_input: Any, w_state: Any, gate_bias: Any, w_last: Any, w_beside: Any,
            hidden_bias: Any, w_out: Any) -> Any:
    width = len(w_out)
    scores = np.zeros(len(x))
    state, cell, gates = np.empty(width), np.empty(width), np.empty(4 * width)
    for row in range(len(x)):
        state[:] = 0.0
        cell[:] = 0.0
        for step in range(steps.shape[0]):
            gates[:] = gate_bias
            for channel in range(steps.shape[1]):
                value = x[row, steps[step, channel]]
                for unit in range(4 * width):
                    gates[unit] += value * w_input[channel, unit]
            for before in range(width):
                for unit in range(4 * width):
                    gates[unit] += state[before] * w_state[before, unit]
            for unit in range(width):
                into = 1.0 / (1.0 + math.exp(-gates[unit]))
                keep = 1.0 / (1.0 + math.exp(-gates[width + unit]))
                out = 1.0 / (1.0 + math.exp(-gates[2 * width + unit]))
                cell[unit] = keep * cell[unit] + into * math.tanh(gates[3 * width + unit])
                state[unit] = out * math.tanh(cell[unit])
        for unit in range(width):
            inner = hidden_bias[unit]
            for before in range(width):
                inner += state[before] * w_last[before, unit]
            for column in range(len(beside)):
                inner += x[row, beside[column]] * w_beside[column, unit]
            scores[row] += math.tanh(inner) * w_out[unit]
    return scores


def _space(trial: Any) -> dict[str, Any]:
    return {
        "width": trial.suggest_int("width", 4, 24, step=4),
        "epochs": trial.suggest_int("epochs", 4, 16),
        "learning_rate": trial.suggest_float("learning_rate", 5e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 1.0, log=True),
    }


FAMILY = NeuralFamily(Network("lstm", _shapes, _forward, _score, row_is_step=True),
                      {"width": 8, "epochs": 10, "learning_rate": 3e-3, "weight_decay": 0.05}, _space)
