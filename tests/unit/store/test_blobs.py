"""Bytes beside the snapshots: whole or not there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pipelines.errors import StoreUnavailable
from pipelines.store import Warehouse, blobs

KEY = "ab" * 32


def place(root: Path) -> Warehouse:
    return cast(Warehouse, SimpleNamespace(snapshot_root=str(root)))


def test_what_is_put_is_got(tmp_path: Path) -> None:
    warehouse = place(tmp_path)
    assert blobs.get(warehouse, "learnt", KEY) is None
    blobs.put(warehouse, "learnt", KEY, b"one")
    blobs.put(warehouse, "learnt", KEY, b"two")
    assert blobs.get(warehouse, "learnt", KEY) == b"two"
    assert blobs.get(warehouse, "other", KEY) is None
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [KEY]


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 40])
def test_what_is_damaged_is_not_there(tmp_path: Path, damage: bytes) -> None:
    warehouse = place(tmp_path)
    blobs.put(warehouse, "learnt", KEY, b"content")
    (tmp_path / "learnt" / "ab" / KEY).write_bytes(damage)
    assert blobs.get(warehouse, "learnt", KEY) is None
    blobs.put(warehouse, "learnt", KEY, b"")
    assert blobs.get(warehouse, "learnt", KEY) == b""


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "learnt").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="cannot write"):
        blobs.put(place(tmp_path), "learnt", KEY, b"content")
