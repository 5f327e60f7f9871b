"""The binary stream against plain INSERTs of the same values, by the server's own comparison."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Double, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from pipelines.contracts.columns import Kind
from pipelines.errors import ContractError, StoreError
from pipelines.store import Warehouse, binary, facts, frames
from tests.unit.store.test_asof import frame

COLUMNS = [Column("a_text", Text), Column("a_float", Double), Column("an_int", Integer), Column("b_text", Text),
           Column("a_big", BigInteger), Column("a_bool", Boolean), Column("a_time", DateTime(timezone=True)),
           Column("a_json", JSONB), Column("always", Double, nullable=False)]
TABLE = Table("all_types", MetaData(), *COLUMNS)
DEFINITION = ("a_text text, a_float float8, an_int int4, b_text text, a_big int8, a_bool bool, a_time timestamptz, "
              "a_json jsonb, always float8 NOT NULL")

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
times = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))
cells = st.tuples(
    *(st.none() | some for some in (
        texts, st.floats(allow_nan=False), st.integers(-2**31, 2**31 - 1), texts, st.integers(-2**63, 2**63 - 1),
        st.booleans(), times, st.dictionaries(st.sampled_from("ab"), st.integers(0, 9) | texts, max_size=2))),
    st.floats(allow_nan=False))


def table_of(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    made = pd.DataFrame({column.name: pd.Series([row[at] for row in rows], dtype=object)
                         for at, column in enumerate(COLUMNS)})
    whole = {"an_int": "Int64", "a_big": "Int64", "a_bool": "boolean", "a_float": float, "always": float,
             "a_time": "datetime64[us, UTC]"}
    return made.astype(whole)


@hypothesis_settings(max_examples=40)
@given(rows=st.lists(cells, max_size=9), batch=st.integers(1, 4))
def test_the_stream_says_what_inserts_say(shared_warehouse: Warehouse, rows: list[tuple[object, ...]],
                                          batch: int) -> None:
    arrow = frames.to_arrow(table_of(rows), COLUMNS)
    with pytest.MonkeyPatch.context() as patch, shared_warehouse.begin() as connection:
        patch.setattr(binary, "_BATCH", batch)
        frames.run(connection, f"CREATE TEMP TABLE streamed ({DEFINITION}) ON COMMIT DROP")
        frames.run(connection, f"CREATE TEMP TABLE inserted ({DEFINITION}) ON COMMIT DROP")
        frames.copy(connection, "streamed", arrow, COLUMNS)
        for row in rows:
            values = [frames.json_text(cell) if isinstance(cell, dict) else cell for cell in row]
            connection.exec_driver_sql(f"INSERT INTO inserted VALUES ({', '.join(['%s'] * len(values))})",
                                       tuple(values))
        for one, other in (("streamed", "inserted"), ("inserted", "streamed")):
            assert frames.run(connection, f"SELECT * FROM {one} EXCEPT ALL SELECT * FROM {other}").all() == []


def test_signs_and_infinities_survive(shared_warehouse: Warehouse) -> None:
    values = [-0.0, math.inf, -math.inf, 5e-324, 0.1]
    rows = frames.to_arrow(pd.DataFrame({"always": values}), [TABLE.c.always])
    with shared_warehouse.begin() as connection:
        frames.run(connection, "CREATE TEMP TABLE signs (always float8) ON COMMIT DROP")
        frames.copy(connection, "signs", rows, [TABLE.c.always])
        back = frames.run(connection, "SELECT always FROM signs").scalars().all()
    assert [value.hex() for value in back] == [value.hex() for value in values]


def test_long_texts_and_many_batches(warehouse: Warehouse) -> None:
    when = pd.Timestamp("2024-03-01T05:00Z").as_unit("us")
    count = 2 * binary._BATCH + 1
    documents = pd.DataFrame({"source": "s", "doc_id": [str(number) for number in range(count)], "event_time": when,
                              "available_at": when, "kind": "post", "text": ["x" * (number % 40) for number in
                                                                            range(count)]})
    documents.loc[7, "text"] = "long ü " * 100_000
    assert facts.write(warehouse, Kind.DOCUMENTS, documents).inserted == count
    with warehouse.begin() as connection:
        assert connection.exec_driver_sql("SELECT sum(length(text)) FROM documents").scalar_one() \
            == documents["text"].str.len().sum()


def test_numbers_beyond_their_column_are_refused_by_name() -> None:
    with pytest.raises(ContractError, match=r"all_types\.an_int cannot be read"):
        frames.to_arrow(pd.DataFrame({"an_int": [2**31]}), [TABLE.c.an_int])
    assert frames.to_arrow(pd.DataFrame({"a_big": [2**31]}), [TABLE.c.a_big])["a_big"].to_pylist() == [2**31]


def test_a_time_before_the_servers_first_is_refused(warehouse: Warehouse) -> None:
    far = frame([(0, 1, 5.0)]).assign(available_at=pd.Series([1 - 2**63]).astype("datetime64[us, UTC]"))
    with pytest.raises(StoreError, match="out of range"):
        facts.write(warehouse, Kind.BARS, far)


numbers = st.tuples(st.floats(allow_nan=True), st.integers(-2**31, 2**31 - 1), st.integers(-2**63, 2**63 - 1), times)
FIELDS = {name: next(column.type for column in COLUMNS if column.name == name)
          for name in ("a_float", "an_int", "a_big", "a_time")}


@hypothesis_settings(max_examples=30)
@given(rows=st.lists(numbers, max_size=9))
def test_numbers_come_back_to_the_bit(shared_warehouse: Warehouse,
                                      rows: list[tuple[float, int, int, datetime]]) -> None:
    with shared_warehouse.begin() as connection:
        frames.run(connection, f"CREATE TEMP TABLE numbers (place int4, {DEFINITION}) ON COMMIT DROP")
        for place, row in enumerate(rows):
            connection.exec_driver_sql("INSERT INTO numbers (place, a_float, an_int, a_big, a_time, always) "
                                       "VALUES (%s, %s::text::float8, %s, %s, %s, 0)",
                                       (place, repr(row[0]), *row[1:]))  # a literal -0.0 would lose its sign
        found = binary.fetch(connection, f"SELECT {', '.join(FIELDS)} FROM numbers WHERE place < %(end)s "
                                         "ORDER BY place", {"end": 99}, FIELDS)
    assert [found.dtype[name].str for name in FIELDS] == ["<f8", "<i4", "<i8", "<i8"]
    expected = np.array([row[0] for row in rows], dtype=np.float64)
    there = ~np.isnan(expected)
    assert (np.isnan(found["a_float"]) == ~there).all()
    assert found["a_float"][there].tobytes() == expected[there].tobytes()
    since = datetime(1970, 1, 1, tzinfo=UTC)
    assert [tuple(row)[1:] for row in found.tolist()] == [
        (whole, large, (at - since) // timedelta(microseconds=1)) for _, whole, large, at in rows]


@pytest.mark.parametrize("value", ["NULL::float8", "1::float4", "'1'::text"])
def test_what_has_no_single_width_is_refused(shared_warehouse: Warehouse, value: str) -> None:
    with shared_warehouse.begin() as connection, pytest.raises(StoreError, match="sent a_float with an empty value"):
        binary.fetch(connection, f"SELECT {value} UNION ALL SELECT {value}", {}, {"a_float": FIELDS["a_float"]})
