"""Searches that stop before they have looked at everything: they say so, and no job is lost on the way."""

from __future__ import annotations

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
