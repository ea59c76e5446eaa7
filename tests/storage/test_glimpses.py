"""What an overview shows: a few jobs of each kind, and whether anything changed."""

from __future__ import annotations

import itertools

import pytest

from lateshift.storage import glimpses, writes
from lateshift.storage.pulse import pulse


def test_a_few_running_jobs_the_longest_first(steps, clock):
    """Of what runs, those come that began first."""
    ids = []
    for _ in range(3):
        ids.append(steps.in_status("running"))
        clock.move(1)
    assert [job.id for job in glimpses.running(steps.db, 2)] == ids[:2]


def test_the_latest_to_finish_come_first(steps, clock):
    """Of one status, and no more than asked for."""
    ids = []
    for _ in range(3):
        ids.append(steps.in_status("failed"))
        clock.move(1)
    steps.in_status("completed")
    assert [job.id for job in glimpses.latest(steps.db, "failed", 2)] == ids[:0:-1]


def test_what_comes_next_is_what_is_due_next(steps):
    """Over all queues and priorities, without what is due already."""
    now = steps.db.now()
    steps.enqueue()
    later = [
        steps.enqueue(delay=30, queue="b"),
        steps.enqueue(delay=10, priority=9),
        steps.enqueue(delay=20),
        steps.enqueue(delay=90),
    ]
    found = glimpses.upcoming(steps.db, now, 3)
    assert [job.id for job in found] == [later[1], later[2], later[0]]


def test_what_comes_next_is_found_in_the_last_of_many_queues(steps, monkeypatch):
    """Whatever its name, and also where it waits behind the due jobs of one queue of many."""
    monkeypatch.setattr(glimpses, "PIECE", 2)
    later = [steps.enqueue(delay=delay, queue=f"q{delay}") for delay in (10, 20, 30, 40)]
    for number in range(5):
        steps.enqueue(queue=f"busy-{number}")
    soon = [steps.enqueue(delay=delay, queue=queue) for queue, delay in (("urgent", 1), ("busy-4", 2))]
    assert [job.id for job in glimpses.upcoming(steps.db, steps.now, 4)] == [*soon, *later[:2]]


@pytest.mark.parametrize("status", ["pending", "running", "completed", "failed", "cancelled"])
def test_the_pulse_changes_when_something_comes(steps, status):
    """A job in whatever status makes it differ, and without a change it stays."""
    before = pulse(steps.db)
    assert pulse(steps.db) == before
    steps.in_status(status)
    assert pulse(steps.db) != before


def test_the_pulse_changes_with_pauses_and_requests(steps, clock):
    """A pause and a request to cancel are changes as well."""
    job = steps.in_status("running")
    seen = [pulse(steps.db)]
    writes.cancel(steps.db, job, steps.db.now())
    seen.append(pulse(steps.db))
    writes.pause_queue(steps.db, "mail", steps.db.now())
    seen.append(pulse(steps.db))
    writes.pause_queue(steps.db, "mail", None)
    seen.append(pulse(steps.db))
    assert len(set(seen)) >= 3
    assert all(one != other for one, other in itertools.pairwise(seen))


def test_the_names_of_the_newest_jobs(steps):
    """Each callable once, also of jobs that have not run yet."""
    for name in ("app.b", "app.a", "app.b"):
        steps.enqueue(name=name)
    assert glimpses.newest_names(steps.db) == ["app.a", "app.b"]
