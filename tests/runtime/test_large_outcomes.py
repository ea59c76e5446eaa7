"""Outcomes that a server does not take together, or not at all."""

from __future__ import annotations

from contextlib import closing

import pytest
from worker_here import store, worker_in

from lateshift.outcome import Outcome
from lateshift.runtime.settling import settle
from lateshift.settings import load_settings
from lateshift.storage import open_database, reads, trash, writes
from lateshift.storage.bulk import BulkAction
from lateshift.storage.migrations import migrate
from lateshift.storage.settlements import Batch, Settlement

MOST = 1024 * 1024


@pytest.fixture
def worker(mariadb_server, mariadb_url, tmp_path):
    """A worker on a server that takes 1 MiB at once."""
    assert mariadb_server.process
    with closing(open_database(load_settings(database_url=mariadb_url), as_is=True)) as database:
        migrate(database)
    mariadb_server.execute(f"set global max_allowed_packet = {MOST}")
    with worker_in(tmp_path, mariadb_url) as made:
        yield made
    mariadb_server.execute("set global max_allowed_packet = default")


def completions(worker, *shares: float) -> list[Settlement]:
    """Of jobs that this worker has claimed, with results of these shares of what the server takes."""
    db, now = worker._db, worker._db.now()
    jobs = [writes.claim_one(db, "mine", now, store(worker, "app.jobs.add")) for _ in shares]
    results = [f'"{"x" * round(share * MOST)}"' for share in shares]
    outcomes = [Outcome("completed", "completed", now, now, result=result) for result in results]
    return [Settlement(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True)]


def test_outcomes_that_are_too_large_together(worker):
    """They go in by halves, in one transaction; each had one of its own."""
    done = completions(worker, 0.3, 0.3, 0.3, 0.6, 0.6)
    assert settle(worker._db, Batch(done)) == (done, [])
    assert {reads.status(worker._db, one.job.id) for one in done} == {"completed"}


@pytest.fixture
def no_room(mariadb_server):
    """That server has hardly any room for the tables that it makes for a statement."""
    limits = ("tmp_disk_table_size", "tmp_memory_table_size")
    mariadb_server.execute("; ".join(f"set global {limit} = 16384" for limit in limits))
    yield
    mariadb_server.execute("; ".join(f"set global {limit} = default" for limit in limits))


@pytest.mark.usefixtures("no_room")
def test_outcomes_for_which_the_server_has_no_room_together(worker):
    """Each is written by itself; a worker took its database for away, or failed jobs that had been done."""
    done = completions(worker, 0.1, 0.1)
    assert settle(worker._db, Batch(done)) == (done, [])
    assert {reads.status(worker._db, one.job.id) for one in done} == {"completed"}


def test_an_outcome_that_is_too_large_for_a_statement(worker):
    """It fails its job, and no other one; the worker sent the same again and again."""
    worker.ledger.unsettled = completions(worker, 0.6, 0.6, 1.0)
    ids = [one.job.id for one in worker.ledger.unsettled]
    worker.ledger.exchange(claim=False)
    assert [reads.status(worker._db, job_id) for job_id in ids] == ["completed", "completed", "failed"]
    assert "max_allowed_packet is 1,048,576" in reads.get(worker._db, ids[-1]).error.message


def test_a_job_with_more_history_than_a_statement_holds_is_deleted(worker):
    """It can be brought back; it could not be deleted, nor could any job with it."""
    db = worker._db
    ids = [store(worker, "app.jobs.add") for _ in range(2)]
    for lease in range(4):
        db.execute(
            'insert into lateshift_logs (job_id, lease, number, "lines") values (:id, :lease, 1, :lines)',
            {"id": ids[0], "lease": lease, "lines": f'["{"x" * (MOST // 2)}"]'},
        )
    done = BulkAction(db, "purge", ids).run()
    assert (done.changed, trash.restore(db, done.undo)) == (2, 2)
    assert len(db.query("select 1 from lateshift_logs")) == 4
