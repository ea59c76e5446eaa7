"""Databases as released versions have left them: today's code opens, migrates and uses them.

`released/` has a script for each schema that was ever released, with rows in every state, written by that version's own
code. A release with a new schema adds one for each kind of database.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from storage_steps import EVERY_KIND, Place, Steps

from lateshift.storage import history, reads, workers, writes
from lateshift.storage.migrations import pending, version
from lateshift.storage.schema import LATEST

SCRIPTS = sorted(Path(__file__).with_name("released").glob("sqlite-*.sql"))


@pytest.fixture(params=SCRIPTS, ids=lambda script: script.stem)
def place(request, tmp_path, clock):
    """An SQLite file that an older version has left."""
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        connection.executescript(request.param.read_text(encoding="utf-8"))
    place = Place("sqlite", f"sqlite:///{tmp_path}/old.db", clock)
    yield place
    place.close()


def objects(database) -> set[tuple[str, str]]:
    """Tables and indexes, each with the SQL that made it, however it was written."""
    rows = database.query("select name, sql from sqlite_master where sql is not null")
    return {(name, " ".join(sql.replace('"', "").lower().split())) for name, sql in rows}


def test_it_has_the_schema_of_a_new_one(place, tmp_path):
    """After its migrations an old database is made like one of today; each schema has its number in its name."""
    number = int(place.open(as_is=True).query("select value from lateshift_meta where name = 'schema'")[0][0])
    assert any(script.name.startswith(f"sqlite-{number}-") for script in SCRIPTS)
    old, new = place.open(), Place("sqlite", f"sqlite:///{tmp_path}/new.db", place.clock).open()
    assert version(old) == version(new) == LATEST
    assert pending(old) == []
    assert objects(old) == objects(new)
    new.close()


def test_its_jobs_are_read(place):
    """Jobs in every state are there, with their history, logs, progress, queues, workers and counts."""
    steps = Steps(place.open(), place.clock)
    jobs = {job.id.split("-", 1)[1]: steps.get(job.id) for job in reads.list_jobs(steps.db)}
    assert set(jobs) == {"pending", "completed", "failed", "pending-retry", "cancelled", "running"}
    assert jobs["completed"].result == {"order_id": 7, "processed": True}
    assert jobs["completed"].history[0].logs == ("processing order 7", "done")
    assert [attempt.error.message for attempt in jobs["failed"].history] == ["no such order"]
    assert (jobs["running"].progress, jobs["running"].progress_message) == (0.5, "half way")
    assert reads.queue_paused(steps.db, "held")
    assert [worker.id for worker in reads.workers(steps.db)] == ["runner-1", "worker-1"]
    for step in (3600, 86_400):
        counted = history.series(steps.db, place.clock.now() - 86_400_000_000, place.clock.now() + 1, step).total
        assert (counted.completed, counted.running.p50) == (1, None)


def test_its_jobs_go_on(place):
    """What waits is claimed in order, what runs is settled, what has ended can be retried, deleted and pruned."""
    steps = Steps(place.open(), place.clock)
    place.clock.move(10)
    lanes = steps.lanes()
    assert [(lane.queue, lane.priority) for lane in lanes] == [("default", 10), ("mail", 7), ("default", 1)]
    assert [job.id[-7:] for job in writes.claim(steps.db, "worker-2", steps.now, lanes, EVERY_KIND)] == ["pending"] * 2
    held = {job.id: job for job, _ in reads.running_jobs(steps.db, "worker-1")}
    assert {job_id for job_id, _ in reads.cancel_requests(steps.db, "worker-1")} == {max(held)}
    assert steps.complete(held[min(held)])
    assert steps.settle(held[max(held)], steps.retry_in(5))
    assert steps.status(max(held)) == "cancelled"
    failed, cancelled = (next(job.id for job in reads.list_jobs(steps.db, status=s)) for s in ("failed", "cancelled"))
    assert writes.retry(steps.db, failed, steps.now) == "failed"
    assert writes.delete(steps.db, cancelled) == "cancelled"
    assert writes.prune(steps.db, steps.now + 1) == 3
    assert workers.heartbeat(steps.db, "worker-1", steps.now)
    assert failed in steps.claim_ids()
