"""A worker whose lease has run out, and that does not know yet whether others took it for dead."""

from __future__ import annotations

import math
import sqlite3

import pytest
from worker_here import store, worker_in

from lateshift.storage import workers


@pytest.fixture
def worker(tmp_path):
    """A worker with a job that waits for it."""
    with worker_in(tmp_path, burst=True) as worker:
        store(worker, "app.jobs.add")
        yield worker


def jobs(worker):
    return worker._db.query("select status, attempts, lease from lateshift_jobs")


def test_who_was_taken_for_dead_claims_nothing(worker):
    """Its row is gone: a job that it claimed now would be held by nobody, and be counted as crashed without a crash."""
    workers.remove_worker(worker._db, "mine")
    worker.crew.lease_until = 0.0
    assert worker.run() == "evicted"
    assert jobs(worker) == [("pending", 0, 0)]


def test_who_was_not_goes_on_with_its_next_heartbeat(worker):
    """The database was away, and nobody took its jobs: the heartbeat is written first, and gives it a lease again."""
    worker.crew.lease_until = 0.0
    worker.turn()
    assert worker.crew.in_lease
    assert jobs(worker) == [("running", 1, 1)]
    worker.tell("now")
    assert worker.run() == "stopped"


def test_who_could_not_tell_of_itself_claims_nothing(worker):
    """It woke and found the database away, and others had taken it for dead: a heartbeat comes before a claim still."""
    worker._next_beat = math.inf
    worker._fence._renewed_at -= 10.0
    worker._db._busy_timeout = 0.05
    lock = sqlite3.connect(worker._db.file, isolation_level=None)
    lock.execute("begin immediate")
    worker.turn()
    assert worker._trouble_until > 0
    lock.close()
    workers.remove_worker(worker._db, "mine")
    worker._trouble_until = 0.0
    assert worker.run() == "evicted"
    assert jobs(worker) == [("pending", 0, 0)]


def test_who_slept_with_nothing_in_hand_goes_on(worker):
    """Every morning the workers of a laptop told where their threads stood, and were replaced."""
    worker._fence._renewed_at -= 60.0
    worker.turn()
    assert jobs(worker) == [("running", 1, 1)]
    worker.tell("now")
    assert worker.run() == "stopped"


def test_who_slept_for_a_while_tells_of_itself_at_once(worker):
    """By the clock that stood still meanwhile the next heartbeat is due in five seconds: others have waited for it."""
    worker.turn()
    worker._db.execute("update lateshift_workers set heartbeat_at = 0")
    worker._fence._renewed_at -= 10.0
    worker.turn()
    assert worker._db.query("select heartbeat_at > 0 from lateshift_workers") == [(1,)]
    worker.tell("now")
    assert worker.run() == "stopped"
