"""What can go wrong on the way: faults of the wire (of one answer) and of the facts (of some rows).

``429,500,nan``: each wire fault strikes in turn, every third request (``every``), so that a second try goes through;
``500!`` strikes always. Faults of facts strike one row in eleven, always the same ones.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field

from pipelines.errors import ConfigError

WIRE = ("429", "500", "stall", "cut", "truncate")
FACTS = ("duplicate", "late", "revised", "reordered", "zone", "nan", "huge", "hostile")
EVERY = 3


@dataclass
class Faults:
    """The faults that are on. ``struck`` counts those of the wire."""

    wire: tuple[str, ...] = ()
    facts: frozenset[str] = frozenset()
    always: bool = False
    every: int = EVERY
    struck: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._requests = itertools.count()
        self._turns = itertools.cycle(self.wire) if self.wire else None
        self._lock = threading.Lock()

    @classmethod
    def parse(cls, text: str, every: int = EVERY) -> Faults:
        """Raises ConfigError: an unknown fault."""
        names = [name.strip() for name in text.split(",") if name.strip()]
        bare = [name.removesuffix("!") for name in names]
        if unknown := sorted(set(bare) - {*WIRE, *FACTS}):
            raise ConfigError(f"no fault {', '.join(unknown)}; there are {', '.join((*WIRE, *FACTS))}")
        return cls(tuple(name for name in bare if name in WIRE), frozenset(bare) & frozenset(FACTS),
                   any(name.endswith("!") for name in names), every)

    def next(self) -> str | None:
        """The fault of the next answer."""
        if self._turns is None:
            return None
        with self._lock:
            if not self.always and next(self._requests) % self.every:
                return None
            name = next(self._turns)
            self.struck[name] = self.struck.get(name, 0) + 1
            return name
