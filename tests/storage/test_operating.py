"""What operators do: cancel, retry, delete, prune, pause, in each state of a job."""

from __future__ import annotations

import pytest
from storage_steps import ERROR, SECOND, everything

from lateshift.job import FINISHED, WAITING
from lateshift.storage import reads, writes


@pytest.mark.parametrize("status", WAITING)
def test_cancel_a_waiting_job(steps, clock, status):
    """A job that waits is cancelled at once and never claimed."""
    job_id = steps.in_status(status)
    assert writes.cancel(steps.db, job_id, steps.now) == status
    found = steps.get(job_id)
    assert (found.status, found.finished_at) == ("cancelled", clock.at)
    clock.move(3600)
    assert steps.claim() == []


def test_cancel_a_running_job(steps):
    """A job that runs goes on, and its worker is told, by id and lease."""
    job = steps.running("worker-1")
    steps.running("worker-1")
    assert writes.cancel(steps.db, job.id, steps.now) == "running"
    assert (steps.get(job).status, steps.get(job).cancel_requested) == ("running", True)
    assert reads.cancel_requests(steps.db, "worker-1") == {(job.id, job.lease)}
    assert reads.cancel_requests(steps.db, "worker-2") == set()
    assert steps.settle(job, steps.cancelled())
    assert steps.status(job) == "cancelled"
    assert reads.cancel_requests(steps.db, "worker-1") == set()


@pytest.mark.parametrize("status", FINISHED)
def test_cancel_a_finished_job(steps, status):
    """A job that has finished stays as it is."""
    job_id = steps.in_status(status)
    before = everything(steps.db)
    assert writes.cancel(steps.db, job_id, steps.now) == status
    assert everything(steps.db) == before


def test_a_cancel_request_is_for_one_attempt(steps):
    """A cancelled job that is retried runs without being asked to stop."""
    job = steps.running()
    writes.cancel(steps.db, job.id, steps.now)
    steps.settle(job, steps.cancelled())
    writes.retry(steps.db, job.id, steps.now)
    (again,) = steps.claim()
    assert reads.cancel_requests(steps.db, "worker-1") == set()
    assert steps.complete(again)
    assert steps.status(job) == "completed"


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_retry_a_finished_job(steps, clock, status):
    """A failed or cancelled job is due at once, with all its attempts and no crashes."""
    job_id = steps.in_status(status)
    clock.move(60)
    assert writes.retry(steps.db, job_id, steps.now) == status
    found = steps.get(job_id)
    assert (found.status, found.attempts, found.crashes, found.finished_at) == ("pending_retry", 0, 0, None)
    assert found.run_at == clock.at
    (again,) = steps.claim()
    assert (again.attempt, again.lease) == (1, 2)
    assert steps.complete(again)


def test_retry_a_waiting_retry(steps, clock):
    """A job that waits for its next attempt is due now, once; the attempts it has used stay used."""
    job_id, due = steps.in_status("pending_retry"), clock.at
    for _ in range(2):
        assert writes.retry(steps.db, job_id, steps.now) == "pending_retry"
        assert (steps.get(job_id).attempts, steps.get(job_id).run_at) == (1, due)
        clock.move(5)
    assert [job.attempt for job in steps.claim()] == [2]


@pytest.mark.parametrize("status", ["pending", "running", "completed"])
def test_retry_of_any_other_job_changes_nothing(steps, status):
    """A job that waits for its first attempt, runs or has completed stays as it is."""
    job_id = steps.in_status(status)
    before = everything(steps.db)
    assert writes.retry(steps.db, job_id, steps.now) == status
    assert everything(steps.db) == before


def test_a_retried_job_keeps_its_history(steps):
    """The attempts before an operator's retry stay in the history, before those after it."""
    job_id = steps.finished("failed")
    writes.retry(steps.db, job_id, steps.now)
    (again,) = steps.claim()
    steps.complete(again)
    assert [(attempt.number, attempt.outcome) for attempt in steps.get(job_id).history] == [
        (1, "failed"),
        (1, "completed"),
    ]


@pytest.mark.parametrize("status", FINISHED)
def test_delete_a_finished_job(steps, status):
    """A finished job goes with its attempts and its logs, and leaves the others alone."""
    job = steps.running()
    steps.settle(job, steps.retry_in(0))
    (job,) = steps.claim()
    writes.save_logs(steps.db, [(job, ["a line"])])
    steps.settle(job, getattr(steps, status)())
    other = steps.finished("failed")
    assert writes.delete(steps.db, job.id) == status
    assert steps.status(job) is None
    jobs, attempts, logs = everything(steps.db)
    assert (len(jobs), len(attempts), len(logs)) == (1, 1, 0)
    assert steps.status(other) == "failed"


