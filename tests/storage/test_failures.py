"""Error groups: failures of one kind are one line, their jobs are found, and a resolved one comes back."""

from __future__ import annotations

import pytest

from lateshift.fingerprint import fingerprint
from lateshift.job import JobError
from lateshift.outcome import Outcome
from lateshift.query import parse
from lateshift.storage import failures, search
from lateshift.storage.bulk import BulkAction
from lateshift.storage.failures import HOUR, FailureCount

TIMEOUT = JobError("shop.Timeout", "no answer to order 17", 'Traceback\n  File "/srv/shop/pay.py", line 3, in charge\n')
OTHER = JobError("KeyError", "'name'", 'Traceback\n  File "/srv/shop/jobs.py", line 9, in handle\n')
NAME = "app.jobs.send"


def count(error: JobError, at: int, failed: int = 1, retried: int = 0, **fields: object) -> FailureCount:
    """What a worker has counted."""
    known = {"name": NAME, "message": error.message, "first_at": at, "last_at": at, "job_id": "0190-a", **fields}
    return FailureCount(fingerprint=fingerprint(error), failed=failed, retried=retried, **known)


def store(steps, worker: str, counts: list[FailureCount]) -> None:
    """As a worker does every ten seconds."""
    failures.add(steps.db, worker, failures.summed(steps.db, worker, counts))


def fail(steps, error: JobError = TIMEOUT, *, kind: str = "failed", name: str = NAME) -> str:
    """A job that failed so; its id."""
    job = steps.running(name=name)
    status = "failed" if kind == "failed" else "pending_retry"
    run_at = None if kind == "failed" else steps.now + 3_600_000_000
    assert steps.settle(job, Outcome(kind, status, steps.now, steps.now, run_at=run_at, error=error))
    return job.id


def ids(steps, text: str) -> list[str]:
    return [job.id for job in search.search(steps.db, parse(text)).jobs]


@pytest.mark.parametrize("folded", [False, True])
def test_groups_add_up(steps, clock, folded):
    """Over workers, callables and hours: how often, since when, where, and how it went on."""
    start = steps.now
    store(steps, "a", [count(TIMEOUT, start, 2, 3), count(OTHER, start)])
    clock.move(7200)
    store(steps, "a", [count(TIMEOUT, steps.now, 1, name="app.jobs.mail", job_id="0190-b")])
    store(steps, "b", [count(TIMEOUT, steps.now - 1, 1)])
    store(steps, "b", [count(TIMEOUT, steps.now - 2, 1)])
    if folded:
        assert failures.fold_failures(steps.db, steps.now + 2 * HOUR) == 4
        assert failures.fold_failures(steps.db, steps.now + 2 * HOUR) == 0
    first, second = failures.groups(steps.db, start, steps.now)
    assert (first.type, first.place, first.message) == ("shop.Timeout", "shop/pay.py: charge", TIMEOUT.message)
    assert (first.failed, first.retried, first.count) == (5, 3, 8)
    assert (first.first_at, first.last_at, first.job_id) == (start, steps.now, "0190-b")
    assert first.names == ("app.jobs.mail", NAME)
    assert (sum(first.trend), first.trend[0], first.state) == (8, 5, "open")
    assert (second.fingerprint, second.count) == (fingerprint(OTHER).key, 1)
    [only] = failures.groups(steps.db, start, steps.now, fingerprint=first.fingerprint)
    assert only == first


def test_a_resolved_group_comes_back(steps, clock):
    """It stays resolved until it is seen again, and can be opened by hand."""
    key = fingerprint(TIMEOUT).key
    store(steps, "a", [count(TIMEOUT, steps.now)])

    def state() -> str:
        return failures.groups(steps.db, steps.now - 3 * HOUR)[0].state

    assert state() == "open"
    clock.move(1)
    assert failures.resolve(steps.db, key, "ada", steps.now)
    assert state() == "resolved"
    assert failures.groups(steps.db, steps.now - HOUR)[0].resolved_by == "ada"
    clock.move(1)
    store(steps, "a", [count(TIMEOUT, steps.now)])
    assert state() == "returned"
    assert failures.reopen(steps.db, key)
    assert state() == "open"
    assert not failures.resolve(steps.db, "no such group", "ada", steps.now)


def test_old_groups_go(steps, clock):
    """After thirty days without being seen a group is forgotten."""
    store(steps, "a", [count(TIMEOUT, steps.now)])
    clock.move(20 * 86_400)
    store(steps, "a", [count(OTHER, steps.now)])
    clock.move(11 * 86_400)
    for _ in range(3):
        failures.prune_failures(steps.db, steps.now)
    [left] = failures.groups(steps.db, 0)
    assert left.type == "KeyError"
    assert steps.db.query("select count(*) from lateshift_groups") == [(1,)]


def test_the_jobs_of_a_group_are_found(steps):
    """By the fingerprint of their last failure, the newest first, in any state or in one."""
    key = fingerprint(TIMEOUT).key
    failed = [fail(steps), fail(steps)]
    other = fail(steps, OTHER)
    waiting = fail(steps, kind="retry")
    assert ids(steps, f"fingerprint:{key}") == [waiting, *failed[::-1]]
    assert ids(steps, f"fingerprint:{key} status:failed") == failed[::-1]
    assert ids(steps, f"fingerprint:{fingerprint(OTHER).key}") == [other]
    assert ids(steps, "error:timeout") == [waiting, *failed[::-1]]
    counts = search.state_counts(steps.db, parse(f"fingerprint:{key}"))
    assert (counts["failed"].number, counts["pending_retry"].number) == (2, 1)


def test_the_last_failure_counts(steps, clock):
    """A job that failed in another way since is no longer of the group; a snooze in between changes nothing."""
    job_id = fail(steps, kind="retry")
    clock.move(3600)
    (job,) = steps.claim()
    steps.settle(job, steps.snoozed(0))
    assert ids(steps, f"fingerprint:{fingerprint(TIMEOUT).key}") == [job_id]
    (job,) = steps.claim()
    steps.settle(job, Outcome("failed", "failed", steps.now, steps.now, error=OTHER))
    assert ids(steps, f"fingerprint:{fingerprint(TIMEOUT).key}") == []
    assert ids(steps, f"fingerprint:{fingerprint(OTHER).key}") == [job_id]


def test_a_whole_group_is_retried_or_dismissed(steps):
    """All its jobs that have failed for good, and no others."""
    mine, other = [fail(steps) for _ in range(3)], fail(steps, OTHER)
    group = parse(f"fingerprint:{fingerprint(TIMEOUT).key}")
    done = BulkAction(steps.db, "retry", group).run()
    assert (done.changed, done.total.number) == (3, 3)
    assert {steps.status(job_id) for job_id in mine} == {"pending_retry"}
    rest = parse(f"fingerprint:{fingerprint(OTHER).key}")
    assert BulkAction(steps.db, "delete", rest).run().changed == 1
    assert steps.status(other) is None
