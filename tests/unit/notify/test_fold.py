"""Storms: whatever comes when, few messages go out, and every notice is in one of them or waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipelines.config_notify import Notify
from pipelines.contracts.notices import Notice, Severity
from pipelines.notify.fold import folded, plan
from pipelines.store.notices import Told, Waiting

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULES = Notify(fold_above=3, fold_minutes=60)


def notice(number: int, kind: str = "task_failed", line: str | None = "L",
           severity: Severity = Severity.WARNING) -> Notice:
    return Notice(kind, line, severity, f"trouble {number}", (f"cause {number}",), f"k{number}",
                  AT + timedelta(minutes=number))


def waiting(*notices: Notice) -> list[Waiting]:
    return [Waiting(number, item, 0) for number, item in enumerate(notices)]


def test_few_go_out_one_by_one() -> None:
    made = plan(waiting(*map(notice, range(3))), {}, RULES, AT)
    assert [(message.ids, message.folded) for message in made.send] == [((0,), False), ((1,), False), ((2,), False)]
    assert made.hold == {}


def test_many_become_one_that_says_how_many() -> None:
    made = plan(waiting(*map(notice, range(13))), {}, RULES, AT)
    (message,) = made.send
    assert message.ids == tuple(range(13))
    assert message.folded
    assert message.notice.title == "trouble 0 and 12 more"
    assert message.notice.body[:4] == ("cause 0", "", "And 12 more notices (task_failed of L):",
                                       "  2026-03-01 12:01 UTC trouble 1")
    assert message.notice.body[-1] == "  and 2 more; all of them: tidemark notify list"


def test_the_gravest_stands_first() -> None:
    several = [notice(0), notice(1, severity=Severity.CRITICAL), notice(2)]
    assert folded(several).title == "trouble 1 and 2 more"
    assert folded(several).severity is Severity.CRITICAL


def test_kinds_and_lines_do_not_hide_each_other() -> None:
    storm = [notice(number) for number in range(9)]
    made = plan(waiting(*storm, notice(20, line="M"), notice(21, kind="champion")), {}, RULES, AT)
    assert [message.ids for message in made.send] == [tuple(range(9)), (9,), (10,)]


def test_what_went_out_in_the_window_counts() -> None:
    told = {("task_failed", "L"): Told(singles=2)}
    assert len(plan(waiting(notice(0)), told, RULES, AT).send) == 1
    (both,) = plan(waiting(notice(0), notice(1)), told, RULES, AT).send
    assert both.folded
    told = {("task_failed", "L"): Told(singles=3)}
    (one,) = plan(waiting(notice(0)), told, RULES, AT).send
    assert (one.notice.title, one.folded) == ("trouble 0", True)  # a storm's end is not kept back
    told = {("task_failed", "L"): Told(singles=3, folded_at=AT - 20 * timedelta(minutes=1))}
    held = plan(waiting(notice(0), notice(1)), told, RULES, AT)
    assert (held.send, held.hold) == ((), dict.fromkeys((0, 1), AT + timedelta(minutes=40)))


@given(st.lists(st.integers(0, 300), max_size=60), st.integers(1, 5))
def test_a_storm_of_any_shape_is_bounded_and_loses_nothing(minutes: list[int], above: int) -> None:
    """Replayed round by round, every five minutes, as the DAG does."""
    rules = Notify(fold_above=above, fold_minutes=60)
    queue = {number: (AT + timedelta(minutes=when), notice(number)) for number, when in enumerate(sorted(minutes))}
    sent: list[tuple[datetime, tuple[int, ...], bool]] = []
    for step in range(0, 500, 5):
        at = AT + timedelta(minutes=step)
        while True:
            due = [Waiting(number, item, 0) for number, (when, item) in queue.items() if when <= at]
            recent = [entry for entry in sent if entry[0] > at - HOUR]
            state = Told(sum(not fold for *_, fold in recent),
                         max((when for when, _, fold in recent if fold), default=None))
            made = plan(due, {("task_failed", "L"): state}, rules, at)
            for number, until in made.hold.items():
                queue[number] = (until, queue[number][1])
            if not made.send:
                break
            sent.append((at, made.send[0].ids, made.send[0].folded))
            for number in made.send[0].ids:
                del queue[number]
    assert queue == {}
    assert sorted(number for _, ids, _ in sent for number in ids) == list(range(len(minutes)))
    for begin, *_ in sent:
        assert sum(begin <= when < begin + HOUR for when, *_ in sent) <= above + 1
