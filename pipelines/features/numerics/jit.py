"""Compiled functions, wherever the library is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """``function`` compiled at its first call for the types it is called with, one thread, strict IEEE 754 (no
    ``fastmath``: nothing may be added up in another order).

    The machine code is kept beside the source or, where that cannot be written, in the user's cache directory
    (``NUMBA_CACHE_DIR`` names another), so that a new or forked process loads it in milliseconds. Where there is no
    such place either (a read-only image without a home) each process compiles for itself.
    """
    try:
        compiled: Any = njit(cache=True, error_model="numpy")(function)
    except RuntimeError:  # numba: "cannot cache function: no locator available"
        compiled = njit(error_model="numpy")(function)
    return compiled  # type: ignore[no-any-return]
