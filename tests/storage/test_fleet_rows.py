"""Promise 3 and what surrounds it: workers' rows, heartbeats, signing off, the last look at what waits."""

from __future__ import annotations

import threading

import pytest
from storage_steps import SECOND

from lateshift import errors
from lateshift.host.fleet import serves
from lateshift.options import check_queue
from lateshift.outcome import unwritten
from lateshift.storage import reads, workers, writes


def test_a_worker_reads_back_as_it_registered(steps):
    """Its row has what it said, its start and its first heartbeat."""
    steps.register("runner-1", "runner", ("mail", "reports"))
    (row,) = reads.workers(steps.db)
    assert (row.id, row.kind, row.host, row.pid, row.folder) == ("runner-1", "runner", "host-1", 4711, "/run/lateshift")
    assert (row.queues, row.version, row.started_at, row.heartbeat_at) == (
        ("mail", "reports"),
        "1.0",
        steps.now,
        steps.now,
    )


@pytest.mark.parametrize("queues", [(), ("mail",), ("a,b",), ("a b", "ü;'\"")])
def test_queue_names_of_a_worker_are_kept(steps, queues):
    """Whatever a queue may be called, the worker's row says that it serves it."""
    steps.register(queues=queues)
    assert reads.workers(steps.db)[0].queues == queues


def test_a_heartbeat_renews_the_lease(steps, clock):
    """It moves the time of one worker only."""
    steps.register("worker-1")
    steps.register("worker-2")
    clock.move(5)
    assert workers.heartbeat(steps.db, "worker-1", steps.now)
    ages = {row.id: steps.now - row.heartbeat_at for row in reads.workers(steps.db)}
    assert ages == {"worker-1": 0, "worker-2": 5 * SECOND}


def test_a_workers_jobs_are_counted(steps):
    """What is held at the moment of asking counts, for each worker by itself."""
    steps.register("worker-1")
    steps.register("worker-2")
    jobs = [steps.running("worker-1") for _ in range(3)]
    assert reads.held_jobs(steps.db) == {"worker-1": 3}
    steps.complete(jobs[0])
    assert reads.held_jobs(steps.db) == {"worker-1": 2}


def test_a_worker_that_was_declared_dead_learns_it(steps, place):
    """The heartbeat of a worker whose row others have removed says so and makes no new row."""
    steps.register("worker-1")
    assert workers.remove_worker(place.open(), "worker-1")
    assert not workers.heartbeat(steps.db, "worker-1", steps.now)
    assert reads.workers(steps.db) == []
    assert not workers.remove_worker(steps.db, "worker-1")


def test_workers_are_listed_oldest_first(steps, clock):
    """In the order in which they registered."""
    for worker in ("c", "a", "b"):
        steps.register(worker)
        clock.move(1)
    assert [row.id for row in reads.workers(steps.db)] == ["c", "a", "b"]


@pytest.mark.parametrize("delay", [0, 3600])
def test_a_runner_does_not_sign_off_while_a_job_waits(steps, place, delay):
    """Due or not: after an enqueue by another process the runner stays, so that the job will be run."""
    steps.register("runner-1", "runner")
    job = steps.new(delay=delay)
    writes.enqueue(place.open(), [job])
    assert not workers.remove_idle_runner(steps.db, "runner-1", ())
    assert [row.id for row in reads.workers(steps.db)] == ["runner-1"]


def test_a_runner_does_not_sign_off_while_a_retry_waits(steps):
    """A job between two attempts keeps the runner as well."""
    steps.register("runner-1", "runner")
    steps.in_status("pending_retry")
    assert not workers.remove_idle_runner(steps.db, "runner-1", ())


def test_an_idle_runner_signs_off(steps):
    """With nothing but finished jobs its row goes, so that the next enqueue starts another."""
    steps.register("runner-1", "runner")
    steps.finished("completed")
    steps.finished("failed")
    assert workers.remove_idle_runner(steps.db, "runner-1", ())
    assert reads.workers(steps.db) == []


def test_a_runner_looks_at_its_own_queues_only(steps):
    """Jobs that it does not serve do not keep it."""
    steps.register("runner-1", "runner", ("mail",))
    steps.enqueue(queue="reports")
    assert reads.anything_waiting(steps.db, ())
    assert not reads.anything_waiting(steps.db, ("mail",))
    assert workers.remove_idle_runner(steps.db, "runner-1", ("mail",))


