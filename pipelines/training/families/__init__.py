"""The model families by name. A new one is a file here and a line in ``_MODULES``.

Each can be had with calibrated probabilities: ``name+platt``, ``name+isotonic``, ``name+beta``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

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
    "regime_switching": "pipelines.training.families.regime_switching",
    "lstm": "pipelines.training.families.lstm",
    "transformer": "pipelines.training.families.transformer",
}
#: Families that need an optional extra of pyproject.toml: its name and the packages it brings.
_EXTRAS = dict.fromkeys(("lstm", "transformer"), ("deep", ("torch", "safetensors")))


def names() -> tuple[str, ...]:
    """Every family, in the order of this file."""
    return tuple(_MODULES)


def installed() -> tuple[str, ...]:
    """The families whose libraries are here; nothing is imported to find out."""
    return tuple(name for name in _MODULES if not _missing(name))


def get(name: str) -> Family:
    """The family called ``name``, which may end in ``+`` and a method of calibration; its library is imported only now.

    Raises:
        ConfigError: there is no such family, or it needs an extra that is not installed.
    """
    if "+" in name:
        return _calibrated(*name.split("+", 1))
    if name not in _MODULES:
        raise ConfigError(f"unknown model family {name!r} in search.families; choose from {', '.join(_MODULES)}")
    if missing := _missing(name):
        extra = _EXTRAS[name][0]
        raise ConfigError(f"the model family {name} in search.families needs {' and '.join(missing)}; install the "
                          f"extra {extra!r}: `make {extra}`, or `pip install tidemark[{extra}]`")
    family: Family = import_module(_MODULES[name]).FAMILY
    return family


def _missing(name: str) -> list[str]:
    return [package for package in _EXTRAS.get(name, ("", ()))[1] if find_spec(package) is None]


def _calibrated(name: str, method: str) -> Family:
    from pipelines.training.families import calibrated, calibrators
    from pipelines.training.families.files import MODEL_FILES

    if method not in calibrators.METHODS:
        raise ConfigError(f"unknown calibration {method!r} of {name} in search.families; choose from "
                          f"{', '.join(calibrators.METHODS)}")
    inner = get(name)
    return calibrated.CalibratedFamily(inner, method, MODEL_FILES[inner.flavor])
