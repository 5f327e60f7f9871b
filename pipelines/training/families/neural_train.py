"""The part of the neural families that needs PyTorch: learning the tensors, and explaining a forecast by gradients.

One thread, deterministic algorithms, and no random number of PyTorch's own: the first tensors and the order of the rows
come from NumPy's generator, so the same seed gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.contracts.ports import FloatArray

if TYPE_CHECKING:
    from pipelines.training.families.neural import Layout, Network

#: Part of the rows, the latest, that chooses the epoch.
LATEST = 0.15
#: Rows a step: at most 256, and fewer where rows are few, so that an epoch has some 32 steps.
_BATCH, _STEPS = 256, 32
#: Epochs without a better loss on the latest rows before it stops.
_PATIENCE = 3
#: Nodes of the Gauss-Legendre rule along the way from the mean row: as many as it takes until what is attributed adds
#: up to the difference in log-odds within ``_EXACT``.
_NODES = (32, 128, 256)
_EXACT = 1e-4
#: Training rows, evenly spaced, over which importance is taken.
_EXPLAINED = 64


@contextmanager
def _alone() -> Iterator[Any]:
    """PyTorch with one thread and deterministic algorithms; what was set before comes back."""
    import torch

    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield torch
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def train(network: Network, where: Layout, width: int, features: FloatArray, labels: FloatArray,
          params: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Learn all tensors of a model from rows (rows, columns) in the order of time.

    AdamW (Loshchilov & Hutter 2019) on the log loss; the tensors kept are those of the epoch with the least loss on the
    latest rows, and the scales come from the rows before these.
    """
    from pipelines.training.families.neural import standardised

    cut = max(1, len(features) - max(1, round(LATEST * len(features))))
    scales = _scales(features[:cut])
    x = standardised(features, scales).astype(np.float32)
    rng = np.random.default_rng(seed)
    start = _start(network, where, width, float(labels[:cut].mean()), rng)
    with _alone() as torch:
        tensors = {name: torch.tensor(value, requires_grad=True) for name, value in start.items()}
        inputs, wanted = torch.from_numpy(x), torch.from_numpy(labels.astype(np.float32))
        optimiser = torch.optim.AdamW(tensors.values(), lr=float(params["learning_rate"]),
                                      weight_decay=float(params["weight_decay"]))
        best, kept, waited, batch = np.inf, start, 0, min(_BATCH, max(16, cut // _STEPS))
        for _ in range(int(params["epochs"])):
            order = torch.from_numpy(rng.permutation(cut))
            for at in range(0, cut, batch):
                rows = order[at:at + batch]
                optimiser.zero_grad()
                _loss(torch, network, where, tensors, inputs[rows], wanted[rows]).backward()
                torch.nn.utils.clip_grad_norm_(list(tensors.values()), 1.0)
                optimiser.step()
            with torch.no_grad():
                loss = float(_loss(torch, network, where, tensors, inputs[cut:], wanted[cut:]))
            waited += 1
            if loss < best:
                best, waited = loss, 0
                kept = {name: value.detach().numpy().copy() for name, value in tensors.items()}
            if waited >= _PATIENCE:
                break
    learned = {**scales, **kept}
    chosen = np.unique(np.linspace(0, len(x) - 1, min(_EXPLAINED, len(x))).astype(int))
    told = integrated_gradients(network, where, learned, x[chosen].astype(np.float64))
    return {**learned, "importance": np.abs(told).mean(axis=0)}


def integrated_gradients(network: Network, where: Layout, tensors: Mapping[str, Any], x: FloatArray) -> FloatArray:
    """x times the mean gradient of the log-odds on the straight way from 0 to x; standardised rows (rows, columns)."""
    with _alone() as torch:
        exact = {name: torch.tensor(np.asarray(value), dtype=torch.float64) for name, value in tensors.items()}
        with torch.no_grad():
            far, near = (_log_odds(network, where, exact, torch.tensor(rows)).numpy() for rows in (x, 0 * x[:1]))
        found = np.zeros_like(x)
        for count in _NODES:
            nodes, weights = np.polynomial.legendre.leggauss(count)
            total = np.zeros_like(x)
            for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
                way = torch.tensor(node * x, requires_grad=True)
                _log_odds(network, where, exact, way).sum().backward()
                total += weight * way.grad.numpy()
            found = x * total
            if np.all(np.abs(found.sum(axis=1) - (far - near)) <= _EXACT):
                break
    return found


def _log_odds(network: Network, where: Layout, tensors: Mapping[str, Any], x: Any) -> Any:
    inner = {name.removeprefix("net."): value for name, value in tensors.items() if name.startswith("net.")}
    return network.forward(inner, where, x) + x @ tensors["linear"] + tensors["bias"]


def _loss(torch: Any, network: Network, where: Layout, tensors: Mapping[str, Any], x: Any, wanted: Any) -> Any:
    said = _log_odds(network, where, tensors, x)
    return torch.nn.functional.binary_cross_entropy_with_logits(said, wanted)


def _scales(features: FloatArray) -> dict[str, FloatArray]:
    """Mean and standard deviation of each column's present values; 0 and 1 for a column that never had one."""
    there = ~np.isnan(features)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, features, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(there, (features - mean) ** 2, 0.0).sum(axis=0) / count)
    return {"mean": mean, "scale": np.where(spread > 0, spread, 1.0)}


def _start(network: Network, where: Layout, width: int, base_rate: float, rng: np.random.Generator) -> dict[str, Any]:
    """The tensors before the first step: uniform in ±1/sqrt(fan-in); what leads out is 0, so it begins at the base
    rate."""
    base_rate = min(max(base_rate, 0.01), 0.99)
    tensors = {"linear": np.zeros(where.columns, dtype=np.float32),
               "bias": np.array([np.log(base_rate / (1 - base_rate))], dtype=np.float32)}
    for name, shape in network.shapes(where, width).items():
        fan_in = shape[-1] if name in network.tables or len(shape) == 1 else shape[-2]
        bound = 1.0 / np.sqrt(max(fan_in, 1))
        drawn = rng.uniform(-bound, bound, shape).astype(np.float32)
        tensors[f"net.{name}"] = np.zeros_like(drawn) if name == "out" else drawn
    return tensors
