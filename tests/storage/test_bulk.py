"""Bulk actions: on ids and on searches, in steps, only on the jobs they apply to; and deletion can be undone."""

from __future__ import annotations

import pytest
from storage_steps import everything

from lateshift.errors import InvalidOption
from lateshift.job import FINISHED, STATUSES, WAITING
from lateshift.query import Query, Term, parse
from lateshift.storage import bulk, reads, streams, trash, writes
from lateshift.storage.bulk import BulkAction
from lateshift.storage.counting import Count


def one_of_each(steps) -> dict[str, str]:
    """A job in each state, by the state."""
    return {status: steps.in_status(status) for status in STATUSES}


AFTER = {
    "retry": {"failed": "pending_retry", "cancelled": "pending_retry", "pending_retry": "pending_retry"},
    "cancel": {"pending": "cancelled", "pending_retry": "cancelled", "running": "running"},
    "delete": {"completed": None, "failed": None, "cancelled": None},
    "purge": {"pending": None, "pending_retry": None},
    "priority": {"pending": "pending", "pending_retry": "pending_retry"},
    "run_now": {"pending_retry": "pending_retry"},
}


@pytest.mark.parametrize("action", bulk.STATUSES)
@pytest.mark.parametrize("by", ["ids", "search"])
def test_an_action_takes_what_it_applies_to(steps, action, by):
    """Jobs in other states stay as they are, however they were chosen."""
    jobs = one_of_each(steps)
    target = list(jobs.values()) if by == "ids" else parse("queue:default")
    options = {"priority": 7} if action == "priority" else {}
    done = BulkAction(steps.db, action, target, **options).run()
    assert {status: steps.status(job_id) for status, job_id in jobs.items()} == {
        status: AFTER[action].get(status, status) for status in STATUSES
    }
    assert (done.changed, done.finished) == (len(AFTER[action]), True)
    assert done.total.number == (6 if by == "ids" else len(bulk.STATUSES[action]))
    assert (done.undo is not None) == (action in bulk.TAKEN_BACK)


def test_a_part_of_a_path_is_whole_segments(steps):
    """As in a list of jobs, so that an action takes what that shows."""
    names = ["app.jobs.Order.handle", "app.jobs.ProcessOrder.handle", "app.jobs.order"]
    order, *others = [steps.enqueue(name=name) for name in names]
    done = BulkAction(steps.db, "cancel", Query((Term("path", ("Order",)), Term("queue", ("default",))))).run()
    assert (done.seen, done.changed) == (1, 1)
    assert [steps.status(job) for job in (order, *others)] == ["cancelled", "pending", "pending"]


def test_what_the_actions_write(steps, clock):
    """Retried jobs have all their attempts, running ones are asked to stop, priorities and due times are new."""
    jobs = one_of_each(steps)
    later = steps.enqueue(delay=3600)
    clock.move(1)
    BulkAction(steps.db, "retry", [jobs["failed"]]).run()
    assert (steps.get(jobs["failed"]).attempts, steps.get(jobs["failed"]).run_at) == (0, clock.at)
    BulkAction(steps.db, "cancel", [jobs["running"]]).run()
    assert steps.get(jobs["running"]).cancel_requested
    BulkAction(steps.db, "priority", [later], priority=9).run()
    assert (steps.get(later).priority, steps.get(later).run_at > clock.at) == (9, True)
    assert BulkAction(steps.db, "priority", [later], priority=9).run().changed == 0
    BulkAction(steps.db, "run_now", [later, jobs["pending"]]).run()
    assert steps.get(later).run_at == clock.at
    assert steps.claim_ids()[0] == later


def test_a_new_priority_meets_each_job_once(steps):
    """Also those that it moves to a place further on in the order of waiting jobs."""
    steps.enqueue(priority=7, delay=500)
    steps.enqueue_many(600)
    done = BulkAction(steps.db, "priority", parse("status:waiting"), priority=7).run()
    assert (done.seen, done.changed) == (600, 600)
    assert steps.db.query("select distinct priority from lateshift_jobs") == [(7,)]


def test_many_jobs_take_several_steps(steps):
    """Each step is of 500 at most; what was done stays done when nobody goes on."""
    steps.enqueue_many(1_200, queue="mail")
    steps.enqueue_many(3)
    action, seen = BulkAction(steps.db, "cancel", parse("queue:mail")), [0]
    assert action.progress.total == Count(1_200) or action.progress.total.more  # it is counted for a moment only
    while not action.step().finished:
        assert 0 <= action.progress.seen - seen[-1] <= 500
        seen.append(action.progress.seen)
    assert (action.progress.seen, action.progress.changed) == (1_200, 1_200)
    assert len(seen) > 3
    assert steps.db.query("select count(*) from lateshift_jobs where status = 'pending'") == [(3,)]


