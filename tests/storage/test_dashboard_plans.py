"""What the dashboard reads among 20,000 jobs: through an index, and of a bounded number of rows."""

from __future__ import annotations

import pytest
from plans import examined, plans
from test_query_plans import LIMITS, crowd, held  # noqa: F401 - the jobs that both look at

from lateshift.query import parse
from lateshift.storage import counting, glimpses, history, pulse, reads, search, workers


def page(text: str, **options):
    return lambda steps: search.search(steps.db, parse(text), seconds=60, **options)


@pytest.fixture(autouse=True)
def _few(monkeypatch) -> None:
    """Counts stop early, as they do in a large table."""
    monkeypatch.setattr(counting, "COUNT_LIMIT", 500)


def job_id(steps) -> str:
    return held(steps)[0].id


def listed(status: str, number: int):
    def act(steps) -> None:
        assert len(reads.list_jobs(steps.db, status=status, limit=5)) == number

    return act


def ahead(steps, queue: str, priority: int, way: str) -> None:
    """What stands before the first or the last job of a lane."""
    [(place,)] = steps.db.query(
        "select id from lateshift_jobs where {waiting} and queue = :queue and executor = 'thread'"
        f" and priority = :priority order by run_at {way}, seq {way} limit 1",
        {"queue": queue, "priority": priority},
    )
    higher, same = reads.jobs_ahead(steps.db, place, steps.now)
    assert (higher + same > 0) == (way == "desc")


# What is done, and how many rows it may make a database look at: in PostgreSQL's count, in MySQL's, and in tens of
# steps of SQLite's machine.
READS = {
    "all": (page(""), 300, 300, 1_000),
    "completed": (page("status:completed"), 300, 300, 1_000),
    "failed": (page("status:failed"), 300, 300, 1_000),
    "running": (page("status:running"), 600, 900, 2_000),
    "running of a worker": (page("status:running worker:worker-1"), 1_500, 3_000, 4_000),
    "pending": (page("status:pending"), 1_200, 2_500, 6_000),
    "pending of a queue": (page("status:pending queue:queue-1"), 800, 1_500, 4_000),
    "failed with a name": (page("status:failed name:send"), 2_000, 2_500, 3_000),
    "a queue": (page("queue:queue-1"), 2_000, 3_000, 4_000),
    "an id": (lambda steps: page(f"id:{job_id(steps)}")(steps), 200, 200, 500),
    "an error group": (page("fingerprint:0123456789abcdef"), 20, 50, 100),
    "counts": (lambda steps: search.state_counts(steps.db, parse("")), 5_000, 10_000, 10_000),
    "counts of a name": (lambda steps: search.state_counts(steps.db, parse("name:send")), 8_000, 16_000, 20_000),
    "runs around a job": (lambda steps: search.runs_around(steps.db, job_id(steps)), 600, 1_200, 1_500),
    "what comes next": (lambda steps: glimpses.upcoming(steps.db, steps.now, 6), 60, 700, 400),
    "newest names": (lambda steps: glimpses.newest_names(steps.db), 2_500, 4_500, 3_000),
    "workers": (lambda steps: workers.worker_details(steps.db), 1_500, 1_500, 3_000),
    "queues": (lambda steps: reads.queues(steps.db, steps.now), 10_000, 10_000, 6_000),
    "counts of a queue": (lambda steps: search.state_counts(steps.db, parse("queue:queue-1")), 7_000, 10_000, 6_000),
    "pulse": (lambda steps: pulse.pulse(steps.db), 250, 250, 300),
    "jobs ahead of the first": (lambda steps: ahead(steps, "default", 10, "asc"), 40, 400, 150),
    "jobs ahead of the last": (lambda steps: ahead(steps, "queue-1", 2, "desc"), 1_000, 2_300, 1_100),
    "list of running": (listed("running", 5), 500, 1_000, 700),
    "list of failed": (listed("failed", 5), 2_200, 4_300, 3_000),
    "list of retries, which there are not": (listed("pending_retry", 0), 20, 20, 20),
    "list of cancelled, which there are not": (listed("cancelled", 0), 20, 20, 20),
    "rates": (lambda steps: history.queue_rates(steps.db, steps.now), 11_000, 20_500, 17_000),
}


@pytest.mark.parametrize("read", READS)
def test_a_read_uses_an_index(crowd, read):  # noqa: F811 - the fixture
    """No statement reads all jobs, unless from an end that it does not get far from."""
    for plan in plans(crowd.db, lambda: READS[read][0](crowd)):
        if "lateshift_jobs" in plan.sql and "desc limit" not in plan.sql:
            assert not plan.reads_all, f"{plan.sql}\n{plan.text}"


@pytest.mark.parametrize("read", READS)
def test_a_read_looks_at_few_rows(crowd, read):  # noqa: F811 - the fixture
    """However many jobs there are."""
    assert examined(crowd.db, lambda: READS[read][0](crowd)) <= READS[read][LIMITS[crowd.db.dialect.name]]
