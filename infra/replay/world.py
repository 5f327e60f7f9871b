"""The facts that the server tells, and what the faults make of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.ports import Provider
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError

ONE_IN = 11
#: With a clock, after this time a feed has noticed what was wrong with a fact and tells it well.
HEALED = pd.Timedelta(days=1)
HOSTILE = ("'; DROP TABLE bars; -- <script>alert(1)</script> \u202e\u0000 {{7*7}} %s %n "
           "\U0001f468\u200d\U0001f469\u200d\U0001f467 Z\u0335\u0321a\u0337l\u0336g\u0334o ]]> &lt;b&gt;")
HUGE = "to the moon " * 12_000


@dataclass
class World:
    """Facts by kind (columns of the contract).

    Attributes:
        phase: 0: late rows are not there yet and revised ones have their first, wrong value; 1: all is as it is.
        upto: the time on the server's clock: of every fact the newest version that was out before it, and faults strike
            what came out in the last day only (``HEALED``); None: all versions of everything.
    """

    frames: Mapping[Kind, pd.DataFrame]
    faults: frozenset[str] = frozenset()
    phase: int = 1
    upto: pd.Timestamp | None = None
    _marks: dict[Kind, pd.Series] = field(default_factory=dict)
    _made: dict[tuple[object, ...], Any] = field(default_factory=dict)

    @classmethod
    def of(cls, provider: Provider, window: Window | None = None, faults: frozenset[str] = frozenset()) -> World:
        """Everything that a provider (the simulator, a directory of files) has.

        Raises:
            ConfigError: neither the caller nor the provider says for which window.
        """
        window = window or provider.span()
        if window is None:
            raise ConfigError(f"{provider.name} does not know its span; say from when to when")
        return cls(provider.fetch(window, provider.kinds()).frames, faults)

    def published(self) -> World:
        """The same, told by servers that know when they published a text and not when its author wrote it."""
        frame = self.frames.get(Kind.DOCUMENTS)
        if frame is None:
            return self
        out = frame.groupby(["source", "doc_id"], sort=False)["available_at"].transform("min")
        return replace(self, frames={**self.frames, Kind.DOCUMENTS: frame.assign(event_time=out)}, _marks={}, _made={})

    def turn_to(self, upto: pd.Timestamp | None) -> None:
        """Set the clock. What was made for another time is forgotten."""
        if upto != self.upto:
            self.upto = upto
            self._made.clear()

    def rows(self, kind: Kind) -> pd.DataFrame:
        """What can be seen of a kind now, by ``event_time``."""
        frame = self.frames.get(kind)
        if frame is None:
            return pd.DataFrame({name: pd.Series(dtype=object) for name in SCHEMAS[kind].columns})
        frame = frame.reindex(columns=list(SCHEMAS[kind].columns))
        if kind not in self._marks:
            self._marks[kind] = pd.Series(
                [zlib.crc32("|".join(map(str, key)).encode()) % ONE_IN
                 for key in frame[list(SCHEMAS[kind].key)].itertuples(index=False)], index=frame.index)
        return self.once(kind.value, lambda: self._visible(kind, frame))

    def _visible(self, kind: Kind, frame: pd.DataFrame) -> pd.DataFrame:
        marks = self._marks[kind]
        if self.upto is None:
            frame = self._spoiled(kind, frame, marks, self.phase)
        else:
            out = frame[frame["available_at"] < self.upto].sort_values("available_at", kind="stable")
            out = out.drop_duplicates(list(SCHEMAS[kind].key), keep="last")
            young = out["available_at"] >= self.upto - HEALED
            frame = pd.concat([out[~young], self._spoiled(kind, out[young], marks.loc[out.index[young]], phase=0)])
        return frame.sort_values("event_time", kind="stable", ignore_index=True)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What ``make()`` gives, made once as long as nothing of what can be seen changes."""
        key = (name, self.phase, self.faults, self.upto)
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def struck(self, kind: Kind, fault: str) -> pd.DataFrame:
        """The true rows that a fault strikes, for tests."""
        self.rows(kind)
        return self.frames[kind][self._marks[kind] == _PLACE[fault]]

    def _spoiled(self, kind: Kind, frame: pd.DataFrame, marks: pd.Series, phase: int) -> pd.DataFrame:
        def hit(fault: str) -> pd.Series:
            return (marks == _PLACE[fault]) & (fault in self.faults)

        value = {Kind.BARS: "close", Kind.INDICATORS: "value", Kind.DOCUMENTS: "text"}.get(kind)
        doubled = frame[hit("duplicate")]
        if value is not None:
            frame = frame.assign(**{value: frame[value].astype(object)})
            if kind is Kind.DOCUMENTS:
                for fault, text in (("hostile", HOSTILE), ("huge", HUGE), ("nan", None)):
                    frame.loc[hit(fault), value] = text
                if phase == 0:
                    frame.loc[hit("revised"), value] = "first words, to be edited"
            else:
                frame.loc[hit("nan"), value] = float("nan")
                frame.loc[hit("huge"), value] = 1e300
                frame.loc[hit("hostile"), value] = HOSTILE
                if phase == 0 and kind is Kind.BARS:
                    frame.loc[hit("revised"), value] = frame.loc[hit("revised"), "low"]
                elif phase == 0:
                    frame.loc[hit("revised"), value] = frame.loc[hit("revised"), value].astype(float) + 1
        if phase == 0:
            frame = frame[~hit("late")]
        return pd.concat([frame, doubled]) if len(doubled) else frame


#: Which eleventh of the rows a fault strikes, so that no two meet.
_PLACE = {name: place for place, name in enumerate(("duplicate", "late", "revised", "nan", "huge", "hostile"))}
