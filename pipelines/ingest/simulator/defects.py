"""How the rows of each kind break, and how they are revised. Each function changes rows of a frame in place."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.ingest.simulator.streams import Floats, Ints

HUGE = 120_000


def _set(frame: pd.DataFrame, rows: Ints, column: str, values: object) -> None:
    frame.iloc[rows, frame.columns.get_loc(column)] = values


def _get(frame: pd.DataFrame, rows: Ints, column: str) -> Floats:
    return np.asarray(frame[column].to_numpy(dtype=np.float64)[rows])


def missing_close(frame: pd.DataFrame, rows: Ints, uniform: Floats) -> None:
    _set(frame, rows, "close", np.nan)


def negative_price(frame: pd.DataFrame, rows: Ints, uniform: Floats) -> None:
    _set(frame, rows, "low", -_get(frame, rows, "low"))


def crossed(frame: pd.DataFrame, rows: Ints, uniform: Floats) -> None:
    high, low = _get(frame, rows, "high"), _get(frame, rows, "low")
    _set(frame, rows, "high", low * 0.999)
    _set(frame, rows, "low", high * 1.001)


def off_grid(frame: pd.DataFrame, rows: Ints, uniform: Floats) -> None:
    shifted = frame["event_time"].iloc[rows] + pd.Timedelta(minutes=17)
    _set(frame, rows, "event_time", shifted.array)


def wrong_bar(frame: pd.DataFrame, rows: Ints, uniform: Floats) -> None:
    """A bar closed too early by the feed: volume short, close some basis points away, extremes hold it."""
    close = _get(frame, rows, "close")
    other = np.round(close * (1 + 0.0008 * (uniform - 0.5)), 6)
    _set(frame, rows, "close", other)
    _set(frame, rows, "high", np.maximum(_get(frame, rows, "high"), other))
    _set(frame, rows, "low", np.minimum(_get(frame, rows, "low"), other))
    _set(frame, rows, "volume", np.round(_get(frame, rows, "volume") * (0.7 + 0.25 * uniform), 3))


def empty_text(frame: pd.DataFrame, rows: Ints, uniform: Floats) -> None:
    _set(frame, rows, "text", "  ")


def huge_text(frame: pd.DataFrame, rows: Ints, uniform: Floats) -> None:
    _set(frame, rows, "text", "buy now " * (HUGE // 8))


def broken_encoding(frame: pd.DataFrame, rows: Ints, uniform: Floats) -> None:
    """Half a surrogate pair, as a cut UTF-16 emoji leaves behind."""
    _set(frame, rows, "text", [f"{text} \ud83d" for text in frame["text"].iloc[rows]])


def nul_in_text(frame: pd.DataFrame, rows: Ints, uniform: Floats) -> None:
    _set(frame, rows, "text", [f"{text}\x00" for text in frame["text"].iloc[rows]])


def edited_text(frame: pd.DataFrame, rows: Ints, uniform: Floats) -> None:
    """A later crawl finds the text edited and more reactions to it."""
    _set(frame, rows, "text", [f"{text} (edited)" for text in frame["text"].iloc[rows]])
    _set(frame, rows, "engagement", _get(frame, rows, "engagement") + np.ceil(50 * uniform))


def missing_value(frame: pd.DataFrame, rows: Ints, uniform: Floats) -> None:
    _set(frame, rows, "value", np.nan)


def infinite_value(frame: pd.DataFrame, rows: Ints, uniform: Floats) -> None:
    _set(frame, rows, "value", np.inf)


def wrong_value(frame: pd.DataFrame, rows: Ints, uniform: Floats) -> None:
    _set(frame, rows, "value", np.round(_get(frame, rows, "value") * (0.97 + 0.02 * uniform), 2))
