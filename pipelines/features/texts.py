"""The rows of a line that learns from texts: what people have judged, as features and labels.

A row is one labelled text. Its ``symbol`` is ``source/doc_id``; it is decided when it was written (``available_at`` =
``event_time``), and ``label_end`` is when somebody had judged it. y = 1 if they found it positive, 0 if negative; texts
within ``target.neutral`` of 0 are no rows. Like a bar's label, a judgement counts as it was first given.

Of texts that say the same (but for case, white space, links and the head of a retweet) only the one judged
first is a row: otherwise a model that knows words by heart would be tested on texts it has learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS, ROW_KEY, Kind
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.window import Window
from pipelines.errors import InsufficientData
from pipelines.features import catalog
from pipelines.sentiment import score
from pipelines.store import Warehouse, asof

COMPOUND = "base_compound"
#: What may differ between texts that say the same.
_SAME = r"^rt @\w+:?\s*|https?://\S+|\s+"


def features(line: Line, texts: Sequence[str]) -> pd.DataFrame:
    """The line's features of any texts, float64, one row per text; each depends on its own text alone.

    Raises:
        ConfigError: the line's groups are not made of texts.
    """
    names = [feature.name for feature in catalog.features(catalog.of(line))]
    return pd.DataFrame(values(line, texts), columns=names, copy=False)


def values(line: Line, texts: Sequence[str]) -> FloatArray:
    """``features`` as an array of shape (texts, columns)."""
    groups = catalog.of(line)
    filled: FloatArray = np.empty((len(texts), len(catalog.features(groups))))
    begin = 0
    for group in groups:
        end = begin + len(catalog.features([group]))
        if group.from_texts is not None and len(texts):
            filled[:, begin:end] = group.from_texts(texts)
        begin = end
    return filled


def read(warehouse: Warehouse, line: Line, window: Window, as_of: datetime) -> pd.DataFrame:
    """The judgements known at ``as_of`` of texts written in ``window``: contract columns, first versions."""
    return asof.read(warehouse, Kind.LABELS, as_of=as_of, start=window.start, end=window.end,
                     names=list(line.target.sources) or None, revisions="first")


def rows(judged: pd.DataFrame, line: Line) -> pd.DataFrame:
    """``FEATURE_META`` and features of judged texts, ordered by (event_time, symbol); the judgement is not looked at.

    Args:
        judged: ``source``, ``doc_id``, ``event_time``, ``available_at`` and ``text``.
    """
    found = distinct(judged)
    return pd.concat([found[list(FEATURE_META)].assign(available_at=found["event_time"]),
                      features(line, found["text"].tolist())], axis=1)


def labels(judged: pd.DataFrame, line: Line) -> pd.DataFrame:
    """``ROW_KEY`` and ``LABEL_COLUMNS`` of the texts that are not neutral, ordered as ``rows`` are.

    Args:
        judged: contract columns of ``Kind.LABELS``.
    """
    found = distinct(_clear(judged, line))
    return found[list(ROW_KEY)].assign(y=(found["label"] > 0).astype(np.int64), label_end=found["available_at"],
                                       forward_return=np.nan)[[*ROW_KEY, *LABEL_COLUMNS]]


def build(warehouse: Warehouse, line: Line, *, window: Window, as_of: datetime) -> pd.DataFrame:
    """``rows`` of the texts written in ``window`` whose judgement is known at ``as_of``."""
    return rows(read(warehouse, line, window, as_of), line)


def training(warehouse: Warehouse, line: Line, as_of: datetime) -> tuple[Window, pd.DataFrame]:
    """The window and frame of a training at ``as_of``: ``FEATURE_META``, features, ``LABEL_COLUMNS``, ``COMPOUND``.

    Raises:
        InsufficientData: nobody has judged a text of that time.
    """
    window = window_of(line, as_of)
    frame = frame_of(read(warehouse, line, window, asof.just_before(as_of)), line)
    if frame.empty:
        raise InsufficientData(
            f"{line.name} has no labelled texts written between {window.start} and {as_of} and judged by then; load "
            "some (`tidemark ingest --kind labels`), or choose another as_of")
    return window, frame


def window_of(line: Line, as_of: datetime) -> Window:
    """When the texts of a training were written."""
    return Window(as_of - timedelta(days=line.walk_forward.history_days), as_of)


def frame_of(judged: pd.DataFrame, line: Line) -> pd.DataFrame:
    """Features and labels of judged texts that are not neutral, and what the lexicon says of them (``COMPOUND``)."""
    clear = distinct(_clear(judged, line))
    frame = rows(clear, line).merge(labels(clear, line), on=list(ROW_KEY), validate="one_to_one")
    return frame.assign(**{COMPOUND: score(clear["text"].tolist())["compound"].to_numpy(dtype=np.float64)})


def _clear(judged: pd.DataFrame, line: Line) -> pd.DataFrame:
    return judged[judged["label"].abs() >= line.target.neutral]


def distinct(judged: pd.DataFrame) -> pd.DataFrame:
    """With ``symbol``, ordered by (event_time, symbol); of texts that say the same the one that came first, so that
    nothing later can replace it."""
    found = judged.assign(symbol=(judged["source"] + "/" + judged["doc_id"]).astype("str"))
    found = found.sort_values(["available_at", "event_time", "symbol"], ignore_index=True)
    said = found["text"].str.lower().str.replace(_SAME, " ", regex=True).str.strip()
    return found[~said.duplicated()].sort_values(["event_time", "symbol"], ignore_index=True)
