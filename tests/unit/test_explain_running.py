"""`explain` says in words where a running job runs and how a finished one ended; real rows, at a frozen moment."""

from __future__ import annotations

import pytest
from explain_stage import MINUTE, SECOND, START, WORKER, Stage, staged

from lateshift.host.fleet import host_name
from lateshift.host.presence import Presence
from lateshift.job import JobError, moment
from lateshift.outcome import Outcome, returned
from lateshift.storage import writes
from lateshift.wording import local_time


@pytest.fixture
def stage(tmp_path):
    with staged(tmp_path) as stage:
        yield stage


def test_running(stage):
    """It names the worker, the attempt, the time so far, the progress and the timeout."""
    stage.hire()
    job_id = stage.enqueue(timeout=600)
    job = stage.claim(job_id)
    writes.save_progress(stage.db, [(job, 0.4, "40 of 100 pages")])
    stage.passes(3 * MINUTE)
    stage.beats()
    text = stage.explained(job_id)
    assert "shop.send has been running for 3 min on worker host-1, process 4711 on far: attempt 1 of 4." in text
    assert "It last reported 40% 40 of 100 pages." in text
    assert f"Its timeout ends the attempt at {local_time(moment(START + 10 * MINUTE))}, in 7 min." in text
    assert "If it fails, it is retried up to 3 more times." in text


def test_running_for_the_last_time(stage):
    """The last attempt is called that."""
    stage.hire()
    job_id = stage.enqueue(max_retries=0)
    stage.claim(job_id)
    assert "If it fails, that is final: this is its last attempt." in stage.explained(job_id)


def test_asked_to_cancel(stage):
    """A running job that is to be cancelled says what that takes."""
    stage.hire()
    job_id = stage.enqueue()
    stage.claim(job_id)
    stage.app.cancel_job(job_id)
    text = stage.explained(job_id)
    assert "It was asked to cancel" in text
    assert "current_job().cancelled" in text
    assert "To end it all the same, `lateshift workers stop host-1` interrupts what runs there after 30 s." in text
    assert "retried" not in text


def test_claimed_and_not_begun(stage, tmp_path):
    """On this host one can see that a claimed job waits in its worker for a place to run."""
    stage.hire(host=host_name())
    job_id = stage.enqueue()
    held = Presence(tmp_path, WORKER, 1)
    held.acquire()
    stage.claim(job_id)
    assert "was claimed 0 ms ago by worker host-1" in stage.explained(job_id)
    held.mark(0, job_id)
    assert "has been running for 0 ms on worker host-1" in stage.explained(job_id)
    held.release()


def test_ended_and_not_written(stage, tmp_path):
    """What its worker cannot write, as on a full disk, looked as if it had not begun; not an attempt before, though."""
    stage.hire(host=host_name())
    job_id = stage.enqueue(timeout=60)
    held = Presence(tmp_path, WORKER, 1)
    held.acquire()
    job = stage.claim(job_id)
    held.ended(0, job_id, job.lease)
    assert stage.explained(job_id).endswith(", which writes so as soon as it can use the database.")
    stage.ends(job, returned(START, START))
    stage.claim(job_id)
    assert "was claimed 0 ms ago by worker host-1" in stage.explained(job_id)
    held.release()


def test_its_worker_is_silent(stage):
    """A worker that misses its heartbeats is dead; it says who takes the job back, and when."""
    stage.hire()
    job_id = stage.enqueue()
    stage.claim(job_id)
    stage.passes(20 * SECOND)
    text = stage.explained(job_id)
    assert "on worker host-1, process 4711 on far, which died: its last heartbeat was 20 s ago." in text
    assert "It is taken back as soon as a worker starts: `lateshift work`; it then runs again" in text
    stage.hire("host-2")
    assert "Another worker takes it back within about 15 s; it then runs again" in stage.explained(job_id)
    stage.app.cancel_job(job_id)
    assert "within about 15 s; it is then cancelled, as an operator has asked." in stage.explained(job_id)


def test_its_worker_was_killed_on_this_host(stage, tmp_path):
    """On this host the lock tells of a kill at once, however fresh the heartbeat."""
    stage.hire(host=host_name())
    job_id = stage.enqueue()
    stage.claim(job_id)
    (tmp_path / f"{WORKER}.lock").write_text("locked")
    stage.hire("host-2")
    text = stage.explained(job_id)
    assert "which died: its last heartbeat was 0 ms ago." in text
    assert "Another worker takes it back within about a second" in text


def test_its_worker_has_no_row(stage, tmp_path):
    """A running job whose worker is unknown is an orphan, taken back by the next worker."""
    job_id = stage.enqueue()
    stage.claim(job_id)
    assert "which is not among the workers any more" in stage.explained(job_id)
    other = Stage(tmp_path, spawn="auto")
    text = other.explained(job_id)
    other.app.close()
    assert "It is taken back by the next worker: enqueue any job, or start `lateshift work`" in text