@pytest.mark.parametrize(
    ("action", "text", "changed"),
    [
        ("delete", "status:failed", 1),
        ("cancel", "status:pending", 1),
        ("cancel", "status:running", 1),
        ("run_now", "status:pending_retry", 1),
        ("purge", "queue:default", 2),
        ("purge", "id:0", 2),
    ],
)
def test_what_comes_later_is_left_alone(steps, clock, action, text, changed):
    """A search that runs in the background ends, although new jobs match it all the while."""
    one_of_each(steps)
    work = BulkAction(steps.db, action, parse(text))
    clock.move(1)
    late = [steps.get(job_id) for job_id in one_of_each(steps).values()]
    assert work.run().changed == changed
    assert [steps.get(job.id) for job in late] == late


def test_what_was_there_is_taken_though_it_waits_again(steps, clock):
    """What counts is when a job was enqueued, not since when it waits."""
    job = steps.running()
    work = BulkAction(steps.db, "cancel", parse("status:waiting"))
    clock.move(1)
    steps.settle(job, steps.retry_in(60))
    assert work.run().changed == 1
    assert steps.status(job) == "cancelled"


def test_every_lane_is_taken(steps, monkeypatch):
    """Also where there are more of them than a page looks at."""
    monkeypatch.setattr(streams, "MOST_LANES", 2)
    for number in range(3):
        steps.enqueue(queue=f"queue-{number}", priority=number + 1)
    done = BulkAction(steps.db, "cancel", parse("status:pending")).run()
    assert (done.total == Count(3) or done.total.more, done.changed) == (True, 3)


def test_retrying_all_that_failed_visits_each_once(steps):
    """What the action itself makes wait is not met again."""
    for _ in range(3):
        steps.finished("failed")
        steps.in_status("pending_retry")
    done = BulkAction(steps.db, "retry", parse("queue:default")).run()
    assert (done.seen, done.changed) == (6, 6)


@pytest.mark.parametrize("action", ["delete", "purge"])
def test_a_deletion_can_be_undone(steps, place, action):
    """Everything is as it was, attempts, logs and age included."""
    job = steps.running()
    steps.settle(job, steps.retry_in(0))
    (job,) = steps.claim()
    steps.complete(job, result='{"a":1}', logs=["a line", "another"])
    for status in (*FINISHED, *WAITING):
        steps.in_status(status)
    before = everything(steps.db)
    done = BulkAction(steps.db, action, parse("queue:default")).run()
    assert (done.changed, done.undo is None) == (4 if action == "delete" else 2, False)
    assert everything(steps.db) != before
    assert trash.can_restore(place.open(), done.undo)
    assert trash.restore(place.open(), done.undo) == done.changed
    assert everything(steps.db) == before
    assert trash.restore(steps.db, done.undo) == 0


@pytest.fixture
def long_history(steps) -> str:
    """A failed job with the logs of several attempts, each longer than a row of the trash is to be."""
    job_id = steps.finished("failed")
    for lease in range(2, 5):
        steps.db.execute(
            'insert into lateshift_logs (job_id, lease, number, "lines") values (:id, :lease, :lease, :lines)',
            {"id": job_id, "lease": lease, "lines": f'["{"x" * trash.PART}"]'},
        )
    return job_id


def test_a_job_with_much_history_is_kept_in_several_rows(steps, long_history):
    """It comes back whole, and none of them stays."""
    other, before = steps.finished("failed"), everything(steps.db)
    batch = BulkAction(steps.db, "delete", [long_history, other]).run().undo
    assert steps.db.query("select count(*) from lateshift_trash") == [(4,)]
    assert trash.restore(steps.db, f"{batch}.1") == 0, "a history without its job"
    assert trash.restore(steps.db, batch) == 2
    assert everything(steps.db) == before
    assert steps.db.query("select count(*) from lateshift_trash") == [(0,)]


def test_the_history_of_a_job_is_given_up_with_it(steps, clock, long_history, monkeypatch):
    """Not before the whole deletion that took it, nor later."""
    monkeypatch.setattr(trash, "PORTION", 1)
    action = BulkAction(steps.db, "delete", [long_history, steps.finished("failed")])
    action.step()
    clock.move(590)
    action.run()
    for moved, left in ((20, 4), (600, 0)):
        clock.move(moved)
        trash.empty(steps.db, steps.now)
        assert steps.db.query("select count(*) from lateshift_trash") == [(left,)]


