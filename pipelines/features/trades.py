"""The rows of a line that learns from a log of trades: what was known at each entry, and whether it paid.

A row is one closed trade. It is decided when it was opened (``available_at`` = ``event_time``), so its bar features are
those of the last bar of its market that was there by then: the entry is at the open of the next bar, whose close,
high, low and volume nobody knew. ``label_end`` is when the outcome was known: at the closing, or later for a log that
came late. y = 1 if ``profit_ratio``, the profit after fees, is above 0; ``forward_return`` is that profit. Like a
bar's label, an outcome counts as it was first given.

Of trades of one market that were opened at the same instant the one whose outcome was known first is a row: they are
one decision, and nothing later can replace it. A trade whose bars are missing is no row; how many is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS, ROW_KEY, SCHEMAS, Kind
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.window import Window
from pipelines.errors import InsufficientData
from pipelines.features import catalog, view
from pipelines.features.declare import Bars, Feature, Group, Rows
from pipelines.features.known import in_force
from pipelines.sentiment.hours import HOUR_US, microseconds, times
from pipelines.store import Warehouse, asof

#: The latest label of the row's market that was known at its time (``matrix.NAIVE``).
PREVIOUS = "base_prev_label"
#: Fewer closed trades than this tell a win rate to seven points at best.
FEWEST = 200
#: Of each outcome.
FEWEST_OF_A_KIND = 30
#: More trades without any profit or loss than this are no outcomes: fees alone would move them.
MOST_UNDECIDED = 0.2
_HOUR = timedelta(hours=1)
_log = logging.getLogger(__name__)


def window_of(line: Line, as_of: datetime) -> Window:
    """When the trades of a training were opened."""
    return Window(as_of - timedelta(days=line.walk_forward.history_days), as_of)


def read(warehouse: Warehouse, line: Line, window: Window, as_of: datetime) -> pd.DataFrame:
    """All versions, known at ``as_of``, of the trades opened in ``window``: contract columns and ``revision``."""
    return asof.read(warehouse, Kind.TRADES, as_of=as_of, start=window.start, end=window.end,
                     symbols=list(line.symbols) or None, names=list(line.target.sources) or None, revisions="all")


def labels(log: pd.DataFrame) -> pd.DataFrame:
    """``ROW_KEY``, ``LABEL_COLUMNS`` and ``source`` of the trades of a log that have an outcome, ordered by
    (event_time, symbol).

    Args:
        log: ``Kind.TRADES`` with all versions. A trade that was closed at the instant of its opening decided nothing.
    """
    ended = log[log["closed_at"].notna() & log["profit_ratio"].notna()]
    ended = ended.assign(label_end=ended[["available_at", "closed_at"]].max(axis=1))
    key = list(SCHEMAS[Kind.TRADES].key)
    first = ended.sort_values(["label_end", *(["revision"] if "revision" in ended else []), *key], kind="stable")
    first = first.drop_duplicates(key)
    first = first[first["label_end"] > first["event_time"]].drop_duplicates(list(ROW_KEY))
    found = first.sort_values(list(reversed(ROW_KEY)), ignore_index=True)
    return found.assign(y=(found["profit_ratio"] > 0).astype(np.int64), forward_return=found["profit_ratio"].astype(
        np.float64))[[*ROW_KEY, *LABEL_COLUMNS, "source"]]


def build(warehouse: Warehouse, line: Line, *, window: Window, as_of: datetime) -> pd.DataFrame:
    """``FEATURE_META`` and features of the trades opened in ``window`` whose outcome is known at ``as_of``."""
    log = labels(read(warehouse, line, window, as_of))
    return features(warehouse, line, log, as_of).drop(columns="source")


def features(warehouse: Warehouse, line: Line, entries: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    """What was known at each entry, whether the trade is open still or long closed.

    Args:
        entries: ``symbol``, ``event_time`` (the opening, UTC) and ``source``; one row of each market and opening.

    Returns:
        ``FEATURE_META``, the features of the line's groups (float64) and ``source``; of the entries that have them.
    """
    groups = catalog.of(line)
    frame = entries[[*ROW_KEY, "source"]].reset_index(drop=True)
    opened, values = _bar_features(warehouse, line, groups, frame, as_of)
    there = opened.notna().to_numpy()
    rows = Rows.of(frame.assign(event_time=opened, available_at=frame["event_time"])[there], warehouse,
                   pd.Timestamp(as_of))
    columns = {name: value[there] for name, value in values.items()}
    for group in groups:
        if group.from_rows is not None and there.any():
            columns |= group.from_rows(rows)
    frame = frame[there].reset_index(drop=True)
    found, usable = _filled(catalog.features(groups), columns, len(frame))
    whole = pd.concat([frame[list(ROW_KEY)].assign(available_at=frame["event_time"]), found, frame[["source"]]], axis=1)
    if lost := len(entries) - int(usable.sum()):
        _log.info("%s: %d of %d trades left out: bars before their entry are missing", line.name, lost, len(entries))
    return whole[usable].reset_index(drop=True)


def training(warehouse: Warehouse, line: Line, as_of: datetime) -> tuple[Window, pd.DataFrame]:
    """The window and frame of a training at ``as_of``: ``FEATURE_META``, features, ``LABEL_COLUMNS``, ``PREVIOUS``
    (NaN where no outcome of the market was known).

    Raises:
        InsufficientData: there are too few closed trades to learn from, or their outcomes say nothing.
    """
    window, before = window_of(line, as_of), asof.just_before(as_of)
    told = labels(read(warehouse, line, window, before))
    _require(line, told, window)
    frame = frame_of(features(warehouse, line, told, before), told)
    _require(line, frame, window, of=len(told))
    return window, frame


def frame_of(rows: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """Features with labels and the latest outcome of the market that was known at the entry."""
    names = [name for name in rows.columns if name not in (*FEATURE_META, "source")]
    frame = rows.merge(told.drop(columns="source"), on=list(ROW_KEY), validate="one_to_one")
    frame[PREVIOUS] = _previous(frame, told)
    return frame[[*FEATURE_META, *names, *LABEL_COLUMNS, PREVIOUS]].sort_values(
        ["event_time", "symbol"], ignore_index=True)


def _bar_features(warehouse: Warehouse, line: Line, groups: Sequence[Group], entries: pd.DataFrame,
                  as_of: datetime) -> tuple[pd.Series, dict[str, FloatArray]]:
    """The opening of each entry's last known bar (NaT: there is none) and the bar features at it."""
    computing = [group for group in groups if group.from_bars is not None]
    lookback = max((feature.lookback for group in computing for feature in group.features), default=0)
    required = [feature.name for group in computing for feature in group.features]
    opened = pd.Series(pd.NaT, index=entries.index, dtype="datetime64[us, UTC]")
    values = {name: np.full(len(entries), np.nan) for name in required}
    if entries.empty:
        return opened, values
    first = (entries["event_time"].min() - view.GRACE - _HOUR).floor("h").to_pydatetime() - lookback * _HOUR
    last = entries["event_time"].max().ceil("h").to_pydatetime()
    bars = asof.read(warehouse, Kind.BARS, as_of=as_of, start=first, end=last, symbols=sorted(set(entries["symbol"])),
                     revisions="all")
    past = view.history(bars[bars["interval"] == line.interval], first, last)

    def compute(bars: Bars) -> Mapping[str, FloatArray]:
        return {name: value for group in computing for name, value in group.on_bars(bars).items()}

    found = view.evaluate(past, compute, lookback)
    asked = microseconds(entries["event_time"])
    for column, symbol in enumerate(past.symbols):
        places = np.flatnonzero((entries["symbol"] == symbol).to_numpy())
        there = np.flatnonzero(found.time[:, column] < view.NEVER)
        chosen = in_force(there, found.time[there, column], asked[places])
        row = np.where(chosen >= 0, there[np.maximum(chosen, 0)] if len(there) else 0, -1)
        closes = (past.first + row + 1) * HOUR_US
        fresh = (row >= lookback) & (closes + view.GRACE // timedelta(microseconds=1) >= asked[places])
        places, row = places[fresh], row[fresh]
        opened.iloc[places] = times((past.first + row) * HOUR_US)
        for name in required:
            values[name][places] = found.values[name][row, column]
    return opened, values


def _filled(declared: Sequence[Feature], values: Mapping[str, FloatArray],
            count: int) -> tuple[pd.DataFrame, np.ndarray]:  # type: ignore[type-arg]
    """The declared columns, neutral where nothing is known, and which rows have all that are required."""
    usable, columns = np.ones(count, dtype=bool), {}
    for feature in declared if count else ():
        value = np.asarray(values[feature.name], dtype=np.float64)
        finite = np.isfinite(value)
        if feature.neutral is None:
            usable &= finite
        columns[feature.name] = value if feature.neutral is None else np.where(finite, value, feature.neutral)
    return pd.DataFrame(columns, columns=[feature.name for feature in declared], dtype=np.float64), usable


def _previous(frame: pd.DataFrame, told: pd.DataFrame) -> FloatArray:
    previous = np.full(len(frame), np.nan)
    for symbol, places in frame.groupby("symbol", sort=False).indices.items():
        mine = told[told["symbol"] == symbol].reset_index(drop=True)
        ends = microseconds(mine["label_end"])
        chosen = in_force(ends, ends, microseconds(frame["available_at"].iloc[places]))
        previous[places] = np.where(chosen >= 0, mine["y"].to_numpy()[np.maximum(chosen, 0)], np.nan)
    return previous


def _require(line: Line, told: pd.DataFrame, window: Window, of: int | None = None) -> None:
    """Refuse a log that says too little, with what would mend it."""
    count, days = len(told), line.walk_forward.history_days
    where = f"{line.name}: of the trades opened between {window.start:%Y-%m-%d} and {window.end:%Y-%m-%d}"
    if count < FEWEST:
        if of is not None and of >= FEWEST:
            raise InsufficientData(
                f"{where} only {count} of {of} have bars before their entry, and at least {FEWEST} are needed; load "
                "the bars of their markets (`tidemark ingest --kind bars`), or lower features.longest_bars")
        margin = 100 / np.sqrt(count) if count else np.nan
        known = f"their win rate is known to {margin:.0f} points either way" if count else "none"
        raise InsufficientData(
            f"{where} {count} are closed ({known}), and at least {FEWEST} are needed to learn anything from them; "
            f"load a longer log, or raise [walk_forward] train_days (it reads {days} days now)")
    undecided = int((told["forward_return"] == 0).sum())
    if undecided > MOST_UNDECIDED * count:
        raise InsufficientData(
            f"{where} {undecided} of {count} ({undecided / count:.0%}) have a profit of exactly 0, which no trade that "
            "paid its fees has; map profit_ratio to the profit after fees in source.toml and load the log again")
    won = int(told["y"].sum())
    if min(won, count - won) < FEWEST_OF_A_KIND:
        kind = "won" if won < count - won else "lost"
        raise InsufficientData(
            f"{where} {min(won, count - won)} of {count} were {kind}, and at least {FEWEST_OF_A_KIND} of each outcome "
            "are needed: there is nothing to tell apart; check the sign and unit of profit_ratio, or load a log with "
            "both")
