"""Bytes beside the snapshots: whole or not there."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from pipelines.errors import StoreUnavailable
from pipelines.store import Warehouse, blobs, columns

KEY = "ab" * 32
AT = datetime(2024, 5, 1, tzinfo=UTC)


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


@pytest.mark.parametrize("kind", ["learnt", columns.KIND])
def test_the_old_ones_are_dropped_and_only_of_their_kind(tmp_path: Path, kind: str) -> None:
    warehouse = place(tmp_path)
    assert blobs.prune(warehouse, kind, AT) == 0
    for number in range(3):
        blobs.put(warehouse, "learnt", f"{number:064x}", b"content")
        columns.put(warehouse, f"day{number}", {"a": np.zeros(2)})
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    of_kind = [file for file in files if kind in file.parts]
    assert (len(of_kind), len(files)) == (3, 6)
    for group in (of_kind, [file for file in files if file not in of_kind]):
        for number, file in enumerate(group):
            os.utime(file, times=(written := (AT + timedelta(days=number)).timestamp(), written))
    assert blobs.prune(warehouse, kind, AT + timedelta(days=2)) == 2
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == [
        file for file in files if file not in of_kind[:2]]
    assert blobs.prune(warehouse, kind, AT + timedelta(days=2)) == 0