def test_large_jobs_are_deleted_and_brought_back_a_few_at_a_time(steps, monkeypatch):
    """So that nobody waits for long, and no process needs much memory: with 1 MB each, 500 took 5 s and 1 GB."""
    monkeypatch.setattr(trash, "PORTION", 10_000)
    ids = [steps.enqueue(parameters=f'"{"x" * 4_000}"') for _ in range(5)]
    ids.append(steps.enqueue(parameters=f'"{"x" * 20_000}"'))
    action, seen = BulkAction(steps.db, "purge", ids), []
    while not action.step().finished:
        seen.append(action.progress.changed)
    assert seen == [2, 4, 5, 6]
    restored = [trash.restore(steps.db, action.id) for _ in range(5)]
    assert (sum(restored), max(restored), restored[-1]) == (6, 2, 0)


def test_a_job_comes_back_though_its_number_is_taken(steps):
    """SQLite gives the number of the newest row to the next one, if that row was deleted."""
    job_id = steps.finished("completed")
    done = BulkAction(steps.db, "delete", [job_id]).run()
    other = steps.enqueue()
    assert trash.restore(steps.db, done.undo) == 1
    assert (steps.status(job_id), steps.status(other)) == ("completed", "pending")
    assert {job.id for job in reads.list_jobs(steps.db)} == {job_id, other}


def test_after_ten_minutes_it_is_too_late(steps, clock):
    """The trash is emptied; until then it is not."""
    job_id = steps.finished("failed")
    done = BulkAction(steps.db, "delete", [job_id]).run()
    clock.move(599)
    trash.empty(steps.db, steps.now)
    assert trash.can_restore(steps.db, done.undo)
    clock.move(2)
    trash.empty(steps.db, steps.now)
    assert not trash.can_restore(steps.db, done.undo)
    assert trash.restore(steps.db, done.undo) == 0


def test_a_long_deletion_is_kept_for_ten_minutes_from_its_end(steps, clock):
    """As a whole: what its first step took goes with what the last one took."""
    action = BulkAction(steps.db, "purge", steps.enqueue_many(600))
    clock.move(601)
    action.step()
    clock.move(599)
    action.run()
    clock.move(599)
    trash.empty(steps.db, steps.now)
    assert steps.db.query("select count(*) from lateshift_trash") == [(600,)]
    clock.move(2)
    trash.empty(steps.db, steps.now)
    assert not trash.can_restore(steps.db, action.id)


def test_many_deleted_jobs_are_given_up_in_a_row(steps, clock, monkeypatch):
    """A turn takes some and says that there are more: at one turn each half minute a million stayed for three hours."""
    monkeypatch.setattr(trash, "_LARGE", 2)
    BulkAction(steps.db, "purge", steps.enqueue_many(3)).run()
    clock.move(601)
    assert [trash.empty(steps.db, steps.now) for _ in range(2)] == [True, False]
    assert steps.db.query("select count(*) from lateshift_trash") == [(0,)]


def test_restoring_what_is_there_changes_nothing(steps):
    """Two that undo at once bring each job back once."""
    job_id = steps.finished("failed")
    batch = BulkAction(steps.db, "delete", [job_id]).run().undo
    content = steps.db.query("select content, deleted_at from lateshift_trash")
    assert trash.restore(steps.db, batch) == 1
    steps.db.execute(
        "insert into lateshift_trash (batch, job_id, deleted_at, content) values (:batch, :id, :at, :content)",
        {"batch": batch, "id": job_id, "at": content[0][1], "content": content[0][0]},
    )
    assert trash.restore(steps.db, batch) == 1
    assert len(reads.list_jobs(steps.db)) == 1


def test_refusals(steps):
    """An action that there is not, and a priority that cannot be."""
    with pytest.raises(InvalidOption, match="known are retry"):
        BulkAction(steps.db, "explode", [])
    with pytest.raises(InvalidOption, match="from 1 to 10"):
        BulkAction(steps.db, "priority", [], priority=11)


def test_nobody_claims_what_is_being_purged(steps, place):
    """A job that a worker has taken in between is passed over."""
    ids = steps.enqueue_many(3)
    action = BulkAction(place.open(), "purge", parse("status:pending"))
    taken = writes.claim_one(steps.db, "worker-1", steps.now, ids[1])
    assert action.run().changed == 2
    assert steps.complete(taken)


def test_the_row_of_a_job_can_be_had_again(steps):
    """What it was enqueued with, to enqueue another one like it."""
    job = steps.new(queue="mail", priority=4, parameters='{"a":1}')
    writes.enqueue(steps.db, [job])
    assert bulk.original(steps.db, job.id) == job
    assert bulk.original(steps.db, "nobody") is None
