"""What fits on the same rows can share: kept for a while, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

#: Most bytes that a training keeps of binned folds (a byte a cell): a hundred folds of 50 symbols over a month with 100
#: features. What does not fit is made anew each time: the same, only later.
LIMIT = 512 * 2**20


class Kept:
    """Results by key; the one that was used longest ago goes first when ``limit`` bytes are passed. For one thread."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit, self._bytes = limit, 0
        self._found: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Any], size: int) -> Any:
        """What ``make`` gave for this key before, or gives now; ``size`` in bytes, about, unless it knows its own."""
        if key in self._found:
            self._found.move_to_end(key)
            return self._found[key][0]
        made = make()
        size = int(getattr(made, "nbytes", size))
        if size <= self._limit:
            self._found[key] = (made, size)
            self._bytes += size
            while self._bytes > self._limit:
                _, (_, freed) = self._found.popitem(last=False)
                self._bytes -= freed
        return made

    def __len__(self) -> int:
        return len(self._found)
