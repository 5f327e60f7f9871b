"""Rounds of a search: what makes the winner independent of how many workers there are and how quick each is.

A sampler that learns from whatever has finished by chance draws other trials each time. Here trial s belongs to round
s // ROUND; it starts when all earlier rounds have finished, and it learns from them only, as does its pruning. Within a
round up to ``ROUND`` trials run side by side. The price is that the last of a round is waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

#: Trials that may run side by side.
ROUND = 4
#: User attribute of a trial: its round.
ATTRIBUTE = "round"


class Before:
    """A study with the trials of the rounds before ``number`` only."""

    def __init__(self, study: optuna.Study, number: int) -> None:
        self._all, self._number = study, number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._all, name)

    def _get_trials(self, deepcopy: bool = True, states: Any = None, use_cache: bool = False) -> list[FrozenTrial]:
        # Never from the cache: it may lack what another worker has finished since.
        found = self._all.get_trials(deepcopy=deepcopy, states=states)
        return [trial for trial in found if trial.user_attrs.get(ATTRIBUTE, self._number) < self._number]

    def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    @property
    def best_trial(self) -> FrozenTrial:
        """Raises ValueError: none is complete, as a study does."""
        complete = self._get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not complete:
            raise ValueError("no trial of the earlier rounds is complete")
        return min(complete, key=lambda trial: (cast(float, trial.value), trial.number))

    def study(self) -> optuna.Study:
        """Itself, as what samplers and pruners ask for."""
        return cast(optuna.Study, self)


class RoundSampler(optuna.samplers.TPESampler):
    """TPE that has seen the rounds before ``number``."""

    def __init__(self, number: int, **options: Any) -> None:
        super().__init__(**options)
        self._number = number

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return super().infer_relative_search_space(Before(study, self._number).study(), trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial,
                        search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        return super().sample_relative(Before(study, self._number).study(), trial, search_space)

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str,
                           param_distribution: BaseDistribution) -> Any:
        return super().sample_independent(Before(study, self._number).study(), trial, param_name, param_distribution)


class RoundPruner(optuna.pruners.WilcoxonPruner):
    """Wilcoxon's test against the best of the rounds before ``number``."""

    def __init__(self, number: int, **options: Any) -> None:
        super().__init__(**options)
        self._number = number

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        return super().prune(Before(study, self._number).study(), trial)


def next_slot(states: Sequence[TrialState], trials: int) -> int | None:
    """The place in the budget of ``trials`` that may start now; None: it is spent, or a round has to finish first."""
    finished = sum(state in (TrialState.COMPLETE, TrialState.PRUNED) for state in states)
    slot = finished + list(states).count(TrialState.RUNNING)
    return slot if slot < trials and finished >= slot // ROUND * ROUND else None
