"""What a worker does between two turns: it sleeps, also while there is something to do and no room for it."""

from __future__ import annotations

import math
import threading

import pytest
from worker_here import store, worker_in

from lateshift.enqueuing import new_id
from lateshift.job import NewJob
from lateshift.runtime import rounds
from lateshift.runtime.worker import FULL_PAUSE
from lateshift.storage import reads, writes

began, go = threading.Event(), threading.Event()


def nothing() -> None:
    pass


def fail() -> None:
    go.wait(30)
    raise ValueError


def hold() -> None:
    began.set()
    go.wait(30)


@pytest.fixture
def worker(tmp_path):
    """A worker that may run one more job, and does."""
    began.clear()
    go.clear()
    with worker_in(tmp_path, allowed=[__name__], max_jobs=1) as worker:
        for _ in range(2):
            store(worker, f"{__name__}.hold")
        worker.turn()
        assert began.wait(20)
        yield worker
        go.set()
        worker.run()


@pytest.fixture
def pauses(worker, monkeypatch):
    """What it sleeps for; the fifth time it is told to stop."""
    pauses = []

    def wait(seconds):
        pauses.append(seconds)
        if len(pauses) == 5:
            worker.tell("now")
        return False

    with monkeypatch.context() as patch:
        patch.setattr(worker._wake, "wait", wait)
        yield pauses


def turn(worker):
    """So that nothing is due for a while: not what came in, and no duty."""
    worker.turn()
    worker._next_beat, worker.rota._next = math.inf, {0: worker._clock.monotonic() + 60}


def test_it_does_not_turn_for_what_it_has_no_room_for(worker, pauses):
    """It turned without a pause, and kept Python's lock from the jobs that ran, for as long as they did."""
    turn(worker)
    assert worker.ledger.look
    worker._wait()
    assert pauses == pytest.approx([FULL_PAUSE] * 5, rel=0.5)


def test_it_does_not_turn_for_what_becomes_due_while_it_drains(worker, pauses):
    """Nor for what is due and may not be claimed any more."""
    worker.dismiss("drain")
    turn(worker)
    worker.ledger.due_at = worker._db.now() - 1
    worker._wait()
    assert len(pauses) == 5
    assert min(pauses) > 0


def test_the_last_jobs_of_a_worker_are_counted_over_all_kinds(tmp_path):
    """With `max_jobs` of 2 it took two of each kind, and interrupted those that were left when two had ended."""
    with worker_in(tmp_path, allowed=[__name__], max_jobs=2) as worker:
        for kind in ("thread", "loop", "process"):
            for _ in range(2):
                store(worker, f"{__name__}.nothing", executor=kind)
        worker.run()
        assert worker.ledger.ended == 2
        assert reads.counts(worker._db)["completed"] == 2
        assert not worker._db.query("select 1 from lateshift_jobs where lease > 1 or (lease = 1 and attempts = 0)")


def test_it_waits_for_a_retry_in_a_queue_that_the_round_has_passed(tmp_path, monkeypatch):
    """Of more queues than a turn looks at, all are seen once more before the worker sleeps."""
    monkeypatch.setattr(rounds, "MOST", 12)
    go.clear()
    with worker_in(tmp_path, allowed=[__name__]) as worker:
        now = worker._db.now()
        due = {"queue-00": now, **{f"queue-{number}": now + 60_000_000 for number in range(10, 50)}}
        row = (f"{__name__}.fail", "thread", 1, "{}", 3)
        jobs = [NewJob(new_id(now), row[0], queue, *row[1:], run_at, now) for queue, run_at in due.items()]
        writes.enqueue(worker._db, jobs)
        while worker.ledger.look:
            worker.turn()
        worker.look_again()
        worker.turn()
        go.set()
        while not worker.crew.inbox:
            worker._wake.wait(20)
        while worker.ledger.look:
            worker.turn()
        assert worker.ledger.due_at < now + 30_000_000