@pytest.mark.parametrize("status", ["pending", "pending_retry", "running"])
def test_a_live_job_is_not_deleted(steps, status):
    """A job that waits or runs stays."""
    job_id = steps.in_status(status)
    before = everything(steps.db)
    assert writes.delete(steps.db, job_id) == status
    assert everything(steps.db) == before


@pytest.mark.parametrize("verb", [writes.cancel, writes.retry])
def test_an_unknown_job(steps, verb):
    """For an id that does not exist the verbs say so and change nothing."""
    steps.enqueue()
    before = everything(steps.db)
    assert verb(steps.db, "no-such-job", steps.now) is None
    assert writes.delete(steps.db, "no-such-job") is None
    assert everything(steps.db) == before


def test_prune_takes_what_has_finished_before(steps, clock):
    """Finished jobs go when they ended before the moment given, whenever they were enqueued."""
    old = [steps.finished(status) for status in FINISHED]
    long_one = steps.running()
    clock.move(60)
    steps.complete(long_one)
    assert reads.finished_before(steps.db, steps.now) == 3
    assert writes.prune(steps.db, steps.now) == 3
    assert [steps.status(job_id) for job_id in old] == [None] * 3
    assert steps.status(long_one) == "completed"
    assert writes.prune(steps.db, steps.now) == 0


def test_prune_never_takes_a_live_job(steps, clock):
    """Jobs that wait or run stay, however old, also those that had finished once and were retried."""
    live = [steps.in_status(status) for status in ("pending", "pending_retry", "running")]
    retried = [steps.finished("failed"), steps.finished("cancelled")]
    for job_id in retried:
        writes.retry(steps.db, job_id, steps.now)
    taken = steps.finished("failed")
    writes.retry(steps.db, taken, steps.now)
    writes.claim_one(steps.db, "worker-1", steps.now, taken)
    clock.move(10 * 365 * 86_400)
    assert writes.prune(steps.db, steps.now) == 0
    assert all(steps.status(job_id) for job_id in [*live, *retried, taken])


def test_prune_takes_the_oldest_first_and_no_more_than_told(steps, clock):
    """In batches, each no larger than the limit, until nothing is left."""
    ids = []
    for _ in range(5):
        ids.append(steps.finished("completed"))
        clock.move(1)
    assert writes.prune(steps.db, steps.now, limit=2) == 2
    assert [steps.status(job_id) for job_id in ids] == [None, None] + ["completed"] * 3
    assert [writes.prune(steps.db, steps.now, limit=2) for _ in range(3)] == [2, 1, 0]


def test_prune_takes_attempts_and_logs_along(steps, clock):
    """Nothing of a pruned job is left in any table."""
    job = steps.running()
    steps.settle(job, steps.retry_in(0))
    (job,) = steps.claim()
    steps.complete(job, logs=["a line"])
    clock.move(1)
    writes.prune(steps.db, steps.now)
    assert everything(steps.db) == [(), (), ()]  # jobs, attempts, logs


def test_pausing_and_resuming_say_whether_they_changed_anything(steps):
    """A queue is paused once and resumed once; saying it again changes nothing. It need not have jobs."""
    now = steps.now
    answers = [writes.pause_queue(steps.db, "mail", moment) for moment in (None, now, now + SECOND, None, None, now)]
    assert answers == [False, True, False, True, False, True]
    assert reads.queue_paused(steps.db, "mail")
    assert not reads.queue_paused(steps.db, "other")


def test_an_operators_cancel_and_a_claim_do_not_cross(steps, place):
    """Whoever comes first decides: a job that was claimed is asked to stop, one that was cancelled is not claimed."""
    other = place.open()
    first, second = steps.enqueue(), steps.enqueue()
    writes.cancel(other, first, steps.now)
    (claimed,) = steps.claim()
    assert claimed.id == second
    assert writes.cancel(other, second, steps.now) == "running"
    assert steps.settle(claimed, steps.retry_in(0))
    assert steps.status(second) == "cancelled"


def test_the_error_of_the_last_failure_stays_until_it_is_better(steps):
    """A job that waits again shows why; so does one that snoozed after it had failed."""
    job = steps.running()
    steps.settle(job, steps.retry_in(0))
    (job,) = steps.claim()
    steps.settle(job, steps.snoozed(0))
    assert steps.get(job).error == ERROR
