"""Outcomes that a server takes one by one, or not at all."""

from __future__ import annotations

from contextlib import closing

import pytest
from worker_here import store, worker_in

from lateshift.outcome import Outcome
from lateshift.settings import load_settings
from lateshift.storage import open_database, reads, writes
from lateshift.storage.migrations import migrate
from lateshift.storage.settlements import Settlement

MOST = 1024 * 1024


@pytest.fixture
def small_packets(mariadb_server, mariadb_url):
    """A new database of a server that takes 1 MiB at once."""
    assert mariadb_server.process
    mariadb_server.execute(f"set global max_allowed_packet = {MOST}")
    yield mariadb_url
    mariadb_server.execute("set global max_allowed_packet = default")


def test_outcomes_that_are_too_large_for_a_statement(tmp_path, small_packets):
    """Together they go in one by one, and one that does not fails its job; the worker sent the same again and again."""
    with closing(open_database(load_settings(database_url=small_packets), as_is=True)) as database:
        migrate(database)
    with worker_in(tmp_path, small_packets) as worker:
        db, now = worker._db, worker._db.now()
        jobs = [writes.claim_one(db, "mine", now, store(worker, "app.jobs.add")) for _ in range(3)]
        for job, share in zip(jobs, (0.6, 0.6, 1.0), strict=True):
            outcome = Outcome("completed", "completed", now, now, result=f'"{"x" * round(share * MOST)}"')
            worker.ledger.unsettled.append(Settlement(job, outcome))
        worker.ledger.exchange([], claim=False)
        assert [reads.status(db, job.id) for job in jobs] == ["completed", "completed", "failed"]
        assert "max_allowed_packet is 1,048,576" in reads.get(db, jobs[-1].id).error.message
