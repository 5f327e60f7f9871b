"""Labelled texts from a directory of CSV and Parquet files.

A file with a column ``text`` and one of ``label`` (positive, neutral, negative, or 1, 0, -1), ``rating`` or
``mean_rating`` (any number, more is better) is a set of its own, named like the file. Files that look otherwise are
described in ``labelled.toml`` beside them::

    [[set]]
    name = "our posts"
    path = "posts.csv"
    text = "body"
    label = "verdict"            # or: rating = "stars"
    classes = { bullish = "positive", bearish = "negative", none = "neutral" }

With such a file only what it names is read.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from pipelines.errors import ConfigError, ContractError
from pipelines.sentiment.quality import Labelled

MANIFEST = "labelled.toml"
CLASSES: dict[str, float] = {"positive": 1.0, "neutral": 0.0, "negative": -1.0, "1": 1.0, "0": 0.0, "-1": -1.0,
                             "1.0": 1.0, "0.0": 0.0, "-1.0": -1.0}
_RATINGS = ("rating", "mean_rating")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Description(_Strict):
    """One file of labelled texts."""

    name: str
    path: str
    text: str = "text"
    label: str | None = None
    rating: str | None = None
    classes: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _one_truth(self) -> Description:
        if (self.label is None) == (self.rating is None):
            raise ValueError("name the column of the labels as label or the column of the grades as rating, not both")
        if odd := sorted({value for value in self.classes.values() if value not in CLASSES}):
            raise ValueError(f"classes leads to {odd}; it maps to positive, neutral or negative")
        return self


class _Manifest(_Strict):
    set: tuple[Description, ...]


def read(directory: Path) -> list[Labelled]:
    """Every labelled set of ``directory``, in name order.

    Raises:
        ConfigError: no such directory, or a manifest that is not as described above.
        ContractError: a file that cannot be read, lacks a column, or has labels that are none.
    """
    if not directory.is_dir():
        raise ConfigError(f"{directory} is not a directory; pass the one that holds the labelled texts")
    manifest = directory / MANIFEST
    found = _described(manifest) if manifest.exists() else _recognised(directory)
    return [_read(directory, item) for item in sorted(found, key=lambda item: item.name)]


def _described(manifest: Path) -> list[Description]:
    try:
        return list(_Manifest.model_validate(tomllib.loads(manifest.read_text(encoding="utf-8"))).set)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{manifest} is not TOML: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{manifest} is refused: " + "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())) from error


def _recognised(directory: Path) -> list[Description]:
    found = []
    for path in sorted([*directory.glob("*.csv"), *directory.glob("*.parquet")]):
        columns = set(_table(path, rows=0).columns)
        rating = next((name for name in _RATINGS if name in columns), None)
        if "text" in columns and "label" in columns:
            found.append(Description(name=path.stem, path=path.name, label="label"))
        elif "text" in columns and rating is not None:
            found.append(Description(name=path.stem, path=path.name, rating=rating))
    return found


def _read(directory: Path, item: Description) -> Labelled:
    path = directory / item.path
    table = _table(path)
    column = item.label or item.rating or ""
    if missing := [name for name in (item.text, column) if name not in table.columns]:
        raise ContractError(f"{path} has no column {', '.join(missing)}; it has {list(table.columns)[:12]}")
    rows = table[[item.text, column]].dropna()
    if item.rating is not None:
        truth = pd.to_numeric(rows[column], errors="coerce")
    else:
        truth = rows[column].astype(str).map(lambda label: CLASSES.get(item.classes.get(label, label).strip().lower()))
    if truth.isna().any():
        odd = sorted(set(rows.loc[truth.isna(), column].astype(str)))[:5]
        raise ContractError(f"{path} has {int(truth.isna().sum())} labels that mean nothing here, such as {odd}; use "
                            f"positive, neutral, negative, or map them under classes in {MANIFEST}")
    return Labelled(item.name, tuple(rows[item.text].astype(str)), truth.to_numpy(dtype=np.float64),
                    item.rating is not None)


def _table(path: Path, rows: int | None = None) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, nrows=rows, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pyarrow and pandas raise ValueError's children for what they cannot parse
        raise ContractError(f"{path} cannot be read: {str(error)[:200]}; pass CSV or Parquet files") from error
