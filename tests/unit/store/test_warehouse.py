"""The handle, the errors at the door, upserts and the reader of derived tables."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import exc

from pipelines import config
from pipelines.contracts.columns import Kind
from pipelines.contracts.records import Candidate
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError, ContractError, StoreError, StoreUnavailable
from pipelines.store import Warehouse, derived, facts, frames, ledger, loads, tables, upsert
from pipelines.store.faults import translated
from tests.unit.store.test_asof import frame

AT = datetime(2024, 5, 1, tzinfo=UTC)


def aggregates(hours: int, mean: float = 0.1, symbol: str = "BTC") -> pd.DataFrame:
    at = pd.date_range(AT, periods=hours, freq="h").as_unit("us")
    return pd.DataFrame({"symbol": symbol, "window": "1h", "at": at, "available_at": at,
                         "documents": np.arange(hours), "mean": mean, "dispersion": np.nan, "bullish": 1, "bearish": 2,
                         "neutral": 3})


def predictions(hours: int, probability: float = 0.5, version: int = 1) -> pd.DataFrame:
    at = pd.date_range(AT, periods=hours, freq="h").as_unit("us")
    return pd.DataFrame({"line": "direction_1h", "version": version, "symbol": "BTC", "event_time": at,
                         "role": "champion", "available_at": at + pd.Timedelta("1h"),
                         "label_end": at + pd.Timedelta("2h"), "probability": probability, "feature_digest": "x"})


def register(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        ledger.add_candidate(connection, Candidate("direction_1h", 1, "r", "f", AT, AT, "s", "e", 1), at=AT)


@pytest.mark.parametrize(("table", "make"), [
    (tables.sentiment_aggregates, aggregates), (tables.predictions, predictions)])
def test_upsert_counts_what_it_did(warehouse: Warehouse, table, make) -> None:
    register(warehouse)
    with warehouse.begin() as connection:
        assert upsert.upsert(connection, table, make(10)) == (10, 0)
        assert upsert.upsert(connection, table, make(10)) == (0, 0)
        changed = make(12, 0.25)
        assert upsert.upsert(connection, table, changed, update=False) == (2, 0)
        assert upsert.upsert(connection, table, changed) == (0, 10)
        assert upsert.upsert(connection, table, changed.iloc[:0]) == (0, 0)
        pd.testing.assert_frame_equal(derived.read(connection, table)[list(changed.columns)], changed)


def test_writers_of_the_same_rows_do_not_block_each_other(warehouse: Warehouse) -> None:
    def write(number: int) -> tuple[int, int]:
        shuffled = aggregates(300, float(number)).sample(frac=1, random_state=number)
        with warehouse.begin() as connection:
            return upsert.upsert(connection, tables.sentiment_aggregates, shuffled)

    with ThreadPoolExecutor(6) as pool:
        assert sum(sum(counts) for counts in pool.map(write, range(6))) == 6 * 300
    assert derived.read(warehouse, tables.sentiment_aggregates)["mean"].nunique() == 1


def test_facts_written_by_many_at_once_are_there_once(warehouse: Warehouse) -> None:
    rows = frame([(bar, 1, float(bar)) for bar in range(12)])
    with ThreadPoolExecutor(6) as pool:
        counts = sum(pool.map(lambda _: facts.write(warehouse, Kind.BARS, rows).inserted, range(12)))
    assert counts == 12
    with warehouse.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM bars").scalar_one() == 12


def test_predictions_after_the_outcome_are_refused(warehouse: Warehouse) -> None:
    register(warehouse)
    late = predictions(1).assign(available_at=lambda rows: rows["label_end"])
    with pytest.raises(StoreError, match="predictions_before_outcome"), warehouse.begin() as connection:
        upsert.upsert(connection, tables.predictions, late)
    with pytest.raises(StoreError, match="foreign key"), warehouse.begin() as connection:
        upsert.upsert(connection, tables.predictions, predictions(1, version=7))


def test_frames_that_do_not_fit_are_refused(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        for wrong, words in ((aggregates(2).assign(colour=1), "unknown columns \\['colour'\\]"),
                             (aggregates(2).drop(columns="at"), "lacks one of"),
                             (pd.concat([aggregates(2), aggregates(1)]), "1 keys come twice")):
            with pytest.raises(ContractError, match=words):
                upsert.upsert(connection, tables.sentiment_aggregates, wrong)


def test_derived_tables_are_read_by_filter_range_and_order(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        for symbol in ("BTC", "ETH", "*"):
            upsert.upsert(connection, tables.sentiment_aggregates, aggregates(5, symbol=symbol))

    def read(**how) -> list[tuple[str, int]]:
        rows = derived.read(warehouse, tables.sentiment_aggregates, columns=["symbol", "documents"], by="at", **how)
        return list(rows.itertuples(index=False, name=None))

    hour = timedelta(hours=1)
    assert read(where={"symbol": ["ETH", "*"]}, start=AT + hour, end=AT + 3 * hour) == [
        ("*", 1), ("*", 2), ("ETH", 1), ("ETH", 2)]
    assert read(where={"symbol": "BTC"}, as_of=AT + hour) == [("BTC", 0), ("BTC", 1)]
    assert read(where={"dispersion": None}, order=["-documents", "symbol"], limit=2) == [("*", 4), ("BTC", 4)]
    with pytest.raises(ContractError, match="no columns \\['colour'\\]"):
        read(where={"colour": 1})
    with pytest.raises(ContractError, match=r"store\.asof\.read"):
        derived.read(warehouse, tables.bars)


def test_loads_cover_what_was_marked(warehouse: Warehouse) -> None:
    def window(first: int, last: int) -> Window:
        return Window(AT + timedelta(days=first), AT + timedelta(days=last))

    with warehouse.begin() as connection:
        for marked in ((0, 1), (1, 3), (5, 6), (0, 1)):
            loads.mark(connection, "bars:test", window(*marked), rows=1, digest="x", at=AT)
        expected = {(0, 3): True, (1, 2): True, (0, 4): False, (3, 5): False, (5, 6): True, (2, 6): False}
        assert {cut: loads.covered(connection, "bars:test", window(*cut)) for cut in expected} == expected
        assert not loads.covered(connection, "documents", window(0, 1))
        loads.mark(connection, "bars:test", window(0, 1), rows=2, digest="y", at=AT + timedelta(days=9))
        read = derived.read(connection, tables.loads)
    assert read["rows"].tolist() == [2, 1, 1]
    assert read["loaded_at"].tolist()[1:] == [AT, AT]


def test_a_block_that_fails_leaves_nothing(warehouse: Warehouse) -> None:
    def fail() -> None:
        with warehouse.begin() as connection:
            assert upsert.upsert(connection, tables.sentiment_aggregates, aggregates(3)) == (3, 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert derived.read(warehouse, tables.sentiment_aggregates).empty


def test_errors_of_the_database_are_ours(warehouse: Warehouse, new_database: Callable[..., str]) -> None:
    gone = Warehouse("postgresql+psycopg2://nobody:x@127.0.0.1:1/none", "unused")
    with pytest.raises(StoreUnavailable, match="TIDEMARK_DATABASE_URL") as refusal, gone.begin():
        pass
    assert refusal.value.retryable
    bare = Warehouse(new_database(migrated=False), "unused")
    with pytest.raises(StoreError, match="apply the migrations"):
        derived.read(bare, tables.loads)
    bare.close()
    with pytest.raises(StoreError, match=r"the warehouse refused .*division by zero"), warehouse.begin() as connection:
        connection.exec_driver_sql("SELECT 1/0")
    with pytest.raises(StoreError, match="the warehouse refused \\(syntax"), warehouse.begin() as connection:
        connection.exec_driver_sql("SELEKT")
    with pytest.raises(StoreUnavailable, match="TIDEMARK_POOL_SIZE"), translated():
        raise exc.TimeoutError("QueuePool limit")


def test_a_broken_connection_is_replaced(warehouse: Warehouse) -> None:
    with pytest.raises(StoreUnavailable), warehouse.begin() as connection:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    with warehouse.begin() as connection:
        assert connection.exec_driver_sql("SELECT current_schema()").scalar_one() == "ai_trading"


def test_a_forked_child_makes_its_own_connection(warehouse: Warehouse) -> None:
    def backend() -> int:
        with warehouse.begin() as connection:
            return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())

    mine = backend()
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=lambda: answers.put(backend()))
    child.start()
    assert answers.get(timeout=30) != mine
    child.join(30)
    assert backend() == mine


def test_settings_name_the_warehouse(warehouse: Warehouse, tmp_path) -> None:
    url = warehouse.engine.url.render_as_string(hide_password=False)
    store = Warehouse.from_settings(config.load({"TIDEMARK_HOME": str(tmp_path), "TIDEMARK_DATABASE_URL": url}))
    assert store.snapshot_root == str(tmp_path / "snapshots")
    with store.begin() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
    store.close()
    with pytest.raises(ConfigError, match="TIDEMARK_DATABASE_URL is not set"):
        Warehouse.from_settings(config.load({"TIDEMARK_HOME": str(tmp_path)}))


@pytest.mark.parametrize(("cell", "expected"), [
    (None, None), (np.nan, None), (pd.NA, None), ({"b": 1, "a": np.float64("nan")}, '{"a":null,"b":1}'),
    ([np.int64(1), np.bool_(True), pd.NaT], "[1,true,null]"), ("nul\x00", '"nul�"'),
    ({"t": AT}, f'{{"t":"{AT.isoformat()}"}}'),
    ({1: {2}}, '{"1":[2]}'), (b"x", '"b\'x\'"'), ("\ud800", '"?"'),
])
def test_json_cells_are_canonical(cell: object, expected: str | None) -> None:
    assert frames.json_text(cell) == expected
