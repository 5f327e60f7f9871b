"""The model families by name. A new one is a file here and a line in ``_MODULES``."""

from __future__ import annotations

from importlib import import_module

from pipelines.errors import ConfigError
from pipelines.training.families.base import Family

_MODULES = {
    "logistic_regression": "pipelines.training.families.logistic_regression",
    "random_forest": "pipelines.training.families.random_forest",
    "hist_gradient_boosting": "pipelines.training.families.hist_gradient_boosting",
    "gradient_boosting": "pipelines.training.families.gradient_boosting",
    "xgboost": "pipelines.training.families.xgboost",
    "lightgbm": "pipelines.training.families.lightgbm",
    "tfidf_linear": "pipelines.training.families.tfidf_linear",
    "voting": "pipelines.training.families.voting",
    "weighted": "pipelines.training.families.weighted",
    "stacking": "pipelines.training.families.stacking",
    "blending": "pipelines.training.families.blending",
    "dynamic": "pipelines.training.families.dynamic",
}


def names() -> tuple[str, ...]:
    """Every family, in the order of this file."""
    return tuple(_MODULES)


def get(name: str) -> Family:
    """The family called ``name``; its library is imported only now.

    Raises:
        ConfigError: there is no such family.
    """
    if name not in _MODULES:
        raise ConfigError(f"unknown model family {name!r} in search.families; choose from {', '.join(_MODULES)}")
    family: Family = import_module(_MODULES[name]).FAMILY
    return family
