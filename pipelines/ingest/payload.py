"""Rows as JSON for quarantine, and back as rows for a replay.

JSON knows no times, no infinities, no NUL and no half surrogates (PostgreSQL refuses the last two even when escaped),
so those are written as text that shows them. Not a number becomes null.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def payload(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row as JSON-safe values."""
    return {str(name): _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return payload(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, bool | int) or value is None:
        return value
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return None if math.isnan(value) else value if math.isfinite(value) else str(value)
    return printable(str(value))


def printable(text: str) -> str:
    """The text with NUL and half surrogates written as escapes such as ``\\u0000``."""
    return _UNSTORABLE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
