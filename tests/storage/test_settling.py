"""Promises 1, 2 and 6: what a worker writes about its jobs, and what it may no longer write."""

from __future__ import annotations

import msgspec
import pytest
from storage_steps import ERROR, SECOND, everything

from lateshift.job import moment
from lateshift.outcome import CRASH_PAUSE, MAX_CRASHES, Outcome
from lateshift.storage import reads, writes
from lateshift.storage.settlements import Batch, Settlement


def test_a_completed_job(steps, clock):
    """Completion stores the result and the times, and the history shows the attempt."""
    job = steps.running()
    began = clock.at
    clock.move(2)
    outcome = Outcome("completed", "completed", job.run_at, steps.now, result='{"sum":3}')
    assert steps.settle(job, outcome)
    found = steps.get(job)
    assert (found.status, found.result, found.error, found.attempts) == ("completed", {"sum": 3}, None, 1)
    assert (found.started_at, found.finished_at, found.worker) == (began, clock.at, "worker-1")
    (attempt,) = found.history
    assert (attempt.number, attempt.outcome, attempt.started_at, attempt.finished_at) == (
        1,
        "completed",
        began,
        clock.at,
    )


def test_completion_is_committed_when_settle_returns(steps, place):
    """What was settled is there for another connection at once."""
    job = steps.running()
    steps.complete(job)
    assert reads.status(place.open(), job.id) == "completed"


def test_a_failed_job(steps, clock):
    """A final failure stores its error and its end."""
    job = steps.running()
    assert steps.settle(job, steps.failed())
    found = steps.get(job)
    assert (found.status, found.error, found.finished_at, found.result) == ("failed", ERROR, clock.at, None)
    assert [(attempt.number, attempt.outcome, attempt.error) for attempt in found.history] == [(1, "failed", ERROR)]


def test_a_retry_waits_until_it_is_due(steps, clock):
    """A failure with attempts left waits, with its error, and its next attempt is number 2."""
    job = steps.running()
    assert steps.settle(job, steps.retry_in(30))
    found = steps.get(job)
    assert (found.status, found.error, found.attempts, found.finished_at) == ("pending_retry", ERROR, 1, None)
    assert found.run_at == moment(steps.now + 30 * SECOND)
    clock.move(29)
    assert steps.claim() == []
    clock.move(1)
    (again,) = steps.claim()
    assert (again.attempt, again.lease) == (2, 2)


@pytest.mark.parametrize("kind", ["snoozed", "returned"])
def test_snoozing_and_returning_use_up_no_attempt(steps, clock, kind):
    """A job that goes back without having failed is in its first attempt again."""
    job = steps.running()
    assert steps.settle(job, getattr(steps, kind)(30))
    assert (steps.get(job).status, steps.get(job).attempts) == ("pending_retry", 0)
    clock.move(30)
    (again,) = steps.claim()
    assert (again.attempt, again.crashes) == (1, 0)


def test_of_many_snoozes_the_last_hundred_are_kept(steps):
    """A job that snoozed for no time had 10,407 rows after 15 seconds; what counted, or was newer, stays."""
    job = steps.running()
    steps.settle(job, Outcome("retry", "pending_retry", 1, 2, run_at=steps.now, error=ERROR, logs=("a",)))
    for lease in (2, 100, 101, 200):
        steps.db.execute("update lateshift_jobs set lease = :lease", {"lease": lease - 1})
        (job,) = steps.claim()
        assert steps.settle(job, msgspec.structs.replace(steps.snoozed(0), logs=(str(lease),)))
    assert [attempt.logs for attempt in steps.get(job).history] == [("a",), ("101",), ("200",)]
    assert steps.db.query('select "lines" from lateshift_logs order by lease') == [("a",), ("101",), ("200",)]


def test_success_after_failures_forgets_the_error(steps):
    """A completed job has no error; that of its earlier attempts stays in the history."""
    job = steps.running()
    steps.settle(job, steps.retry_in(0))
    (again,) = steps.claim("worker-2")
    steps.complete(again, "7")
    found = steps.get(job)
    assert (found.status, found.error, found.result) == ("completed", None, 7)
    history = [(attempt.number, attempt.outcome, attempt.worker, attempt.error) for attempt in found.history]
    assert history == [(1, "retry", "worker-1", ERROR), (2, "completed", "worker-2", None)]