def test_signing_off_and_enqueuing_at_once(steps, place):
    """Either the runner sees the job, at the latest when it looks again, or the enqueuer sees that it is gone."""
    other = place.open()
    for _ in range(50):
        steps.register("runner-1", "runner")
        start, seen = threading.Barrier(2), {}

        def sign_off(start=start, seen=seen) -> None:
            start.wait()
            signed_off = workers.remove_idle_runner(steps.db, "runner-1", ())
            seen["signed off"] = signed_off and not reads.anything_waiting(steps.db, ())

        thread = threading.Thread(target=sign_off)
        thread.start()
        start.wait()
        writes.enqueue(other, [steps.new()])
        seen["runner"] = bool(reads.workers(other))
        thread.join()
        assert seen != {"signed off": True, "runner": True}, "the job is stored and nobody will run it"
        workers.remove_worker(steps.db, "runner-1")
        for job in steps.claim():
            steps.complete(job)


def test_a_worker_that_stops_claiming_serves_no_queue(steps):
    """Its row stays and says so, whatever it served before; others' rows are left alone."""
    steps.register("worker-1")
    steps.register("worker-2", queues=("mail",))
    workers.stop_claiming(steps.db, "worker-1")
    rows = {worker.id: worker for worker in reads.workers(steps.db)}
    assert not any(serves(rows["worker-1"], queue) for queue in ("default", "mail"))
    assert serves(rows["worker-2"], "mail")


@pytest.mark.parametrize("mark", [workers.NO_QUEUE, workers.ONE_JOB, workers.TESTS, reads.UNREADABLE])
def test_no_queue_can_have_the_name_of_what_stands_in_place_of_queues(mark):
    """So whose row has it serves none, and people read why."""
    with pytest.raises(errors.InvalidOption):
        check_queue(mark)
    assert not workers.claims_jobs((mark,))
    assert f" ({workers.served((mark,))})" == mark


@pytest.mark.parametrize(("queues", "words"), [((), "all"), (("mail", "reports"), "mail, reports")])
def test_what_a_worker_serves_in_words(queues, words):
    """Its queues, or all."""
    assert workers.claims_jobs(queues)
    assert workers.served(queues) == words


def test_workers_in_detail(steps, clock):
    """Who they are, what they use, what runs in them and since when."""
    row = workers.NewWorker(
        "worker-1", "worker", "host-1", 17, "/run", ("mail",), "0.3", "v7", {"thread": 8, "loop": 9}
    )
    workers.register_worker(steps.db, row, steps.now)
    steps.register("worker-2")
    first = steps.running("worker-1", queue="mail")
    clock.move(2)
    second = steps.running("worker-1")
    writes.save_progress(steps.db, [(second, 0.5, "half")])
    assert workers.heartbeat(steps.db, "worker-1", steps.now, 50_000_000, 0.25)
    assert workers.heartbeat(steps.db, "worker-1", steps.now)
    one, two = workers.worker_details(steps.db)
    assert (one.id, one.pid, one.queues, one.revision, one.slots) == ("worker-1", 17, ("mail",), "v7", row.slots)
    assert (one.memory, one.cpu, one.heartbeat_at, one.held) == (50_000_000, 0.25, steps.now, 2)
    assert [(job.id, job.queue, job.attempt) for job in one.jobs] == [(first.id, "mail", 1), (second.id, "default", 1)]
    assert one.jobs[1].since - one.jobs[0].since == 2_000_000
    assert {job.executor for job in one.jobs} == {"thread"}
    assert (one.jobs[1].progress, one.jobs[1].progress_message) == (0.5, "half")
    assert (two.revision, two.memory, two.cpu, two.jobs) == ("1.0", None, None, ())


def test_jobs_that_were_lost_after_their_end_are_known_by_their_history(steps):
    """Twice; one that was so once, and crashed once, is none of them."""
    often, once = steps.enqueue(), steps.enqueue()
    for outcome in (unwritten(steps.now, steps.now), steps.returned(), unwritten(steps.now, steps.now)):
        assert steps.settle(writes.claim_one(steps.db, "worker-1", steps.now, often), outcome)
    assert steps.settle(writes.claim_one(steps.db, "worker-1", steps.now, once), unwritten(steps.now, steps.now))
    assert steps.lose(writes.claim_one(steps.db, "worker-1", steps.now, once))
    assert workers.often_unwritten(steps.db, {often, once}, 2) == {often}
    assert workers.often_unwritten(steps.db, set(), 2) == set()
