"""`lateshift.testing`, as a user's tests use it."""

from __future__ import annotations

import pytest

import lateshift
from lateshift import background
from lateshift.testing import FrozenClock, assert_enqueued, drain, inline, isolated


@background(max_retries=1, retry=60)
def unsteady(fail: bool) -> str:
    if fail and lateshift.current_job().attempt == 1:
        raise ConnectionError("no answer")
    return "done"


def test_what_was_enqueued_can_be_asserted_and_drained():
    """In an isolated application object jobs wait until they are drained, in claim order."""
    with isolated(allowed=[__name__]):
        unsteady.enqueue(fail=False)
        assert_enqueued(unsteady, parameters={"fail": False})
        with pytest.raises(AssertionError):
            assert_enqueued(unsteady, parameters={"fail": True})
        assert [(job.status, job.result) for job in drain()] == [("completed", "done")]


def test_time_moves_by_hand():
    """A retry becomes due when the frozen clock is moved, and not before."""
    clock = FrozenClock()
    with isolated(allowed=[__name__], clock=clock):
        job_id = unsteady.enqueue(fail=True)
        drain()
        assert lateshift.get_job(job_id).status == "pending_retry"
        assert drain() == []
        clock.move(61)
        assert [job.status for job in drain()] == ["completed"]


def test_inline_runs_at_once():
    """With inline() a job has ended when it has been enqueued."""
    with isolated(allowed=[__name__]), inline():
        assert lateshift.get_job(unsteady.enqueue(fail=False)).status == "completed"