def test_a_batch_of_everything(steps):
    """One batch settles outcomes of every kind, each to its job."""
    jobs = [steps.running() for _ in range(6)]
    outcomes = [
        steps.completed("1"),
        steps.failed(),
        steps.retry_in(5),
        steps.cancelled(),
        steps.snoozed(5),
        steps.returned(),
    ]
    settlements = [Settlement(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True)]
    assert writes.settle(steps.db, Batch(settlements)) == []
    expected = ["completed", "failed", "pending_retry", "cancelled", "pending_retry", "pending_retry"]
    assert [steps.status(job) for job in jobs] == expected
    assert writes.settle(steps.db, Batch([])) == []


def test_crashes_are_counted_apart_and_the_third_is_the_end(steps):
    """A job whose worker died uses up no attempt; when that happened three times, it has failed."""
    job = steps.running(max_retries=0)
    for crash in range(1, MAX_CRASHES):
        assert steps.lose(job)
        found = steps.get(job)
        assert (found.status, found.crashes, found.attempts) == ("pending_retry", crash, 0)
        steps.clock.move(CRASH_PAUSE * (crash - 1))
        (job,) = steps.claim(f"worker-{crash + 1}")
        assert (job.attempt, job.crashes) == (1, crash)
    steps.lose(job)
    found = steps.get(job)
    assert (found.status, found.crashes, found.error) == ("failed", 3, ERROR)
    assert [attempt.outcome for attempt in found.history] == ["lost", "lost", "failed"]
    assert [attempt.worker for attempt in found.history] == ["worker-1", "worker-2", "worker-3"]


def stale(steps):
    """A job that was rescued from worker-1 and claimed by worker-2: both claims."""
    old = steps.running("worker-1")
    steps.lose(old)
    (new,) = steps.claim("worker-2")
    return old, new


@pytest.mark.parametrize("kind", ["completed", "failed", "cancelled", "retry_in", "snoozed", "returned"])
def test_a_worker_thought_dead_cannot_overwrite_a_newer_attempt(steps, kind):
    """After rescue and another's claim, whatever the first worker settles is refused, reported, and stores nothing."""
    old, new = stale(steps)
    before = everything(steps.db)
    outcome = getattr(steps, kind)(5) if kind in ("retry_in", "snoozed", "returned") else getattr(steps, kind)()
    assert not steps.settle(old, outcome)
    assert everything(steps.db) == before
    assert steps.complete(new, "2")
    assert steps.get(new).result == 2


@pytest.mark.parametrize("kind", ["completed", "retry_in", "snoozed"])
def test_a_worker_thought_dead_cannot_settle_what_waits_again(steps, kind):
    """After a rescue, and before anybody has claimed the job anew, the first worker's outcome is refused as well."""
    old = steps.running()
    steps.lose(old)
    before = everything(steps.db)
    assert not steps.settle(old, getattr(steps, kind)(*([] if kind == "completed" else [5])))
    assert everything(steps.db) == before


def test_a_completion_is_refused_for_a_job_that_was_rescued_and_cancelled(steps):
    """A job that an operator cancelled after its rescue stays so, and its old worker does not report it completed."""
    old = steps.running()
    steps.lose(old)
    writes.cancel(steps.db, old.id, steps.now)
    assert not steps.complete(old)
    assert steps.status(old) == "cancelled"


def test_a_worker_thought_dead_gives_nothing_back(steps):
    """Releasing with an old lease leaves the newer attempt alone."""
    old, new = stale(steps)
    before = everything(steps.db)
    writes.release(steps.db, [old], steps.now)
    assert everything(steps.db) == before
    assert steps.status(new) == "running"


def test_a_worker_thought_dead_reports_no_progress(steps):
    """Progress that is reported with an old lease does not show."""
    old, new = stale(steps)
    writes.save_progress(steps.db, [(old, 0.9, "nearly")])
    assert steps.get(new).progress is None


def test_of_a_batch_only_the_refused_are_reported(steps):
    """The others of the batch are stored; exactly the settlement with the old lease comes back."""
    old, _ = stale(steps)
    good, bad = steps.running(), steps.running()
    settlements = [
        Settlement(good, steps.completed()),
        Settlement(old, steps.completed()),
        Settlement(bad, steps.failed()),
    ]
    assert writes.settle(steps.db, Batch(settlements)) == [settlements[1]]
    assert [steps.status(good), steps.status(old), steps.status(bad)] == ["completed", "running", "failed"]


