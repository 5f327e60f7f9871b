"""Where facts come from, and how bootstrap cuts its stretch of them into pieces that can run side by side."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow.sdk import Param

from tidemark_airflow import connections
from tidemark_airflow.context import Work, plain, tell
from tidemark_airflow.links import QualityLink


def bootstrap_params() -> dict[str, Param]:
    """The trigger form of bootstrap."""
    text = {"type": ["null", "string"]}
    return {
        "start": Param(None, **text, title="Start", description=(
            "First instant (UTC, ISO 8601), included. Empty: where the source begins.")),
        "end": Param(None, **text, title="End", description=(
            "End (UTC, ISO 8601), not included. Empty: where the source ends, or now.")),
        "source": Param(None, **text, title="Source", description=(
            "Provider: simulator or files. Empty: TIDEMARK_SOURCE."))}


def source(w: Work, *, overlap: bool = True) -> Any:
    """The provider that the params or the settings name, with the credentials of its Airflow Connection, if there is
    one (see ``connections``). Without ``overlap`` it reads nothing behind its window.

    Raises:
        ConfigError: there is no such provider, or its settings or its Connection are wrong.
    """
    from pipelines.ingest import providers

    settings = w.settings
    if not overlap:
        settings = settings.model_copy(update={"http": settings.http.model_copy(update={"overlap_hours": 0.0})})
    name = w.params.get("source") or settings.source
    return providers.create(name, connections.applied(name, settings))


def take_in(w: Work, bell: Any, *kinds: str) -> list[Any]:
    """Fetch, check and write the run's days of these kinds of facts, then ring ``bell`` for each day."""
    from pipelines.contracts.columns import Kind
    from pipelines.ingest import run

    provider = source(w)
    wanted = offered(provider, map(Kind, kinds))
    reports = [run.run(w.warehouse, provider, day, kinds=wanted, at=w.at, reports=w.settings.quality_root,
                       deadlines=w.settings.quality) for day in w.days]
    QualityLink.push(w.settings, [report.report for report in reports])
    w.announce(bell)
    return reports


def offered(provider: Any, kinds: Iterable[Any]) -> list[Any]:
    """Those of these kinds of facts that the provider has at all; a source without texts is not an error."""
    return [kind for kind in kinds if kind in provider.kinds()]


def span(w: Work, provider: Any) -> Any:
    """The window to load.

    Raises:
        ConfigError: the params leave an end open and the source does not know its own.
    """
    from pipelines import clock
    from pipelines.contracts.window import Window
    from pipelines.errors import ConfigError

    known = provider.span()
    start, end = w.params.get("start"), w.params.get("end")
    if known is None and not (start and end):
        raise ConfigError(f"the source {provider.name!r} does not know its span; give the params `start` and `end`")
    return Window(clock.parse(start) if start else known.start,
                  clock.parse(end) if end else min(known.end, w.at))


def pieces(w: Work) -> list[dict[str, Any]]:
    """Bars by month and symbol; documents and indicators by month. Each piece is one mapped task."""
    provider = source(w)
    kinds = {kind.value for kind in provider.kinds()}
    cut = []
    for month in span(w, provider).months():
        window = {"start": plain(month.start), "end": plain(month.end)}
        cut += [{**window, "kind": "bars", "symbol": symbol} for symbol in provider.symbols() if "bars" in kinds]
        cut += [{**window, "kind": kind, "symbol": None} for kind in sorted(kinds - {"bars"})]
    tell("pieces", len(cut))
    return cut


def mark_whole(w: Work) -> None:
    """Note that each month holds the bars of all symbols, now that each symbol is loaded: days build on that."""
    from pipelines.contracts.columns import Kind
    from pipelines.ingest.run import datasets
    from pipelines.store import derived, loads, tables

    provider = source(w)
    if Kind.BARS not in provider.kinds():
        return
    parts = datasets(Kind.BARS, provider.symbols())
    with w.warehouse.begin() as connection:
        for month in span(w, provider).months():
            rows = derived.read(connection, tables.loads, columns=["rows"], where={
                "dataset": parts, "window_start": month.start, "window_end": month.end})["rows"]
            loads.mark(connection, Kind.BARS.value, month, rows=int(rows.sum()), at=w.at)


def load(w: Work, start: str, end: str, kind: str, symbol: str | None) -> dict[str, Any]:
    """Fetch, check and write one piece.

    The pieces lie side by side and are read at one time: no piece has news of the one before it.
    """
    from pipelines import clock
    from pipelines.contracts.columns import Kind
    from pipelines.contracts.window import Window
    from pipelines.ingest import run

    window = Window(clock.parse(start), clock.parse(end))
    report = run.run(w.warehouse, source(w, overlap=False), window, kinds=[Kind(kind)],
                     symbols=[symbol] if symbol else None, at=w.at, reports=w.settings.quality_root,
                     deadlines=w.settings.quality)
    return tell(f"{symbol or kind} {start[:7]}", report)
