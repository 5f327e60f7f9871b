"""What a trial may learn from: what makes the winner independent of how many workers there are and how quick each is.

A sampler that learns from whatever has finished by chance draws other trials each time. Here every trial has a place in
the budget. It starts when all places up to ``ahead`` before it have finished, and its draws, its pruning and its
halving have seen exactly these, in the order of their places. Up to ``ahead`` trials run side by side; a trial that
died is run again at its place, and draws what it drew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

#: User attribute of a trial: its place in the budget.
PLACE = "place"
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class Before:
    """A study that holds the finished trials ``seen`` and no other; they were read once, before the trial began."""

    def __init__(self, study: optuna.Study, seen: Sequence[FrozenTrial]) -> None:
        self._all, self._seen = study, list(seen)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._all, name)

    def _get_trials(self, deepcopy: bool = True, states: Any = None, use_cache: bool = False) -> list[FrozenTrial]:
        return [trial for trial in self._seen if states is None or trial.state in states]

    def study(self) -> optuna.Study:
        """Itself, as what a sampler asks for."""
        return cast(optuna.Study, self)


def before(found: Iterable[FrozenTrial], last: int) -> list[FrozenTrial]:
    """The finished trials at the places up to ``last``, in the order of their places."""
    seen = [trial for trial in found if trial.state in FINISHED and trial.user_attrs.get(PLACE, last + 1) <= last]
    return sorted(seen, key=lambda trial: int(trial.user_attrs[PLACE]))


class PlaceSampler(optuna.samplers.TPESampler):
    """TPE that has seen these trials; with ``given`` parameters it draws only what they do not say."""

    def __init__(self, seen: Sequence[FrozenTrial], given: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._seen, self._given = seen, given

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        if self._given is not None:
            return {}
        return super().infer_relative_search_space(Before(study, self._seen).study(), trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial,
                        search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        if self._given is not None:
            return {}
        return super().sample_relative(Before(study, self._seen).study(), trial, search_space)

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str,
                           param_distribution: BaseDistribution) -> Any:
        given = (self._given or {}).get(param_name)
        if given is not None and _allows(param_distribution, given):
            return given
        return super().sample_independent(Before(study, self._seen).study(), trial, param_name, param_distribution)


def _allows(distribution: BaseDistribution, value: Any) -> bool:
    """Whether the space still holds a value that an earlier search has chosen."""
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, TypeError):  # another kind of value
        return False
