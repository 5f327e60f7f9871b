"""Retries ask the error; every error of ours has an answer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import RetryAction

from pipelines import errors
from tidemark_airflow.policies import DELAY_FACTOR, FIRST_DELAY, RETRIES, RetryWhenItHelps


def ours() -> list[type[errors.TidemarkError]]:
    found, todo = [], [errors.TidemarkError]
    while todo:
        found.append(todo.pop())
        todo.extend(found[-1].__subclasses__())
    return [error for error in found if error.__module__ == errors.__name__]


@pytest.mark.parametrize("error", ours(), ids=lambda error: error.__name__)
def test_each_of_our_errors_decides_for_itself(error: type[errors.TidemarkError]) -> None:
    decision = RetryWhenItHelps().evaluate(error("why"), 1, RETRIES)
    assert decision.action is (RetryAction.RETRY if error.retryable else RetryAction.FAIL)
    assert error.__name__ in (decision.reason or "")


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("bug"), KeyboardInterrupt()])
def test_errors_from_elsewhere_are_tried_three_times(error: BaseException) -> None:
    actions = [RetryWhenItHelps().evaluate(error, attempt, RETRIES).action for attempt in (1, 2, 3, 4)]
    assert actions == [RetryAction.DEFAULT, RetryAction.DEFAULT, RetryAction.FAIL, RetryAction.FAIL]


def test_the_pauses_grow_and_patience_lasts_an_hour() -> None:
    pauses = [RetryWhenItHelps().evaluate(errors.NotReady("soon"), attempt, RETRIES).retry_delay
              for attempt in range(1, RETRIES + 1)]
    assert pauses == [timedelta(seconds=seconds) for seconds in (2, 6, 18, 54, 162, 486, 1458, 4374)]
    assert pauses[0] == FIRST_DELAY
    assert pauses[1] == FIRST_DELAY * DELAY_FACTOR
