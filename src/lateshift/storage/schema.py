"""The tables, as numbered migrations that only go forward.

A job is one row from enqueuing to pruning. Three partial indexes serve it on its way, so that each state is found
without stepping over the others (design.md 3.5): the waiting ones in claim order, the running ones by worker, the
finished ones by age. `seq` is the row's age; `id` is what users hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: its number, what it brings, and its statements."""

    number: int
    title: str
    statements: tuple[str, ...]


JOBS = """
create table lateshift_jobs (
    seq integer primary key,
    id text not null unique,
    name text not null,
    queue text not null,
    executor text not null,
    priority integer not null,
    status text not null,
    run_at integer not null,
    lease integer not null default 0,
    attempts integer not null default 0,
    crashes integer not null default 0,
    max_retries integer not null,
    worker text,
    enqueued_at integer not null,
    started_at integer,
    finished_at integer,
    cancel_requested integer not null default 0,
    progress real,
    progress_message text,
    error_type text,
    error_message text,
    error_traceback text,
    result text,
    options text,
    parameters text not null
)"""

WAITING_INDEX = """
create index lateshift_jobs_waiting on lateshift_jobs (queue, executor, priority desc, run_at, seq)
where status in ('pending', 'pending_retry')"""

RUNNING_INDEX = "create index lateshift_jobs_running on lateshift_jobs (worker) where status = 'running'"

# Not `where status in (three values)`: SQLite builds a temporary table for such a list at every update of a row, which
# took settling from 4.0 to 7.0 µs a job.
FINISHED_INDEX = """
create index lateshift_jobs_finished on lateshift_jobs (status, finished_at) where finished_at is not null"""

ATTEMPTS = """
create table lateshift_attempts (
    job_id text not null,
    lease integer not null,
    number integer not null,
    outcome text not null,
    worker text,
    started_at integer,
    finished_at integer,
    error_type text,
    error_message text,
    error_traceback text,
    primary key (job_id, lease)
) without rowid"""

LOGS = """
create table lateshift_logs (
    job_id text not null,
    lease integer not null,
    number integer not null,
    lines text not null,
    primary key (job_id, lease)
) without rowid"""

WORKERS = """
create table lateshift_workers (
    id text not null primary key,
    kind text not null,
    host text not null,
    pid integer not null,
    folder text not null,
    queues text not null,
    version text not null,
    started_at integer not null,
    heartbeat_at integer not null
)"""

QUEUES = "create table lateshift_queues (name text not null primary key, paused_at integer)"

STATISTICS = """
create table lateshift_statistics (
    minute integer not null,
    queue text not null,
    worker text not null,
    completed integer not null,
    failed integer not null,
    retried integer not null,
    cancelled integer not null,
    run_time integer not null,
    wait_time integer not null,
    primary key (minute, queue, worker)
) without rowid"""

META = "create table lateshift_meta (name text not null primary key, value integer not null)"

MIGRATIONS: Final = (
    Migration(
        1,
        "jobs, attempts, logs, workers, queues, statistics",
        (
            META,
            JOBS,
            WAITING_INDEX,
            RUNNING_INDEX,
            FINISHED_INDEX,
            ATTEMPTS,
            LOGS,
            WORKERS,
            QUEUES,
            STATISTICS,
            "insert into lateshift_meta (name, value) values ('runner_spawned_at', 0)",
        ),
    ),
)

LATEST: Final = MIGRATIONS[-1].number
