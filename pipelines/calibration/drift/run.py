"""Scenarios side by side in processes: repetitions depend on seed, name and number only, so it changes no figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from pipelines.calibration.drift.catalog import scenarios
from pipelines.calibration.drift.coins import RealMarket
from pipelines.calibration.drift.outcome import Rate, Scenario, measure


def side_by_side(chosen: Sequence[Scenario], reps: int, seed: int, market: RealMarket | None,
                 workers: int) -> Iterator[Rate]:
    """Each scenario's rate as soon as it is known, in any order."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        asked = [pool.submit(_measured, item.name, reps, seed, market if item.needs_data else None) for item in chosen]
        for done in as_completed(asked):
            yield done.result()


def _measured(name: str, reps: int, seed: int, market: RealMarket | None) -> Rate:
    return measure(scenarios()[name], reps, seed, market)