def test_of_a_batch_with_one_refused_the_others_are_looked_up_together(steps, monkeypatch):
    """One statement for each of 2,000, within the transaction, took seven times as long as settling them."""
    steps.enqueue_many(60)
    jobs = steps.claim(thread=60)
    writes.release(steps.db, jobs[:1], steps.now)
    asked, query_each = [], steps.db.query_each
    monkeypatch.setattr(steps.db, "query_each", lambda sql, ids: asked.append(len(ids)) or query_each(sql, ids))
    writes.settle(steps.db, Batch([Settlement(job, steps.completed()) for job in jobs]))
    assert sorted(asked) == [0, 60]


def test_of_a_large_batch_each_job_gets_its_own_outcome(steps):
    """More than one statement writes on any database: all results and times are right, and one taken away is told."""
    steps.enqueue_many(234)
    jobs = steps.claim(thread=234)
    gone, *kept = sorted(jobs, key=lambda job: job.id)
    writes.release(steps.db, [gone], steps.now)
    outcomes = {
        job.id: Outcome("completed", "completed", steps.now + place, steps.now + 2 * place, result=f'"{place}"')
        for place, job in enumerate(jobs)
    }
    batch = [Settlement(job, outcomes[job.id]) for job in jobs]
    assert [refused.job.id for refused in writes.settle(steps.db, Batch(batch))] == [gone.id]
    rows = steps.db.query("select id, result, started_at, finished_at from lateshift_jobs where status = 'completed'")
    expected = {
        job.id: (outcomes[job.id].result, outcomes[job.id].started_at, outcomes[job.id].finished_at) for job in kept
    }
    assert {row[0]: tuple(row[1:]) for row in rows} == expected
    assert reads.status(steps.db, gone.id) == "pending"


def test_a_deleted_job_is_refused(steps):
    """What a late worker settles about a job that is no longer there is reported, and leaves nothing behind."""
    job = steps.running()
    steps.lose(job)
    writes.cancel(steps.db, job.id, steps.now)
    writes.delete(steps.db, job.id)
    assert not steps.complete(job, logs=["a line"])
    assert everything(steps.db) == [(), (), ()]  # jobs, attempts, logs


@pytest.mark.parametrize("kind", ["completed", "failed", "cancelled", "retry_in", "snoozed"])
def test_settling_twice_changes_nothing(steps, kind):
    """A worker that is not sure whether its batch was written may write it again; it is not refused."""
    job = steps.running()
    outcome = getattr(steps, kind)(5) if kind in ("retry_in", "snoozed") else getattr(steps, kind)()
    assert steps.settle(job, outcome)
    before = everything(steps.db)
    assert steps.settle(job, outcome)
    assert everything(steps.db) == before


@pytest.mark.parametrize("written", ["completed", "cancelled", "snoozed"])
def test_settling_otherwise_is_refused(steps, written):
    """Only the very outcome that was written may be written again; another one of the same lease changes nothing."""
    job = steps.running()
    outcomes = {"completed": steps.completed(), "cancelled": steps.cancelled(), "snoozed": steps.snoozed(5)}
    assert steps.settle(job, outcomes.pop(written))
    before = everything(steps.db)
    for outcome in (*outcomes.values(), steps.retry_in(5), steps.failed()):
        assert not steps.settle(job, outcome)
    assert everything(steps.db) == before


def test_logs_are_kept_with_each_attempt(steps):
    """The lines of an attempt are found with it; an attempt without lines has none."""
    job = steps.running()
    steps.settle(job, Outcome("retry", "pending_retry", 1, 2, run_at=steps.now, error=ERROR, logs=("a", "", "b")))
    (job,) = steps.claim()
    steps.settle(job, steps.retry_in(0))
    (job,) = steps.claim()
    steps.complete(job, logs=["c"])
    assert [attempt.logs for attempt in steps.get(job).history] == [("a", "", "b"), (), ("c",)]


def test_logs_and_progress_of_a_running_attempt(steps):
    """What a running job has written so far can be read, and later lines take its place."""
    job = steps.running()
    writes.save_logs(steps.db, [(job, ["a"])])
    writes.save_progress(steps.db, [(job, 0.25, "a quarter")])
    found = steps.get(job)
    assert (found.progress, found.progress_message, found.history[0].logs) == (0.25, "a quarter", ("a",))
    writes.save_logs(steps.db, [(job, ["a", "b"])])
    assert steps.get(job).history[0].logs == ("a", "b")
    steps.complete(job, logs=["a", "b", "c"])
    assert steps.get(job).history[0].logs == ("a", "b", "c")


