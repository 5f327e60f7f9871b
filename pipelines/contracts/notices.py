"""What people are told, and what a channel that tells it has to offer. One new file and one line of registration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pipelines.errors import ContractError

#: Longest title and longest line of a body, in characters: causes of failures can be long.
MOST_TITLE, MOST_LINE, MOST_LINES = 150, 600, 400


class Severity(StrEnum):
    """``critical``: harm is being done; ``warning``: somebody should look, or is asked; ``info``: good to know."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


@dataclass(frozen=True)
class Notice:
    """One thing that happened, as it is told to people.

    Attributes:
        kind: ``drift``, ``verdict``, ...: what can be muted, and what is folded together in a storm.
        line: the line it is about; None: the whole system.
        title: one line; body: the rest, plain text, an empty string between paragraphs.
        key: what it is about, unique: a second notice of the same key is never told.
        event_time: when it happened (UTC): data time where there is one, else wall clock.
        link: a page to look at, or nothing.
        brief: instead of the body where there is little room; empty: the body itself.
        html: instead of the body in mail; empty: made from the body.
    """

    kind: str
    line: str | None
    severity: Severity
    title: str
    body: tuple[str, ...]
    key: str
    event_time: datetime
    link: str = ""
    brief: tuple[str, ...] = ()
    html: str = ""

    def __post_init__(self) -> None:
        if self.event_time.tzinfo is None:
            raise ContractError(f"the notice {self.key} has no time zone; give its event_time in UTC")
        object.__setattr__(self, "title", one_line(self.title, MOST_TITLE))
        object.__setattr__(self, "link", self.link if _address(self.link) else "")
        for name in ("body", "brief"):
            object.__setattr__(self, name, tuple(_lines(getattr(self, name))))


class Channel(Protocol):
    """Tells people. Made anew for each round, so it may keep a connection between two notices."""

    name: str

    def send(self, notice: Notice) -> None:
        """Tell it; when this returns, the other side has taken it.

        Raises:
            ChannelUnavailable: not now; it will be tried again.
            ChannelError: refused; the message names the remedy and no secret.
        """
        ...

    def close(self) -> None:
        """Let go of what is open. Never raises."""
        ...


def one_line(text: str, most: int) -> str:
    """A text on one line, without control characters, cut at ``most`` characters."""
    flat = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return flat if len(flat) <= most else f"{flat[:most - 1]}…"


def _lines(body: Iterable[str]) -> list[str]:
    found = [one_line(line, MOST_LINE) if not line.startswith("  ") else f"  {one_line(line, MOST_LINE)}"
             for line in body]
    return found if len(found) <= MOST_LINES else [*found[:MOST_LINES - 1], f"… {len(found) - MOST_LINES + 1} lines"]


def _address(link: str) -> bool:
    return link.startswith(("https://", "http://")) and link.isprintable() and not set(" <>\"|") & set(link)
