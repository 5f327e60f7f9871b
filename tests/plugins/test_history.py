"""How bootstrap cuts its stretch, and what it notes when all of it is there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.config import Settings
from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import Batch
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError
from pipelines.store import Warehouse, loads
from tidemark_airflow import history
from tidemark_airflow.context import work

STRETCH = {"start": "2024-01-05", "end": "2024-01-08T00:00:00+00:00", "source": None}


def test_pieces(offline: Settings, in_task: Callable[..., Any]) -> None:
    in_task("bootstrap", params={"start": "2024-01-30", "end": "2024-02-02"})
    with work() as w:
        pieces = history.pieces(w)
        symbols = history.source(w).symbols()
    assert [(piece["start"][:10], piece["end"][:10], piece["kind"], piece["symbol"]) for piece in pieces] == [
        (start, end, kind, symbol)
        for start, end in (("2024-01-30", "2024-02-01"), ("2024-02-01", "2024-02-02"))
        for kind, symbol in [*(("bars", symbol) for symbol in symbols), ("documents", None), ("indicators", None)]]


def test_without_params_it_is_the_span_of_the_source_up_to_now(offline: Settings, in_task: Callable[..., Any]) -> None:
    in_task("bootstrap")
    with work() as w:
        known = history.source(w).span()
        assert history.span(w, history.source(w)) == Window(known.start, min(known.end, w.at))


def test_an_unknown_span_asks_for_params(offline: Settings, in_task: Callable[..., Any]) -> None:
    in_task("bootstrap", params={"start": "2024-01-01"})

    class Boundless:
        name = "feed"

        def span(self) -> None:
            return None

    with work() as w, pytest.raises(ConfigError, match="'feed' does not know its span"):
        history.span(w, Boundless())


def test_a_source_without_a_kind_is_no_error(settings: Settings, in_task: Callable[..., Any]) -> None:
    from pipelines.ingest import run

    class Quiet:
        name = "quiet"

        def kinds(self) -> frozenset[Kind]:
            return frozenset({Kind.BARS})

        def symbols(self) -> tuple[str, ...]:
            return ()

        def fetch(self, window: Window, kinds: Any, symbols: Any = None) -> Batch:
            assert list(kinds) == []
            return Batch()

    assert history.offered(Quiet(), (Kind.BARS, Kind.INDICATORS)) == [Kind.BARS]
    in_task("ingest_text", partition="2024-01-05")
    with work() as w:
        kinds = history.offered(Quiet(), (Kind.DOCUMENTS,))
        report = run.run(w.warehouse, Quiet(), w.days[0], kinds=kinds, at=w.at)
    assert (report.counts, report.refused) == ({}, 0)


def test_loading_piece_by_piece_counts_as_loading_the_whole(settings: Settings, in_task: Callable[..., Any]) -> None:
    in_task("bootstrap", params=STRETCH)
    whole = Window(datetime(2024, 1, 5, tzinfo=UTC), datetime(2024, 1, 8, tzinfo=UTC))
    house = Warehouse.from_settings(settings)
    with work() as w:
        for piece in history.pieces(w):
            history.load(w, **piece)
        with house.begin() as connection:
            assert not loads.covered(connection, "bars", whole)
        history.mark_whole(w)
    with house.begin() as connection:
        assert all(loads.covered(connection, dataset, whole) for dataset in ("bars", "documents", "indicators"))
        rows, bars = (connection.exec_driver_sql(query).scalar_one() for query in (
            "SELECT rows FROM ai_trading.loads WHERE dataset = 'bars'", "SELECT count(*) FROM ai_trading.bars"))
    assert rows == bars > 0
