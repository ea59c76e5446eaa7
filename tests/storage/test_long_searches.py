"""Searches that stop before they have looked at everything: they say so, and no job is lost on the way."""

from __future__ import annotations

import pytest
from test_search import pages

from lateshift.query import parse
from lateshift.storage import search, streams
from lateshift.storage.counting import Count


def test_a_page_says_that_it_leaves_lanes_out(steps, monkeypatch):
    """In the order of being due it reads those lanes that are due first; a count reads all."""
    monkeypatch.setattr(streams, "MOST_LANES", 2)
    ids = [steps.enqueue(queue=f"queue-{number}", delay=-number) for number in range(3)]
    page = search.search(steps.db, parse("status:pending"), seconds=60)
    assert ([job.id for job in page.jobs], page.complete) == ([ids[2], ids[1]], False)
    full = search.search(steps.db, parse("status:pending"), limit=1, seconds=60)
    assert ([job.id for job in full.jobs], full.complete) == ([ids[2]], False)
    few = search.search(steps.db, parse("status:pending queue:queue-0,queue-1"), seconds=60)
    assert ([job.id for job in few.jobs], few.complete) == ([ids[1], ids[0]], True)
    assert search.count_matching(steps.db, parse("status:pending"), seconds=60) == Count(3)


def test_what_one_state_has_waits_for_what_another_may_have(steps, clock, monkeypatch):
    """A search stops among many completed jobs; a failed one that ended after some of them is shown all the same."""
    monkeypatch.setattr(search, "WINDOW", 30)
    monkeypatch.setattr(streams, "FIRST_PIECE", 1)
    monkeypatch.setattr(streams, "LARGEST_PIECE", 10)

    def end(outcome, parameters='{"a":1}') -> str:
        job = steps.running(parameters=parameters)
        steps.settle(job, outcome())
        clock.move(1)
        return job.id

    oldest = end(steps.completed)
    for _ in range(65):
        end(steps.completed, "{}")
    completed, failed = end(steps.completed), end(steps.failed)
    for _ in range(4):
        end(steps.completed, "{}")
    shown = pages(steps, "status:finished parameters.a:1", seconds=60)
    assert len(shown) > 1
    assert [job_id for page in shown for job_id in page] == [failed, completed, oldest]


@pytest.mark.parametrize("text", ["status:waiting", "status:pending name:send"])
def test_pages_of_many_lanes_show_each_job_once(steps, text):
    """In order, forwards and back, however little time a page has for each of them."""
    for number in range(60):
        steps.enqueue(queue=f"queue-{number % 4}", priority=number % 3 + 1, delay=number * 7 % 20)

    def page(cursor: str | None) -> tuple[search.Found, list[str]]:
        found = search.search(steps.db, parse(text), cursor=cursor, limit=4, seconds=0)
        return found, [job.id for job in found.jobs]

    everything = [job.id for job in search.search(steps.db, parse(text), limit=60, seconds=60).jobs]
    found, ids = page(None)
    forwards = ids[:]
    while found.next is not None:
        found, ids = page(found.next)
        forwards += ids
    backwards = ids
    while found.previous is not None:
        found, ids = page(found.previous)
        backwards = ids + backwards
    assert (forwards, len(everything)) == (everything, 60)
    assert backwards == everything
