"""The value in force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.features.known import in_force


@pytest.mark.parametrize(("event", "known", "at", "expected"), [
    ([], [], [5], [-1]),
    ([1], [3], [2, 3, 4], [-1, 0, 0]),
    ([1, 2, 3], [1, 2, 3], [0, 1, 2, 3, 9], [-1, 0, 1, 2, 2]),
    ([1, 2], [9, 2], [2, 8, 9], [1, 1, 1]),  # the older one came later: it hides nothing
    ([2, 1], [2, 3], [2, 3], [0, 0]),
    ([1, 1], [1, 5], [1, 4, 5], [0, 0, 1]),  # a revision
    ([1, 1], [1, 1], [1], [1]),  # two versions at once: the last one stands
    ([7, 7, 8, 7], [1, 2, 3, 4], [1, 2, 3, 4], [0, 1, 2, 2]),
])
def test_in_force(event: list[int], known: list[int], at: list[int], expected: list[int]) -> None:
    assert in_force(*(np.array(values, dtype=np.int64) for values in (event, known, at))).tolist() == expected


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12),
       st.lists(st.integers(-1, 10), max_size=5))
def test_equals_a_plain_search(values: list[tuple[int, int]], at: list[int]) -> None:
    event, known = (np.array([value[i] for value in values], dtype=np.int64) for i in (0, 1))
    for time, chosen in zip(at, in_force(event, known, np.array(at, dtype=np.int64)), strict=True):
        there = [i for i in range(len(values)) if known[i] <= time]
        assert chosen == (max(there, key=lambda i: (event[i], known[i], i)) if there else -1)
