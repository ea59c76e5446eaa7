"""Waiting for a job in a test, which has no worker."""

from __future__ import annotations

import threading

import pytest
import testing_jobs
from testing_jobs import began, note, waiting, waiting_for_another

from lateshift import WaitTimeout, run_background_job, wait_for_job
from lateshift.testing import drain, inline, isolated


@pytest.fixture
def app():
    with isolated(allowed=[testing_jobs.__name__], max_retries=0) as app:
        yield app


def enqueue(job, **parameters):
    return run_background_job(job, parameters=parameters)


def test_a_job_that_nothing_runs_is_not_waited_for_for_ever(app):
    """The error says what to do; it is that of a wait which was too short, as those who give a timeout expect it."""
    job_id = enqueue(note, what="a")
    with pytest.raises(WaitTimeout, match=r"nothing in this test runs it: call `drain\(\)`") as caught:
        wait_for_job(job_id)
    assert (caught.value.job_id, caught.value.status) == (job_id, "pending")
    drain()
    assert wait_for_job(job_id).result == "a"


def test_nor_does_a_job_wait_for_one_that_only_its_own_drain_could_run(app):
    """It fails, and its child is drained after it; in line the child runs when it is enqueued."""
    enqueue(waiting_for_another)
    assert [(job.status, job.result) for job in drain()] == [("failed", None), ("completed", "child")]
    with inline():
        assert app.get_job(enqueue(waiting_for_another)).result == "child"


def test_what_another_thread_is_about_to_run_is_waited_for(app):
    """As long as that drains, it may come to the job."""
    enqueue(waiting, name="drained")
    job_id = enqueue(note, what="b")
    thread = threading.Thread(target=drain)
    thread.start()
    assert began["drained"].wait(30)
    opener = threading.Timer(1.2, testing_jobs.going["drained"].set)
    opener.start()
    assert wait_for_job(job_id).result == "b"
    thread.join(30)
