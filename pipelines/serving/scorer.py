"""The champion of a line that learns from texts, as a scorer beside the lexicons.

The model says P(people find the text positive). ``compound`` is 2 P - 1; what it is undecided about counts as neutral:
``positive`` = max(compound, 0), ``negative`` = max(-compound, 0), ``neutral`` = 1 - |compound|. It was trained on texts
that people found positive or negative, and knows no neutral ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from pipelines.config import Settings
from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FittedModel, FloatArray, Scorer
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError, ContractError, RegistryError
from pipelines.features import texts as features
from pipelines.registry import models
from pipelines.sentiment.run import text_of
from pipelines.sentiment.scorer import COLUMNS
from pipelines.store import Warehouse, asof, ledger, tables
from pipelines.store.upsert import upsert

#: Texts whose features are held in memory at once (2,048 columns: 16 kB a text).
CHUNK = 4096


@dataclass(frozen=True)
class LearnedScorer:
    """A ``contracts.ports.Scorer`` over one version of a line."""

    name: str
    line: Line
    version: int
    model: FittedModel

    def score(self, texts: Sequence[str]) -> pd.DataFrame:
        """Columns ``compound``, ``positive``, ``neutral``, ``negative``, one row per text. A missing or blank text
        scores all zeros, as it does with a lexicon.

        Raises:
            ContractError: an element is neither text nor missing.
            RegistryError: the version was trained on features that the line no longer builds.
        """
        asked = [_text(text, at) for at, text in enumerate(texts)]
        said = np.array([bool(text.strip()) for text in asked], dtype=bool)
        chances = np.full(len(asked), 0.5)
        places = np.flatnonzero(said)
        for begin in range(0, len(places), CHUNK):
            chosen = places[begin:begin + CHUNK]
            frame = features.features(self.line, [asked[at] for at in chosen])
            chances[chosen] = models.score(self.model, frame, self.line, self.version)
        return pd.DataFrame(_polarity(chances) * said[:, None], columns=list(COLUMNS))


def champion_scorer(warehouse: Warehouse, settings: Settings, line: Line, as_of: datetime) -> Scorer:
    """The line's champion at ``as_of`` as a scorer called ``<line>@<version>``.

    Raises:
        ConfigError: the line does not learn from texts.
        RegistryError: it has no champion at that time: none has beaten the lexicon.
        UnsafeArtifact, TrackingUnavailable: its model cannot be loaded.
    """
    if line.target.rows != "texts":
        raise ConfigError(f"{line.name} predicts {line.target.rows}; only a line with target.kind = \"polarity\" "
                          "scores texts")
    with warehouse.begin() as connection:
        present = ledger.champion(connection, line.name, as_of=as_of)
    if present is None:
        raise RegistryError(f"{line.name} has no champion as of {as_of:%Y-%m-%d %H:%M} UTC, for no version has beaten "
                            "the lexicon by then; train one (`tidemark train`, `tidemark gate`), or score with a "
                            "lexicon")
    model = models.load(warehouse, settings, line, present.version)
    return LearnedScorer(f"{line.name}@{present.version}", line, present.version, model)


def score_documents(warehouse: Warehouse, scorer: Scorer, window: Window) -> int:
    """Score the documents that became available in ``window`` and store the scores under the scorer's name, beside
    those of the lexicon; how many. Doing it again changes nothing; aggregates stay what they are.

    Raises:
        StoreUnavailable, StoreError
    """
    documents = asof.read(warehouse, Kind.DOCUMENTS, as_of=asof.just_before(window.end), start=window.start,
                          end=window.end, by="available_at", revisions="first")
    rows = documents[["source", "doc_id", "event_time", "available_at"]].reset_index(drop=True)
    made = pd.concat([rows, scorer.score(text_of(documents))], axis=1).assign(scorer=scorer.name)
    with warehouse.begin() as connection:
        upsert(connection, tables.sentiment_scores, made)
    return len(made)


def _polarity(chances: FloatArray) -> FloatArray:
    compound = 2 * chances - 1
    return np.stack([compound, np.maximum(compound, 0), 1 - np.abs(compound), np.maximum(-compound, 0)], axis=1)


def _text(value: object, at: int) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if not isinstance(value, str):
        raise ContractError(f"text {at} is a {type(value).__name__}; pass strings (None or NaN count as empty)")
    return value
