"""Snapshots: content in, the same content out, or a refusal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines.errors import ContractError, IntegrityError, StoreError, StoreUnavailable
from pipelines.store import Warehouse, snapshots
from pipelines.store.digest import canonical, digest

DAY = datetime(2024, 5, 1, tzinfo=UTC)
NEXT = DAY + timedelta(days=1)


def frame(rows: int = 5, **columns: object) -> pd.DataFrame:
    times = pd.date_range(DAY, periods=rows, freq="h").as_unit("us")
    return pd.DataFrame({"symbol": "BTC", "event_time": times, "x": np.arange(rows) / 3, "n": np.arange(rows),
                         "flag": np.arange(rows) % 2 == 0, **columns})


def put(warehouse: Warehouse, rows: pd.DataFrame, start: datetime = DAY) -> snapshots.SnapshotRef:
    return snapshots.put(warehouse, rows, kind="partition", line="direction_1h", start=start,
                         end=start + timedelta(days=1))


def files(warehouse: Warehouse) -> list[Path]:
    return sorted(path for path in Path(warehouse.snapshot_root).rglob("*") if path.is_file())


def test_what_goes_in_comes_out(warehouse: Warehouse) -> None:
    rows = frame(x=[0.1, np.nan, -0.0, 1e300, 5e-324], text=["a", None, "", "ü\n", "z"])
    ref = put(warehouse, rows)
    read = snapshots.get(warehouse, ref.digest)
    pd.testing.assert_frame_equal(read, rows, check_exact=True)
    assert np.signbit(read["x"][2])
    assert (ref.rows, ref.kind, ref.line, ref.start, ref.end) == (5, "partition", "direction_1h", DAY, NEXT)
    assert snapshots.find(warehouse, kind="partition", line="direction_1h", start=DAY, end=NEXT) == ref
    assert snapshots.find(warehouse, kind="training", line="direction_1h", start=DAY, end=NEXT) is None


def test_the_same_content_is_one_file_written_once(warehouse: Warehouse) -> None:
    first = put(warehouse, frame())
    written = files(warehouse)[0].stat()
    assert put(warehouse, frame()) == first
    elsewhere = put(warehouse, frame(), NEXT)
    assert elsewhere.digest == first.digest
    assert [path.name for path in files(warehouse)] == [f"{first.digest}.parquet"]
    assert files(warehouse)[0].stat().st_mtime_ns == written.st_mtime_ns
    assert files(warehouse)[0].stat().st_ino == written.st_ino


def test_the_latest_content_of_a_window_is_found(warehouse: Warehouse) -> None:
    a, b, empty = frame(), frame(4), frame(0)
    for rows in (a, b, a, empty, a):
        ref = put(warehouse, rows)
        assert snapshots.find(warehouse, kind="partition", line="direction_1h", start=DAY, end=NEXT) == ref
    later = put(warehouse, b, NEXT)
    found = snapshots.between(warehouse, kind="partition", line="direction_1h", start=DAY, end=NEXT + timedelta(days=1))
    assert found == [ref, later]
    assert snapshots.between(warehouse, kind="partition", line="direction_1h", start=DAY, end=NEXT) == [ref]


def test_a_changed_file_is_noticed(warehouse: Warehouse) -> None:
    ref = put(warehouse, frame())
    path = files(warehouse)[0]
    table = pq.read_table(path)
    for tampered in (lambda: pq.write_table(table.slice(1), path), lambda: path.write_bytes(b"PAR1 nonsense PAR1"),
                     lambda: path.write_bytes(path.read_bytes()[:-9])):
        tampered()
        with pytest.raises(IntegrityError, match="does not hold the content of its digest"):
            snapshots.get(warehouse, ref.digest)
    path.unlink()
    with pytest.raises(IntegrityError, match="is neither at"):
        snapshots.get(warehouse, ref.digest)
    put(warehouse, frame())  # the content says what the file has to be
    assert len(snapshots.get(warehouse, ref.digest)) == 5


def test_another_writer_version_is_the_same_content(warehouse: Warehouse) -> None:
    ref = put(warehouse, frame())
    path = files(warehouse)[0]
    pq.write_table(pq.read_table(path), path, compression="gzip", use_dictionary=False, version="1.0")
    assert len(snapshots.get(warehouse, ref.digest)) == 5


def test_a_moved_root_and_a_url_are_found(warehouse: Warehouse, tmp_path: Path) -> None:
    ref = put(warehouse, frame())
    (tmp_path / "snapshots").rename(tmp_path / "moved")
    warehouse.snapshot_root = (tmp_path / "moved").as_uri()
    assert len(snapshots.get(warehouse, ref.digest)) == 5
    warehouse.snapshot_root = "memory://snapshots"  # any file system of fsspec
    other = put(warehouse, frame(3))
    assert len(snapshots.get(warehouse, other.digest)) == 3
    assert other.uri.startswith("memory://")


def test_unknown_digests_and_places_are_refused(warehouse: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no snapshot 000000000000"):
        snapshots.get(warehouse, "0" * 64)
    (tmp_path / "file").write_text("in the way")
    warehouse.snapshot_root = str(tmp_path / "file")
    with pytest.raises(StoreUnavailable, match="cannot write the snapshot"):
        put(warehouse, frame())


@pytest.mark.parametrize(("rows", "words"), [
    (frame(event_time=pd.date_range("2024", periods=5)), "zoned times"),
    (frame(x=[{}] * 5), "'x' is struct"),
    (frame(x=[1, "a", 2, 3, 4]), "'x' cannot be stored"),
    (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns"),
])
def test_columns_that_cannot_be_kept_are_refused(rows: pd.DataFrame, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        canonical(rows)


def test_the_digest_is_fixed_for_ever() -> None:
    """Changing it would orphan every stored snapshot: it may only change together with its prefix."""
    assert digest(canonical(frame(3))) == "d803dc6260eff287972ca9a756acdf85841ec7fcdafa76daed0afc65cb08a58e"
    assert digest(canonical(frame(0))) == "cd3ac1c73844626deeeb889c1d45cc6ec296e5d871b1caa7accdbea5dc507bf3"


def test_the_digest_sees_content_only() -> None:
    base = digest(canonical(frame()))
    same = [frame().set_index(np.arange(5)[::-1]), frame().astype({"symbol": "category"}),
            frame().astype({"n": "int16"}), frame().astype({"event_time": "datetime64[ns, UTC]"}),
            frame().assign(event_time=frame()["event_time"].dt.tz_convert("Asia/Tokyo"))]
    assert [digest(canonical(rows)) for rows in same] == [base] * len(same)
    other = [frame(4), frame().rename(columns={"x": "y"}), frame()[["event_time", "symbol", "x", "n", "flag"]],
             frame().iloc[::-1], frame().astype({"n": "float64"}), frame(x=[np.nan, 1 / 3, 2 / 3, 1.0, 4 / 3]),
             frame(symbol=["B", "TC", "BTC", "BTC", "BTCBTC"])]
    assert base not in {digest(canonical(rows)) for rows in other}


@hypothesis_settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(), st.one_of(st.none(), st.text(st.characters(codec="utf-8")))), max_size=6),
       st.lists(st.tuples(st.floats(), st.one_of(st.none(), st.text(st.characters(codec="utf-8")))), max_size=6))
def test_equal_digests_mean_equal_rows(one: list, other: list) -> None:
    def table(rows: list) -> pd.DataFrame:
        return pd.DataFrame({"x": pd.Series([row[0] for row in rows], dtype=float),
                             "t": pd.Series([row[1] for row in rows], dtype="str")})

    def bits(rows: list) -> list:
        return [("NaN" if x != x else np.float64(x).tobytes(), text) for x, text in rows]

    assert (digest(canonical(table(one))) == digest(canonical(table(other)))) == (bits(one) == bits(other))
