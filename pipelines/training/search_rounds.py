"""What a trial may learn from: what makes the winner independent of how many workers there are and how quick each is.

A sampler that learns from whatever has finished by chance draws other trials each time. Here every trial has a place in
the budget. It starts when all places up to ``ahead`` before it have finished, and its draws, its pruning and its
halving have seen exactly these, in the order of their places. Up to ``ahead`` trials run side by side; a trial that
died is run again at its place, and draws what it drew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from pipelines.training.trial import goes_on

#: User attributes of a trial: its place in the budget, and its mean loss at each rung it came to.
PLACE, RUNGS = "place", "rungs"
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class Before:
    """A study with the trials at the places up to ``last`` only."""

    def __init__(self, study: optuna.Study, last: int) -> None:
        self._all, self._last = study, last

    def __getattr__(self, name: str) -> Any:
        return getattr(self._all, name)

    def _get_trials(self, deepcopy: bool = True, states: Any = None, use_cache: bool = False) -> list[FrozenTrial]:
        # Never from the cache: it may lack what another worker has finished since.
        found = self._all.get_trials(deepcopy=deepcopy, states=states)
        seen = [trial for trial in found if trial.user_attrs.get(PLACE, self._last + 1) <= self._last]
        return sorted(seen, key=lambda trial: int(trial.user_attrs[PLACE]))

    def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    @property
    def best_trial(self) -> FrozenTrial:
        """Raises ValueError: none is complete, as a study does."""
        complete = self._get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not complete:
            raise ValueError("no trial of the earlier places is complete")
        return min(complete, key=lambda trial: cast(float, trial.value))

    def study(self) -> optuna.Study:
        """Itself, as what samplers and pruners ask for."""
        return cast(optuna.Study, self)


class PlaceSampler(optuna.samplers.TPESampler):
    """TPE that has seen the places up to ``last``; with ``given`` parameters it draws only what these do not say."""

    def __init__(self, last: int, given: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._last, self._given = last, given

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        if self._given is not None:
            return {}
        return super().infer_relative_search_space(Before(study, self._last).study(), trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial,
                        search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        if self._given is not None:
            return {}
        return super().sample_relative(Before(study, self._last).study(), trial, search_space)

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str,
                           param_distribution: BaseDistribution) -> Any:
        given = (self._given or {}).get(param_name)
        if given is not None and _allows(param_distribution, given):
            return given
        return super().sample_independent(Before(study, self._last).study(), trial, param_name, param_distribution)


class PlacePruner(optuna.pruners.WilcoxonPruner):
    """Wilcoxon's test against the best of the places up to ``last``."""

    def __init__(self, last: int, **options: Any) -> None:
        super().__init__(**options)
        self._last = last

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        return super().prune(Before(study, self._last).study(), trial)

    def halves(self, study: optuna.Study, rungs: list[float]) -> bool:
        """Whether a trial that has come to its newest rung stops there, being in the worse half."""
        at = len(rungs) - 1
        others = (trial.user_attrs.get(RUNGS, ()) for trial in Before(study, self._last).get_trials(
            deepcopy=False, states=FINISHED))
        return not goes_on(rungs[at], [float(reached[at]) for reached in others if len(reached) > at])


def _allows(distribution: BaseDistribution, value: Any) -> bool:
    """Whether the space still holds a value that an earlier search has chosen."""
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, TypeError):  # another kind of value
        return False