def test_the_third_crash_fails_it(stage):
    """A job under which two workers died fails with the third, and it says so beforehand."""
    stage.hire()
    job_id = stage.enqueue()
    for _ in range(2):
        stage.dies(stage.claim(job_id))
    job = stage.claim(job_id, "gone")
    text = stage.explained(job_id)
    assert "it then runs again, and no attempt is used up; if no other job ran beside it, it fails" in text
    assert "Its worker died under it 2 times" in text
    stage.dies(job)
    text = stage.explained(job_id)
    assert "Its worker process died under it 3 times" in text


def test_completed(stage):
    """It says when, how long the attempt took, that nothing more happens, and when the row is deleted."""
    stage.hire()
    job_id = stage.enqueue()
    job = stage.claim(job_id)
    stage.ends(job, Outcome("completed", "completed", START, START + 250_000, result="1"))
    stage.passes(5 * MINUTE)
    text = stage.explained(job_id)
    assert f"shop.send completed 5 min ago, at {local_time(moment(START))}" in text
    assert "attempt 1 of 4 ran for 250 ms on worker host-1." in text
    assert "Nothing more happens to it." in text
    assert f"It is deleted at {local_time(moment(START + 7 * 24 * 60 * MINUTE + 250_000))}" in text
    assert "(LATESHIFT_KEEP_DAYS=7)" in text


def test_failed(stage):
    """It gives the last error, where the traceback is, and how to run it again."""
    stage.hire()
    job_id = stage.enqueue(max_retries=1)
    stage.fails(job_id, retry_in=0)
    stage.fails(job_id)
    text = stage.explained(job_id)
    assert "shop.send failed 0 ms ago" in text
    assert "attempt 2 of 2 ran for 2 s on worker host-1." in text
    assert "Its last error was ConnectionError: no answer." in text
    assert f"`lateshift show {job_id}` has the traceback" in text
    assert f"`lateshift retry {job_id}` runs it again." in text


def test_failed_with_attempts_left(stage):
    """An error that is never retried explains why attempts are left; its message ends as it likes."""
    stage.hire()
    job_id = stage.enqueue(max_retries=3)
    stage.fails(job_id, error="Is the server there?")
    told = "Its last error was ConnectionError: Is the server there?\nSuch an error is not to be retried."
    assert told in stage.explained(job_id)


def test_failed_of_itself_after_crashes_of_others(stage):
    """The error that it failed with counts, however often its worker died before, perhaps by its neighbours."""
    stage.hire()
    job_id = stage.enqueue(max_retries=0)
    for _ in range(3):
        stage.dies(stage.claim(job_id), shared=True)
    stage.fails(job_id)
    text = stage.explained(job_id)
    assert "Its last error was ConnectionError: no answer." in text
    assert "brings down" not in text


def test_cancelled_before_it_started(stage):
    """A job cancelled while it waited never ran."""
    job_id = stage.enqueue()
    stage.app.cancel_job(job_id)
    text = stage.explained(job_id)
    assert "shop.send was cancelled 0 ms ago" in text
    assert "It was cancelled before it ever started." in text


def test_cancelled_by_itself(stage):
    """A job that raised Cancel gives its reason."""
    stage.hire()
    job_id = stage.enqueue()
    job = stage.claim(job_id)
    error = JobError("lateshift.outcome.Cancel", "the order was withdrawn")
    stage.ends(job, Outcome("cancelled", "cancelled", START, START, error=error))
    assert "It ended itself (Cancel): the order was withdrawn" in stage.explained(job_id)


def test_cancelled_by_an_operator(stage):
    """A cancelled attempt is told from a cancel that came between two attempts."""
    stage.hire()
    during, between = stage.enqueue(), stage.enqueue()
    job = stage.claim(during)
    stage.app.cancel_job(during)
    stage.ends(job, Outcome("cancelled", "cancelled", START, START))
    stage.fails(between, retry_in=MINUTE)
    stage.passes(7 * SECOND)
    stage.app.cancel_job(between)
    assert "An operator asked to cancel it while it was running." in stage.explained(during)
    assert "It was cancelled after attempt 1 of 4, before the next one." in stage.explained(between)
    assert "attempt 1 of 4 ran for 2 s on worker host-1." in stage.explained(between)


@pytest.mark.parametrize("kind", ["snoozed", "lost"])
def test_cancelled_after_an_attempt_that_did_not_count(stage, kind):
    """It has started, and waits to run again."""
    stage.hire()
    job_id = stage.enqueue()
    job = stage.claim(job_id)
    if kind == "lost":
        stage.dies(job)
    else:
        stage.ends(job, Outcome("snoozed", "pending_retry", START, START, run_at=START + MINUTE, counts=False))
    stage.app.cancel_job(job_id)
    assert "It was cancelled while it waited to run again." in stage.explained(job_id)


def test_an_old_finished_job_is_about_to_be_deleted(stage):
    """What is older than LATESHIFT_KEEP_DAYS goes with the next worker."""
    job_id = stage.enqueue()
    stage.app.cancel_job(job_id)
    stage.passes(8 * 24 * 60 * MINUTE)
    assert "It is deleted by the next worker that runs" in stage.explained(job_id)
