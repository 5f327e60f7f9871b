"""Rows of one batch that name the same fact."""

from __future__ import annotations

import json
from collections.abc import Hashable

import pandas as pd

from pipelines.contracts.columns import FactSchema


def settle(rows: pd.DataFrame, schema: FactSchema) -> tuple[list[int], int, dict[int, str]]:
    """Decide which deliveries of a fact are kept.

    A delivery with the values of the one before it (by ``available_at``, then position) adds nothing and collapses
    into it. One with other values is a revision, unless it claims the same ``available_at``: then nobody can say
    which was known, and it is refused.

    Args:
        rows: checked rows; the index is the position in the batch.

    Returns:
        the kept index labels in order, how many collapsed, and for each refused label the reason.
    """
    repeated = rows.duplicated(subset=list(schema.key), keep=False)
    if not repeated.any():
        return list(rows.index), 0, {}
    dropped: set[int] = set()
    conflicts: dict[int, str] = {}
    candidates = rows[repeated].sort_values("available_at", kind="stable")
    values = candidates[list(schema.values)]
    last: dict[tuple[Hashable, ...], tuple[object, tuple[Hashable, ...]]] = {}
    keys = candidates[list(schema.key)].itertuples(index=False, name=None)
    for label, key, known, row in zip(candidates.index, keys, candidates["available_at"],
                                      values.itertuples(index=False, name=None), strict=True):
        content = tuple(_comparable(value) for value in row)
        before = last.get(key)
        if before is not None and before[1] == content:
            dropped.add(label)
        elif before is not None and before[0] == known:
            conflicts[label] = ("a different row of the same fact claims the same available_at; "
                                "state a winner (duplicates = \"first\" or \"last\") or give them different times")
        else:
            last[key] = (known, content)
    kept = [label for label in rows.index if label not in dropped and label not in conflicts]
    return kept, len(dropped), conflicts


def _comparable(value: object) -> Hashable:
    """Values that the warehouse would store as the same compare equal; NaN is a missing value."""
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, default=str)
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return None
    return value if isinstance(value, Hashable) else str(value)
