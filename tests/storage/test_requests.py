"""Requests to a worker, and workers in detail."""

from __future__ import annotations

from lateshift.storage import requests, workers, writes


def test_a_request_is_found_and_answered(steps, place, clock):
    """By the worker it is for; and its answer by who has asked."""
    asked = requests.ask(place.open(), "worker-1", "stack", steps.now, "job-1", 3)
    assert requests.unanswered(steps.db, "worker-2") == []
    [request] = requests.unanswered(steps.db, "worker-1")
    assert (request.id, request.kind, request.job_id, request.lease) == (asked, "stack", "job-1", 3)
    clock.move(1)
    requests.answer(steps.db, request, steps.now, "File ..." + "x" * 100_000)
    assert requests.unanswered(steps.db, "worker-1") == []
    told = requests.answer_to(place.open(), "worker-1", asked)
    assert (told.answered_at, len(told.answer)) == (steps.now, requests.LONGEST_ANSWER)
    assert requests.answer_to(steps.db, "worker-1", "another") is None


def test_requests_are_kept_for_a_minute(steps, clock):
    """Whether they were answered or not."""
    asked = requests.ask(steps.db, "worker-1", "drain", steps.now)
    clock.move(60)
    requests.prune_requests(steps.db, steps.now)
    assert requests.answer_to(steps.db, "worker-1", asked)
    clock.move(1)
    requests.prune_requests(steps.db, steps.now)
    assert requests.answer_to(steps.db, "worker-1", asked) is None


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
    one, two = requests.worker_details(steps.db)
    assert (one.id, one.pid, one.queues, one.revision, one.slots) == ("worker-1", 17, ("mail",), "v7", row.slots)
    assert (one.memory, one.cpu, one.heartbeat_at, one.held) == (50_000_000, 0.25, steps.now, 2)
    assert [(job.id, job.queue, job.attempt) for job in one.jobs] == [(first.id, "mail", 1), (second.id, "default", 1)]
    assert one.jobs[1].since - one.jobs[0].since == 2_000_000
    assert {job.executor for job in one.jobs} == {"thread"}
    assert (one.jobs[1].progress, one.jobs[1].progress_message) == (0.5, "half")
    assert (two.revision, two.memory, two.cpu, two.jobs) == ("1.0", None, None, ())
    assert requests.worker_detail(steps.db, "worker-2") == two
    assert requests.worker_detail(steps.db, "nobody") is None