def test_late_lines_of_a_worker_thought_dead_leave_nothing_behind(steps):
    """Lines of a job that has been deleted meanwhile are not stored."""
    job = steps.running()
    steps.lose(job)
    writes.cancel(steps.db, job.id, steps.now)
    writes.delete(steps.db, job.id)
    writes.save_logs(steps.db, [(job, ["a"])])
    assert steps.db.query("select 1 from lateshift_logs") == []


def test_the_next_attempt_starts_without_progress(steps):
    """How far the last attempt came says nothing about the next."""
    job = steps.running()
    writes.save_progress(steps.db, [(job, 0.5, "half")])
    steps.settle(job, steps.retry_in(0))
    steps.claim()
    assert (steps.get(job).progress, steps.get(job).progress_message) == (None, None)


def test_release_restores_a_new_job(steps):
    """A job given back before it began is as if it had never been claimed, in its old place."""
    first = steps.enqueue()
    before = steps.get(first)
    claimed = steps.claim()
    second = steps.enqueue()
    writes.release(steps.db, claimed, steps.now)
    assert steps.get(first) == before
    assert steps.claim_ids() == [first, second]


@pytest.mark.parametrize("kind", ["retry_in", "snoozed", "returned", "lose"])
def test_release_restores_a_waiting_retry(steps, kind):
    """A job that had been attempted waits again as a retry, with the same count of attempts and crashes."""
    job = steps.running()
    if kind == "lose":
        steps.lose(job)
    else:
        steps.settle(job, getattr(steps, kind)(0))
    before = steps.get(job)
    writes.release(steps.db, steps.claim("worker-2"), steps.now)
    after = steps.get(job)
    for field in ("status", "attempts", "crashes", "run_at", "finished_at", "error", "history"):
        assert getattr(after, field) == getattr(before, field), field


def test_release_restores_what_an_operator_retried(steps):
    """A job that waits because an operator retried it still waits as a retry."""
    job_id = steps.finished("failed")
    writes.retry(steps.db, job_id, steps.now)
    writes.release(steps.db, steps.claim(), steps.now)
    assert (steps.get(job_id).status, steps.get(job_id).attempts) == ("pending_retry", 0)


def test_release_of_many(steps):
    """A whole claim can be given back, and comes again in the same order."""
    ids = steps.enqueue_many(50)
    writes.release(steps.db, steps.claim(), steps.now)
    assert steps.claim_ids("worker-2") == ids


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("completed", "completed"),
        ("failed", "failed"),
        ("cancelled", "cancelled"),
        ("retry_in", "cancelled"),
        ("snoozed", "cancelled"),
        ("returned", "cancelled"),
    ],
)
def test_a_cancel_between_deciding_and_settling(steps, clock, kind, status):
    """A cancel that comes after the job's code has ended keeps it from another attempt, and changes no final end."""
    job = steps.running()
    outcome = getattr(steps, kind)(5) if kind in ("retry_in", "snoozed", "returned") else getattr(steps, kind)()
    assert writes.cancel(steps.db, job.id, steps.now) == "running"
    assert steps.settle(job, outcome)
    found = steps.get(job)
    assert (found.status, found.finished_at) == (status, clock.at)
    clock.move(60)
    assert steps.claim() == []
    assert steps.settle(job, outcome), "settling again is no other than before"


def test_a_job_whose_worker_died_after_a_cancel_is_cancelled(steps):
    """A rescue does not bring back what an operator has cancelled."""
    job = steps.running()
    writes.cancel(steps.db, job.id, steps.now)
    steps.lose(job)
    assert steps.status(job) == "cancelled"


def test_a_cancelled_job_that_is_given_back_is_cancelled(steps, clock):
    """What was cancelled before it began does not wait again when its worker gives it back."""
    job = steps.running()
    writes.cancel(steps.db, job.id, steps.now)
    writes.release(steps.db, [job], steps.now)
    found = steps.get(job)
    assert (found.status, found.finished_at, found.attempts) == ("cancelled", clock.at, 0)
