"""Requests to a worker."""

from __future__ import annotations

from lateshift.storage import requests


def test_a_request_is_found_and_answered(steps, place, clock):
    """By the worker it is for; and its answer by who has asked."""
    asked = requests.ask(place.open(), "worker-1", "stack", steps.now, "job-1")
    assert requests.unanswered(steps.db, "worker-2") == []
    [request] = requests.unanswered(steps.db, "worker-1")
    assert (request.id, request.kind, request.job_id) == (asked, "stack", "job-1")
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
