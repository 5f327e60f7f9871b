"""The leak audit of a line, on the warehouse and through the code that a training uses: the same ``features.build``,
``labels.label`` and ``aggregate``, the same snapshot rows, folds and families."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from pipelines.config import Settings
from pipelines.contracts.columns import FEATURE_META, Kind
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.records import BASELINES
from pipelines.contracts.window import Window
from pipelines.errors import InsufficientData
from pipelines.features import build, catalog, labels, snapshot, texts, trades
from pipelines.sentiment.aggregate import LONGEST_HOURS, aggregate
from pipelines.sentiment.hours import full_hour, full_tick
from pipelines.sentiment.run import SCORER
from pipelines.sentiment.universe import ALIVE_HOURS, Universe
from pipelines.store import Warehouse, asof, derived, tables
from pipelines.training import families, fit
from pipelines.validation.audit import AuditReport, Build, Fitter, audit_line, from_facts, moments, news
from pipelines.validation.splits import Fold, plan

_US = timedelta(microseconds=1)
_BAR = timedelta(hours=1)
#: At most cuts the rows of the last days before it are compared: a look-ahead shows there first.
_REACH = pd.Timedelta(days=2)
#: Aggregates are the same code at every hour; the newest days stand for all.
_AGGREGATE_DAYS = 14
_DOCUMENT = ["source", "doc_id", "event_time"]


def run(warehouse: Warehouse, settings: Settings | None, line: Line, as_of: datetime, *,
        seed: int | None = None, checks: Iterable[str] | None = None) -> AuditReport:
    """Audit ``line`` on what was known at ``as_of``; reads, and writes nothing.

    Args:
        settings: not needed; accepted so that every stage is called alike.
        seed: of the random cuts and probes; the line's search seed if left out.
        checks: only these (names of ``validation.audit.CHECKS``); all if left out.

    Raises:
        InsufficientData: too little history as of that time, as a training would say.
        StoreUnavailable, StoreError, ContractError
    """
    builds, frame = _BUILDS[line.target.rows](warehouse, line, as_of)
    if frame.empty:
        raise InsufficientData(f"{line.name} has no labelled rows as of {as_of}: nothing to audit; load bars, labels "
                               "or trades (`tidemark ingest`) or choose a later --as-of")
    cut = plan(line, frame)
    return audit_line(line, builds=builds, frame=frame, plan=cut,
                      fitters={name: fitter(name, line.search.seed) for name in line.search.families}, as_of=as_of,
                      seed=line.search.seed if seed is None else seed, checks=checks)


def _of_bars(warehouse: Warehouse, line: Line, as_of: datetime) -> tuple[list[Build], pd.DataFrame]:
    window = Window(as_of - timedelta(days=line.walk_forward.history_days) - line.horizon, as_of + _US)
    features, rows = _features(warehouse, line, window, as_of)
    labelled = _labels(warehouse, line, window, as_of, rows)
    builds = [features, labelled]
    if "sentiment_aggregates" in catalog.inputs(catalog.of(line)):
        builds.append(_aggregates(warehouse, as_of))
    return builds, snapshot.join(rows, labelled.rebuild(pd.Timestamp(as_of), None))


def _of_texts(warehouse: Warehouse, line: Line, as_of: datetime) -> tuple[list[Build], pd.DataFrame]:
    """A text is known when it was written, its label when it was judged: two builds of the same facts.

    Thousands of columns of words are compared as one: their digest in each row.
    """
    judged = texts.read(warehouse, line, texts.window_of(line, as_of), as_of)
    written = judged[[*_DOCUMENT, "text"]].assign(available_at=judged["event_time"])
    at_once = pd.Timedelta(0)

    def condensed(facts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        found = texts.distinct(facts["texts"])
        digests = [hashlib.blake2b(row, digest_size=8).hexdigest() for row in texts.values(
            line, found["text"].tolist())]
        return found[list(FEATURE_META)].assign(features=np.array(digests, dtype=object))

    return [from_facts("features", condensed, {"texts": written}, opens=at_once),
            from_facts("labels", lambda facts: texts.labels(facts["labels"], line), {"labels": judged},
                       known="label_end", opens=at_once)], texts.frame_of(judged, line)


def _of_trades(warehouse: Warehouse, line: Line, as_of: datetime) -> tuple[list[Build], pd.DataFrame]:
    """The features of an entry are asked for at its opening, whatever becomes of it; its label comes of the log alone.
    """
    window = trades.window_of(line, as_of)
    log = trades.read(warehouse, line, window, as_of)
    told = trades.labels(log)
    if told.empty:
        return [], told
    whole = trades.features(warehouse, line, told, as_of)

    def rebuild(cut: pd.Timestamp, since: pd.Timestamp | None) -> pd.DataFrame:
        if since is None and cut >= pd.Timestamp(as_of):
            return whole.drop(columns="source")
        asked = told[(told["event_time"] <= cut) & (told["event_time"] >= (since or told["event_time"].min()))]
        return trades.features(warehouse, line, asked, cut.to_pydatetime()).drop(columns="source")

    known = {kind.value: asof.read(warehouse, kind, as_of=as_of, start=window.start, by="available_at",
                                   revisions="all") for kind in (Kind.BARS, Kind.TRADES)}
    at_once = pd.Timedelta(0)
    return [Build("features", rebuild, moments(known), news(known), reach=_REACH, opens=at_once, facts=known),
            from_facts("labels", lambda facts: trades.labels(facts["trades"]).drop(columns="source"), {"trades": log},
                       known="label_end", opens=at_once)], trades.frame_of(whole, told)


_BUILDS = {"bars": _of_bars, "texts": _of_texts, "trades": _of_trades}


def fitter(family: str, seed: int) -> Fitter:
    """What the gate's evidence says of probe rows: the family with its default parameters and the naive baselines, by
    ``fit.out_of_sample``. Shape (rows, 3 or 4): candidate, base rate, persistence, and of texts the lexicon."""
    def said(frame: pd.DataFrame, fold: Fold, probe: pd.DataFrame) -> FloatArray:
        data = fit.matrix(pd.concat([frame, probe], ignore_index=True))
        asked = replace(fold, test=np.arange(len(frame), len(data.frame), dtype=np.int64))
        found = fit.out_of_sample(data, [asked], family, families.get(family).defaults, seed)
        order = np.lexsort((probe["symbol"].to_numpy(dtype=object), probe["event_time"]))
        chances = found[["candidate", *(name for name in BASELINES if name in found)]].to_numpy(dtype=np.float64)
        result: FloatArray = np.empty_like(chances)
        result[order] = chances
        return result

    return said


def _features(warehouse: Warehouse, line: Line, window: Window, as_of: datetime) -> tuple[Build, pd.DataFrame]:
    whole = build(warehouse, line, window=window, as_of=as_of)
    start = pd.Timestamp(window.start)

    def rebuild(cut: pd.Timestamp, since: pd.Timestamp | None) -> pd.DataFrame:
        if since is None and cut >= pd.Timestamp(as_of):
            return whole
        begin = start if since is None else max(since, start)
        if cut < begin:
            return whole.iloc[:0]
        return build(warehouse, line, window=Window(begin.to_pydatetime(), (cut + _US).to_pydatetime()),
                     as_of=cut.to_pydatetime())

    facts = {kind.value: asof.read(warehouse, kind, as_of=as_of, start=window.start, by="available_at",
                                   revisions="all") for kind in (Kind.BARS, Kind.INDICATORS)}
    known = {kind: frame for kind, frame in facts.items() if len(frame)}
    return Build("features", rebuild, moments(known), news(known), reach=_REACH, facts=known), whole


def _labels(warehouse: Warehouse, line: Line, window: Window, as_of: datetime, rows: pd.DataFrame) -> Build:
    first = min(window.start, rows["event_time"].min().to_pydatetime()) if len(rows) else window.start
    bars = asof.read(warehouse, Kind.BARS, as_of=as_of, start=first - labels.history(line),
                     symbols=list(line.symbols) or None, revisions="all")
    bars = bars[bars["interval"] == line.interval].reset_index(drop=True)
    return from_facts("labels", lambda facts: labels.label(facts["bars"], line), {"bars": bars}, known="label_end",
                      opens=pd.Timedelta(_BAR * (1 + line.target.least_bars)),
                      executed=("forward_return",) if line.target.kind == "direction" else ())


def _aggregates(warehouse: Warehouse, as_of: datetime) -> Build:
    """The aggregates of the last days from stored scores and mentions, by the function that stored them."""
    start = as_of - timedelta(days=_AGGREGATE_DAYS)
    lead = start - timedelta(hours=LONGEST_HOURS)
    scores = derived.read(warehouse, tables.sentiment_scores, columns=[*_DOCUMENT, "available_at", "compound"],
                          where={"scorer": SCORER}, by="available_at", start=lead, as_of=as_of)
    found = derived.read(warehouse, tables.mentions, columns=[*_DOCUMENT, "symbol", "available_at"],
                         by="available_at", start=lead, as_of=as_of)
    bars = asof.read(warehouse, Kind.BARS, as_of=as_of, by="available_at", revisions="first",
                     start=lead - timedelta(hours=ALIVE_HOURS + 1))[["symbol", "event_time", "available_at"]]
    mentions = found.merge(scores[[*_DOCUMENT, "compound"]], on=_DOCUMENT)
    return from_facts("aggregates", aggregator(start, as_of), {"scores": scores, "mentions": mentions, "bars": bars},
                      event="at", key=("symbol", "window", "at"), opens=pd.Timedelta(0))


def aggregator(start: datetime, end: datetime) -> Callable[..., pd.DataFrame]:
    """``aggregate`` at the full ten minutes of ``[start, end]`` as a function of scores, mentions and bars."""
    hours = full_hour(start - timedelta(hours=1)), full_hour(end + _US)

    def rows(facts: dict[str, pd.DataFrame]) -> pd.DataFrame:
        return aggregate(facts["scores"], facts["mentions"], Universe.of(facts["bars"], *hours), full_tick(start),
                         full_tick(end + _US))

    return rows
