"""The three questions, answered from the warehouse and a directory of labelled texts as of one time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line
from pipelines.errors import InsufficientData, TidemarkError
from pipelines.sentiment import labelled, quality, score
from pipelines.sentiment.aggregate import MARKET
from pipelines.sentiment.run import SCORER
from pipelines.store import Warehouse, asof, derived, ledger, tables
from pipelines.training import ablation
from pipelines.training.worth import series
from pipelines.validation import lead_lag

#: Scorers side by side; the first is what the last is compared with.
SCORERS = ("vader", "tidemark")
#: A source with fewer documents gets no curve of its own.
LEAST_DOCUMENTS = 500
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Absent:
    """A part that could not be made, and why."""

    why: str


@dataclass(frozen=True)
class Curve:
    """Correlations of one series of sentiment with returns: by hour (``lead_lag.lead_lag``) and over longer spans
    (``lead_lag.spans``)."""

    name: str
    title: str
    lags: pd.DataFrame
    spans: pd.DataFrame


@dataclass(frozen=True)
class Worth:
    """What was found; a part without data is :class:`Absent`. ``lines``: line → its ablations, by family; ``adjusted``:
    p-values of them all at once (Holm), in the same order."""

    as_of: datetime
    start: datetime
    quality: tuple[quality.Row, ...] | Absent
    curves: tuple[Curve, ...] | Absent
    lines: Mapping[str, tuple[ablation.Ablation, ...] | Absent]
    adjusted: tuple[float, ...]

    @property
    def ablations(self) -> tuple[ablation.Ablation, ...]:
        """Those that could be made, in the order of ``adjusted``."""
        return _made(self.lines)


def _made(lines: Mapping[str, tuple[ablation.Ablation, ...] | Absent]) -> tuple[ablation.Ablation, ...]:
    return tuple(item for found in lines.values() if not isinstance(found, Absent) for item in found)


def study(warehouse: Warehouse | Absent, lines: Iterable[Line], as_of: datetime, *, texts: Path | None, days: int,
          tested_days: int, families: Sequence[str] = (), draws: int = 1000) -> Worth:
    """Everything there is an answer to.

    Args:
        texts: directory of labelled texts (``sentiment.labelled``).
        days: history for lead and lag; ``tested_days``: days that the ablations forecast.
        families: model families of the ablations; if left out, the champion's, or a line's first.
    """
    start = as_of - timedelta(days=days)
    found = {line.name: _on(warehouse, lambda store, line=line: _ablations(  # type: ignore[misc]
        store, line, as_of, tested_days, families)) for line in lines}
    return Worth(as_of, start, _or_absent(lambda: grade(texts, draws)),
                 _on(warehouse, lambda store: curves(store, start, as_of, draws)), found,
                 tuple(ablation.holm([item.test.p_value for item in _made(found)])))


def grade(texts: Path | None, draws: int = 1000) -> tuple[quality.Row, ...]:
    """Each scorer on each labelled set.

    Raises:
        InsufficientData: no directory was named, or it holds no labelled text. ConfigError, ContractError: it cannot
            be read.
    """
    if texts is None:
        raise InsufficientData("no labelled texts were given; pass --labelled DIRECTORY")
    rows = [row for item in labelled.read(texts) for row in quality.compare(
        item, {name: score(item.texts, name)["compound"].to_numpy(dtype=np.float64) for name in SCORERS}, draws=draws)]
    if not rows:
        raise InsufficientData(f"{texts} holds no labelled texts; see pipelines/sentiment/labelled.py for what is read")
    return tuple(rows)


def curves(warehouse: Warehouse, start: datetime, end: datetime, draws: int = 1000) -> tuple[Curve, ...]:
    """Lead and lag of the aggregates in ``[start, end)`` as known at ``end``: of symbols, of the market, by source.

    Raises:
        InsufficientData: no bars, no aggregates, or too few days of them.
    """
    known = asof.just_before(end)
    bars = asof.read(warehouse, Kind.BARS, as_of=known, start=start - timedelta(days=2), end=end)
    aggregates = series.hourly(derived.read(warehouse, tables.sentiment_aggregates, by="at", start=start, end=end,
                                            as_of=known, where={"window": ["1h", "1w"]}))
    if bars.empty or aggregates.empty:
        what = "bars" if bars.empty else "sentiment"
        raise InsufficientData(f"the warehouse has no {what} from {start:%Y-%m-%d} to {end:%Y-%m-%d}; load some "
                               "(`tidemark ingest`, `tidemark sentiment`)")
    returns = lead_lag.hourly_returns(bars[bars["interval"] == "1h"])
    market = lead_lag.market_returns(returns)
    own = aggregates[aggregates["symbol"] != MARKET]

    def curve(name: str, title: str, values: pd.DataFrame, against: pd.DataFrame) -> Curve:
        return Curve(name, title, lead_lag.lead_lag(values, against, draws=draws),
                     lead_lag.spans(values, against, draws=draws))

    found = [curve("symbols", "Texts about a symbol, against its own returns", series.surprise(own), returns),
             curve("market", "All texts, against the mean return of all symbols",
                   series.surprise(aggregates[aggregates["symbol"] == MARKET]), market),
             curve("features", "Mean score of a symbol's texts (a feature of the lines), against its own returns",
                   series.mean(own), returns)]
    scores = derived.read(warehouse, tables.sentiment_scores, columns=["source", "available_at", "compound"],
                          where={"scorer": SCORER}, by="available_at", start=start, end=end)
    for source, rows in scores.groupby("source"):
        if len(rows) >= LEAST_DOCUMENTS:
            try:
                found.append(curve(f"source {source}", f"Texts of {source}, against the mean return of all symbols",
                                   series.surprise(series.of_market(rows.reset_index(drop=True))), market))
            except InsufficientData:  # a source that has just begun
                continue
    return tuple(found)


def _ablations(warehouse: Warehouse, line: Line, as_of: datetime, days: int,
               families: Sequence[str]) -> tuple[ablation.Ablation, ...]:
    wanted: Sequence[str | None] = families or (_champions_family(warehouse, line),)
    return tuple(ablation.run(warehouse, line, as_of, days=days, family=family) for family in wanted)


def _champions_family(warehouse: Warehouse, line: Line) -> str | None:
    with warehouse.begin() as connection:
        present = ledger.champion(connection, line.name)
        return ledger.candidate(connection, line.name, present.version).family if present else None


def _on(warehouse: Warehouse | Absent, make: Callable[[Warehouse], _Found]) -> _Found | Absent:
    return warehouse if isinstance(warehouse, Absent) else _or_absent(lambda: make(warehouse))


def _or_absent(make: Callable[[], _Found]) -> _Found | Absent:
    """What is made, or the reason why it cannot be: one part without data does not take the others with it."""
    try:
        return make()
    except TidemarkError as error:
        return Absent(str(error))
