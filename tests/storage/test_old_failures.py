"""What has broken other systems of this kind, once: each is tried on every database."""

from __future__ import annotations

import threading

from storage_steps import Steps

from lateshift.events import Events
from lateshift.runtime.duties import rescue
from lateshift.storage import reads, writes


def test_numbers_beyond_32_bits(steps):
    """After three thousand million jobs the next one is enqueued, claimed, settled and pruned like any other."""
    first = steps.enqueue()
    steps.db.execute("update lateshift_jobs set seq = 3000000000 where id = :id", {"id": first})
    if steps.db.dialect.name == "postgres":
        steps.db.query("select setval(pg_get_serial_sequence('lateshift.jobs', 'seq'), 3000000000)")
    ids = [first, steps.enqueue(), steps.enqueue()]
    numbers = [seq for (seq,) in steps.db.query("select seq from lateshift_jobs order by seq")]
    assert numbers == [3_000_000_000, 3_000_000_001, 3_000_000_002]
    claimed = steps.claim(thread=2)
    assert [job.id for job in claimed] == ids[:2]
    assert all(steps.complete(job) for job in claimed)
    assert [job.id for job in reads.list_jobs(steps.db, limit=10)] == ids[::-1]
    steps.clock.move(10)
    assert writes.prune(steps.db, steps.now) == 2


def test_a_dead_worker_that_held_a_thousand_jobs(steps):
    """All of its jobs are taken back at once, whatever their callables are: none is left behind the first page."""
    steps.register()
    steps.enqueue_many(1200, name="gone.with.the_release")
    assert len(steps.claim(thread=1200)) == 1200
    assert rescue(steps.db, Events(), "worker-1", None) == 1200
    found = steps.db.query("select status, crashes, attempts, count(*) from lateshift_jobs group by 1, 2, 3")
    assert found == [("pending_retry", 1, 0, 1200)]
    assert reads.workers(steps.db) == []


def test_two_who_rescue_at_once_count_one_crash(place, clock):
    """Everybody may rescue; of two who find the same worker dead in the same moment, one takes its jobs."""
    steps, other = (Steps(place.open(), clock) for _ in range(2))
    steps.register()
    steps.enqueue_many(50)
    steps.claim(thread=50)
    start, took = threading.Barrier(2), []

    def take(db) -> None:
        start.wait()
        took.append(rescue(db, Events(), "worker-1", None, clock.now()))

    thread = threading.Thread(target=take, args=(other.db,))
    thread.start()
    take(steps.db)
    thread.join()
    assert sorted(took) == [0, 50]
    assert steps.db.query("select status, crashes, count(*) from lateshift_jobs group by 1, 2") == [
        ("pending_retry", 1, 50)
    ]


def test_a_rolled_back_enqueue_leaves_nothing_to_find(steps):
    """A job that was undone with its transaction is neither claimed nor listed, and its id can be stored again."""
    job = steps.new()
    try:
        with steps.db.transaction():
            writes.enqueue(steps.db, [job])
            raise LookupError
    except LookupError:
        pass
    assert steps.status(job.id) is None
    assert steps.claim() == []
    writes.enqueue(steps.db, [job])
    assert steps.claim_ids() == [job.id]
