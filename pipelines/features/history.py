"""Trades as features may see them: what earlier ones brought, once it was known. Feature groups read trades here and
nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.features.declare import Rows
from pipelines.store import asof

#: As ``asof.trade_log`` gives them.
Versions = np.ndarray[Any, Any]


def log(rows: Rows, *, markets: Sequence[str], sources: Sequence[str]) -> Versions:
    """Every version, known at ``rows.as_of``, of every trade of whatever market, in the order of ``known``: when this
    version was known, for an outcome not before the closing. What earlier trades of other markets brought is known to
    whoever decides, so nothing here depends on which rows are being built.

    Args:
        markets, sources: what ``market`` and ``source`` number; others are -1.
    """
    with rows.warehouse.begin() as connection:
        return asof.trade_log(connection, markets=markets, sources=sources, as_of=rows.as_of.to_pydatetime())
