"""What jobs ask for and what they return, as `lateshift.testing` runs them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import testing_jobs
from testing_jobs import deferred, raising, raising_in_tasks

from lateshift import run_background_job
from lateshift.testing import FrozenClock, drain, isolated

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _at_noon():
    with isolated(allowed=[testing_jobs.__name__], clock=FrozenClock(NOON), max_retries=0):
        yield


@pytest.mark.parametrize(
    ("kind", "status", "wait", "attempts"),
    [("retry", "pending_retry", 7, 1), ("snooze", "pending_retry", 30, 0), ("cancel", "cancelled", 0, 1)],
)
def test_what_a_job_asks_for_is_done(kind, status, wait, attempts):
    """Retry, Snooze and Cancel mean what they mean in a worker."""
    run_background_job(raising, parameters={"kind": kind}, max_retries=1)
    [job] = drain()
    assert (job.status, job.run_at, job.attempts) == (status, NOON + timedelta(seconds=wait), attempts)
    assert drain() == []


@pytest.mark.parametrize(
    ("kinds", "status", "wait", "attempts"),
    [
        (["snooze"], "pending_retry", 30, 0),
        ([["retry"]], "pending_retry", 7, 1),
        (["cancel", "snooze"], "cancelled", 0, 1),
    ],
)
def test_what_a_task_of_a_job_asks_for_is_done(kinds, status, wait, attempts):
    """In a TaskGroup it becomes a part of an ExceptionGroup; of several the first counts."""
    run_background_job(raising_in_tasks, parameters={"kinds": kinds}, max_retries=1)
    [job] = drain()
    assert (job.status, job.run_at, job.attempts) == (status, NOON + timedelta(seconds=wait), attempts)


def test_what_a_task_asks_for_beside_an_error_is_a_failure():
    """What went wrong is not to be lost."""
    run_background_job(raising_in_tasks, parameters={"kinds": ["snooze", "nonsense"]})
    [job] = drain()
    assert (job.status, job.error.type) == ("failed", "ExceptionGroup")
    assert "KeyError: 'nonsense'" in job.error.traceback


def test_what_a_job_returns_is_awaited_whatever_its_kind():
    """A function without `async` may return any awaitable, as frameworks do."""
    run_background_job(deferred)
    assert [(job.status, job.result) for job in drain()] == [("completed", "at last")]
