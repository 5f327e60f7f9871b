"""Columns that are kept so that they need not be made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.store import Warehouse, columns


@pytest.fixture
def place(tmp_path: Path) -> Warehouse:
    """Nothing here asks the database."""
    return Warehouse("postgresql+psycopg2://nobody@127.0.0.1:1/none", str(tmp_path))


def test_they_keep_their_bits(place: Warehouse) -> None:
    odd = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1 / 3])
    columns.put(place, "here", {"a": odd})
    columns.put(place, "here", {"b": -odd})
    found = columns.get(place, "here", ["a", "b", "c"], 7)
    assert {name: value.tobytes() for name, value in found.items()} == {"a": odd.tobytes(), "b": (-odd).tobytes()}
    assert columns.get(place, "here", ["a"], 6) == {}
    assert columns.get(place, "elsewhere", ["a"], 7) == {}


def test_nothing_is_no_file_and_no_rows_are_rows(place: Warehouse) -> None:
    columns.put(place, "here", {})
    assert columns.get(place, "here", ["a"], 0) == {}
    columns.put(place, "here", {"a": np.empty(0)})
    assert columns.get(place, "here", ["a"], 0)["a"].shape == (0,)
