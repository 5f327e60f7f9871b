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
def test_errors_from_elsewhere_follow_the_task(error: BaseException) -> None:
    assert RetryWhenItHelps().evaluate(error, 1, RETRIES).action is RetryAction.DEFAULT


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 4), (2, 16), (3, 64), (4, 256)])
def test_the_pauses_grow(attempt: int, seconds: int) -> None:
    decision = RetryWhenItHelps().evaluate(errors.NotReady("soon"), attempt, RETRIES)
    assert decision.retry_delay == timedelta(seconds=seconds) == FIRST_DELAY * DELAY_FACTOR ** (attempt - 1)
