"""Storms: what is told one by one, what is told in one message, and what waits. A pure function.

Of one kind and line, at most ``fold_above`` messages for one notice each and one message for several go out within
``fold_minutes``. Nothing is dropped: a notice is told by itself, is counted in a message about several, or waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from pipelines.config_notify import Notify
from pipelines.contracts.notices import Notice
from pipelines.notify.wording import instant, several
from pipelines.store.notices import Told, Waiting

#: So many notices are named in a message about several.
MOST_NAMED = 10


@dataclass(frozen=True)
class Message:
    """One message: the notice to send, the numbers of those that it tells, and whether it is what a window allows on
    top of its single ones."""

    notice: Notice
    ids: tuple[int, ...]
    folded: bool = False


@dataclass(frozen=True)
class Plan:
    """``send``: in this order; ``hold``: numbers of notices that wait → until when (UTC)."""

    send: tuple[Message, ...]
    hold: Mapping[int, datetime]


def plan(waiting: Sequence[Waiting], told: Mapping[tuple[str, str | None], Told], rules: Notify, at: datetime) -> Plan:
    """What goes out at ``at``.

    Args:
        waiting: what a channel has to tell, the oldest first.
        told: what it told within the last ``fold_minutes``, by kind and line.
    """
    groups: dict[tuple[str, str | None], list[Waiting]] = {}
    for item in waiting:
        groups.setdefault((item.notice.kind, item.notice.line), []).append(item)
    messages: list[Message] = []
    hold: dict[int, datetime] = {}
    for key, group in groups.items():
        before = told.get(key, Told())
        notices = [item.notice for item in group]
        if before.singles + len(group) <= rules.fold_above:
            messages += [Message(item.notice, (item.id,)) for item in group]
        elif before.folded_at is None:
            messages.append(Message(folded(notices) if len(group) > 1 else notices[0],
                                    tuple(item.id for item in group), folded=True))
        else:
            until = before.folded_at + timedelta(minutes=rules.fold_minutes)
            hold |= {item.id: max(until, at) for item in group}
    return Plan(tuple(sorted(messages, key=lambda message: message.ids[0])), hold)


def folded(group: Sequence[Notice]) -> Notice:
    """One notice about several of a kind and line: the gravest first, and how many more."""
    first = max(group, key=lambda notice: notice.severity.rank)
    others = [notice for notice in group if notice is not first]
    digest = sha256("\n".join(notice.key for notice in group).encode()).hexdigest()[:16]
    named = [f"  {instant(notice.event_time)}  {notice.title}" for notice in others[:MOST_NAMED]]
    left = len(others) - len(named)
    where = f" of {first.line}" if first.line else ""
    return Notice(
        first.kind, first.line, first.severity, f"{first.title[:110]} and {len(others)} more",
        (*first.body, "", f"And {several(len(others), 'more notice')} ({first.kind}{where}):", *named,
         *([f"  and {left} more; all of them: tidemark notify list"] if left else [])),
        f"fold:{digest}", max(notice.event_time for notice in group), first.link)
