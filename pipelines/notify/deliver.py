"""From the outbox to people: at least once, and without a crash exactly once.

A message is sent inside the transaction that locks its notices and writes down that they were told. Killed before the
commit, they wait again, so people may read one message twice and miss none. Two rounds at once share nothing: what one
holds, the other does not see (SKIP LOCKED).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from pipelines.config_notify import Notify
from pipelines.contracts.notices import Channel, Notice
from pipelines.errors import ChannelError, ChannelUnavailable
from pipelines.notify.fold import Message, plan
from pipelines.store import Warehouse, events
from pipelines.store import notices as outbox
from pipelines.store.notices import Waiting
from pipelines.store.tables import system_events

#: Pause after the first failure of a message, doubled with each further one up to the longest.
PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=30)
#: A message that is refused so often is given up: half a day of trying, with the longest pauses.
MOST_REFUSALS = 25
#: After so many refusals in a row it is the channel that refuses, not a message.
IN_A_ROW = 3
DOWN, UP = "channel_down", "channel_up"


@dataclass(frozen=True)
class Delivered:
    """What a round did for a channel: messages sent, notices that they told, notices that wait for their turn, and
    why it stopped, if it did."""

    channel: str
    messages: int = 0
    notices: int = 0
    held: int = 0
    error: str | None = None


def deliver(warehouse: Warehouse, channel: Channel, rules: Notify, *, at: datetime) -> Delivered:
    """Tell what waits for a channel and may go out at ``at``. A channel that is down does not fail the caller: it is
    tried again by the next round, and a system event says when that began and when it ended.

    Args:
        at: wall clock of the caller.
    """
    messages, told, refusals, held, error = 0, 0, 0, 0, None
    while refusals < IN_A_ROW:
        with warehouse.begin() as connection:
            waiting = outbox.claim(connection, channel.name, at=at)
            planned = plan(waiting, outbox.told(
                connection, channel.name, since=at - timedelta(minutes=rules.fold_minutes)), rules, at)
            for number, until in planned.hold.items():
                outbox.postpone(connection, channel.name, [number], until=until)
            held += len(planned.hold)
            if not planned.send:
                break
            message = planned.send[0]
            try:
                _send(channel, message.notice)
            except ChannelUnavailable as trouble:
                error = str(trouble)
                until = at + _pause(waiting, message, trouble.wait)
                outbox.postpone(connection, channel.name, [item.id for item in waiting if item.id not in planned.hold],
                                until=until, tried=message.ids, error=error)
                break
            except ChannelError as refusal:
                error, refusals = str(refusal), refusals + 1
                _refused(connection, channel.name, waiting, message, error, at)
            else:
                outbox.mark_sent(connection, channel.name, message.ids, folded=message.folded, at=at)
                messages, told, refusals = messages + 1, told + len(message.ids), 0
    if messages or error:
        with warehouse.begin() as connection:
            _turned(connection, channel.name, None if messages else error, at)
    return Delivered(channel.name, messages, told, held, error)


def _send(channel: Channel, notice: Notice) -> None:
    try:
        channel.send(notice)
    except ChannelError:
        raise
    except Exception as error:  # one notice that a channel cannot write must not stop all that come after it
        raise ChannelError(f"{channel.name} cannot tell {notice.key} ({type(error).__name__}); this is a bug of the "
                           "channel") from error


def _refused(connection: Connection, channel: str, waiting: list[Waiting], message: Message, error: str,
             at: datetime) -> None:
    tried = {item.id: item.attempts + 1 for item in waiting if item.id in message.ids}
    hopeless = [number for number, attempts in tried.items() if attempts >= MOST_REFUSALS]
    outbox.give_up(connection, channel, hopeless, error=error)
    again = [number for number in tried if number not in hopeless]
    outbox.postpone(connection, channel, again, until=at + _pause(waiting, message, None), tried=again, error=error)


def _pause(waiting: list[Waiting], message: Message, asked: float | None) -> timedelta:
    """As long as the other side asked for, else longer with each attempt."""
    if asked is not None:
        return timedelta(seconds=asked)
    tries = min(item.attempts for item in waiting if item.id in message.ids)
    return min(LONGEST_PAUSE, PAUSE * float(2 ** min(tries, 10)))


def _turned(connection: Connection, channel: str, error: str | None, at: datetime) -> None:
    """Write down that a channel went down or came back, once each."""
    table = system_events
    last = connection.execute(
        select(table.c.kind).where(table.c.kind.in_((DOWN, UP)), table.c.detail.contains({"channel": channel}))
        .order_by(table.c.id.desc()).limit(1)).scalar_one_or_none()
    if error is not None and last != DOWN:
        events.record(connection, at=at, kind=DOWN, detail={"channel": channel, "error": error})
    elif error is None and last == DOWN:
        events.record(connection, at=at, kind=UP, detail={"channel": channel})
