"""What goes into quarantine can be stored as JSON by PostgreSQL and still be read by a person."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ingest.payload import payload, printable


@pytest.mark.parametrize(("value", "expected"), [
    (1, 1), (np.int64(5), 5), (np.float64(1.5), 1.5), (True, True), (np.bool_(True), True), ("x", "x"), (None, None),
    (float("nan"), None), (pd.NaT, None), (pd.NA, None), (float("inf"), "inf"), (-np.inf, "-inf"),
    (pd.Timestamp("2024-01-01", tz="UTC"), "2024-01-01T00:00:00+00:00"),
    (datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00+00:00"),
    ("a\x00b", "a\\u0000b"), ("\ud83d", "\\ud83d"), (b"\xffa", "\\xffa"),
    ({"a": [1, float("nan"), (2,)]}, {"a": [1, None, [2]]}), (1 + 2j, "(1+2j)"),
])
def test_values(value, expected):
    assert payload({"v": value}) == {"v": expected}


SINGLE = (st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=5)
          | st.text(st.characters(codec=None), max_size=8))


@given(st.recursive(SINGLE, lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(max_size=3), inner, max_size=3)))
def test_anything_becomes_strict_json(value):
    text = json.dumps(payload({"v": value}), allow_nan=False, ensure_ascii=False)
    text.encode("utf-8")
    assert "\x00" not in text


def test_emoji_survive():
    assert printable("to the 🚀") == "to the 🚀"
