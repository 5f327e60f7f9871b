from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from arch.bootstrap import MCS, StepM

from pipelines.errors import ContractError
from pipelines.validation.significance import bootstrap, model_confidence_set, step_m
from tests.unit.validation.significance.world import frame


def losses(seed: int, edges: list[float], periods: int = 250) -> np.ndarray:
    """Positive losses, column 0 the benchmark; an edge lowers the mean."""
    rng = np.random.default_rng(seed)
    noise = rng.gamma(4.0, 0.25, (periods, len(edges) + 1)) + rng.gamma(4.0, 0.25, (periods, 1)) + 1
    return noise - np.array([0.0, *edges])


def test_step_m_names_the_better_ones_as_arch_does() -> None:
    values = losses(1, [0.3, 0.0, 0.2, -0.3, 0.01])
    table = frame(values)
    test = StepM(values[:, 0], values[:, 1:], size=0.05, block_size=3, reps=500, seed=4)
    test.compute()
    plain = step_m(losses=table, benchmark="t0", block=3, draws=500, seed=4, studentise=False)
    assert plain == tuple(f"t{number + 1}" for number in test.superior_models)
    assert step_m(losses=table, benchmark="t0", block=3, draws=500, seed=4) == ("t1", "t3")


def test_step_m_when_all_are_better_step_by_step() -> None:
    """The second step finds the rest and leaves none; arch's loop then takes the maximum of nothing."""
    values = losses(0, [0.9, 0.13, 0.13]) + 1
    values[:, 1] += 3 * (np.random.default_rng(0).random(250) - 0.5)  # large and noisy: sets the first critical value
    with pytest.raises(ValueError, match="zero-size"):
        StepM(values[:, 0], values[:, 1:], block_size=2, seed=0).compute()
    assert step_m(losses=frame(values), benchmark="t0", block=2, studentise=False) == ("t1", "t2", "t3")


@pytest.mark.no_cover
def test_step_m_errs_rarely() -> None:
    wrong = sum(bool(step_m(losses=frame(losses(seed, [0.0] * 6)), benchmark="t0", draws=200, seed=seed))
                for seed in range(150))
    assert wrong / 150 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)


@pytest.mark.parametrize("method", ["R", "max"])
def test_the_confidence_set_is_archs(method: str) -> None:
    values = losses(3, [0.3, 0.28, 0.0, -0.3])
    found = model_confidence_set(losses=frame(values), method=method, block=3, draws=400, seed=2)  # type: ignore[arg-type]
    test = MCS(values, 0.05, reps=400, block_size=3, method=method, seed=2)  # type: ignore[arg-type]
    test.compute()
    assert found.p_values == {f"t{number}": float(p) for number, p in test.pvalues["Pvalue"].items()}
    assert found.included == tuple(f"t{number}" for number in test.included) == ("t1", "t2")


def test_the_confidence_set_takes_returns_and_its_own_block() -> None:
    values = losses(5, [0.4, 0.0])
    found = model_confidence_set(returns=frame(2 - values))
    assert found.included == ("t1",)
    middle = -(values - values.mean(axis=1, keepdims=True))
    assert found.block == bootstrap.joint_block_length(middle)


def test_arch_is_loaded_only_when_it_is_asked() -> None:
    """The gate imports this room in every task; arch brings statsmodels with it."""
    code = "import sys, pipelines.validation.significance; print('arch' in sys.modules or 'statsmodels' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_refusals() -> None:
    table = frame(losses(0, [0.1, 0.0]))
    table["twin"] = table["t1"]
    with pytest.raises(ContractError, match="twin and t1 are equal"):
        model_confidence_set(losses=table)
    table["shadow"] = table["t0"]
    with pytest.raises(ContractError, match="equals the benchmark"):
        step_m(losses=table, benchmark="t0")
    with pytest.raises(ContractError, match="whole"):
        step_m(losses=table[["t0", "t1"]], benchmark="t0", block=2.5)
    with pytest.raises(ContractError, match="level"):
        model_confidence_set(losses=table[["t0", "t1"]], alpha=0)
