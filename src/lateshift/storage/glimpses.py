"""A few jobs of each kind for an overview: each is the end of an index, whatever lies behind it."""

from __future__ import annotations

from typing import Any, Final

from lateshift.job import Job
from lateshift.storage import reads
from lateshift.storage.database import Database
from lateshift.storage.job_rows import JOB_ROWS, as_job
from lateshift.storage.reads import Lane

PIECE: Final = 50
"""Lanes of which one statement tells when their next job is due."""

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
    # The first `limit` lanes begin with as many jobs that come before those of all others.
    lanes = sorted(_lanes_to_come(db, now), key=lambda pair: pair[0])[:limit]
    found: list[Job] = []
    for _, lane in lanes:
        where, parameters = _to_come(lane)
        rows = db.query(f"{JOB_ROWS}{where} limit :limit", {**parameters, "now": now, "limit": limit})
        found += [as_job(row) for row in rows]
    return sorted(found, key=lambda job: job.run_at)[:limit]


def _lanes_to_come(db: Database, now: int) -> list[tuple[int, Lane]]:
    """The lanes with jobs that are not due yet, and when the first of these is."""
    lanes = reads.lanes(db)
    found = [(lane.run_at, lane) for lane in lanes if lane.run_at > now]
    begun = [lane for lane in lanes if lane.run_at <= now]
    for start in range(0, len(begun), PIECE):
        piece = begun[start : start + PIECE]
        selects: list[str] = []
        parameters: dict[str, Any] = {"now": now}
        for number, lane in enumerate(piece):
            where, place = _to_come(lane, number)
            selects.append(f"(select run_at from lateshift_jobs{where} limit 1)")
            parameters |= place
        [times] = db.query(f"select {', '.join(selects)}", parameters)
        # None where no more wait; in SQLite other hands may have put a text there.
        found += [(time, lane) for time, lane in zip(times, piece, strict=True) if isinstance(time, int)]
    return found


def _to_come(lane: Lane, number: int = 0) -> tuple[str, dict[str, Any]]:
    """(where and order, parameters) of the jobs of a lane that are due after :now; one statement may have several."""
    place = {"queue": lane.queue, "executor": lane.executor, "priority": lane.priority}
    lane_is = " and ".join(f"{column} = :{column}_{number}" for column in place)
    where = f" where {{waiting}} and {lane_is} and run_at > :now order by run_at, seq"
    return where, {f"{column}_{number}": value for column, value in place.items()}


def newest_names(db: Database) -> list[str]:
    """The callables of the newest jobs, whether they have run or not."""
    rows = db.query(
        "select distinct name from (select name from lateshift_jobs order by {age} desc limit :limit) as newest",
        {"limit": NEWEST},
    )
    return sorted(row[0] for row in rows)
