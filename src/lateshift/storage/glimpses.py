"""A few jobs of each kind for an overview: each is the end of an index, whatever lies behind it."""

from __future__ import annotations

from typing import Final

from lateshift.job import Job
from lateshift.storage import reads
from lateshift.storage.database import Database
from lateshift.storage.job_rows import JOB_ROWS, as_job

LANES: Final = 40
"""Lanes with due jobs that are looked into for what comes next; a program has a handful."""

NEWEST: Final = 2_000
"""Jobs from which the names of callables are told that have not run yet."""


def running(db: Database, limit: int) -> list[Job]:
    """Jobs that run, those first that have run longest."""
    rows = db.query(f"{JOB_ROWS} where status = 'running' order by started_at limit :limit", {"limit": limit})
    return [as_job(row) for row in rows]


def latest(db: Database, status: str, limit: int) -> list[Job]:
    """Finished jobs of a status, the last to finish first."""
    rows = db.query(
        f"{JOB_ROWS} where status = :status and finished_at is not null order by finished_at desc limit :limit",
        {"status": status, "limit": limit},
    )
    return [as_job(row) for row in rows]


def upcoming(db: Database, now: int, limit: int) -> list[Job]:
    """Jobs that are not due yet, the next one first: retries and what was delayed."""
    lanes = sorted(reads.lanes(db), key=lambda lane: lane.run_at)
    due = [lane for lane in lanes if lane.run_at <= now]
    found: list[Job] = []
    # Of the lanes in which nothing is due, the first `limit` begin with as many jobs that come before the others'.
    for lane in (*due[:LANES], *lanes[len(due) : len(due) + limit]):
        rows = db.query(
            f"{JOB_ROWS} where {{waiting}} and queue = :queue and executor = :executor and priority = :priority"
            " and run_at > :now order by run_at, seq limit :limit",
            {"queue": lane.queue, "executor": lane.executor, "priority": lane.priority, "now": now, "limit": limit},
        )
        found += [as_job(row) for row in rows]
    return sorted(found, key=lambda job: job.run_at)[:limit]


def newest_names(db: Database) -> list[str]:
    """The callables of the newest jobs, whether they have run or not."""
    rows = db.query(
        "select distinct name from (select name from lateshift_jobs order by {age} desc limit :limit) as newest",
        {"limit": NEWEST},
    )
    return sorted(row[0] for row in rows)
