"""The tables, as numbered migrations that only go forward; each dialect has its own types and endings for them.

A job is one row from enqueuing to pruning. Three indexes serve it on its way, so that each state is found without
stepping over the others (design.md 3.5): the waiting ones in claim order, the running ones by worker, the finished
ones by age. `seq` is the row's age; `id` is what users hold, and grows with time as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: its number, what it brings, and its statements, to be rendered by a dialect."""

    number: int
    title: str
    statements: tuple[str, ...]


JOBS = """
create table lateshift_jobs (
    seq {seq},
    id {id} {id_key},
    name {name} not null,
    queue {queue} not null,
    executor {word} not null,
    priority {int} not null,
    status {word} not null,
    run_at {time} not null,
    lease {int} not null default 0,
    attempts {int} not null default 0,
    crashes {int} not null default 0,
    max_retries {int} not null,
    worker {worker},
    enqueued_at {time} not null,
    started_at {time},
    finished_at {time},
    cancel_requested {int} not null default 0,
    progress {real},
    progress_message {text},
    error_type {text},
    error_message {text},
    error_traceback {text},
    result {text},
    options {text},
    parameters {text} not null{waits}
){jobs_end}"""

WAITING_INDEX = "create index lateshift_jobs_waiting on lateshift_jobs {waiting_key}"

RUNNING_INDEX = "create index lateshift_jobs_running on lateshift_jobs {running_key}"

FINISHED_INDEX = "create index lateshift_jobs_finished on lateshift_jobs {finished_key}"

ATTEMPTS = """
create table lateshift_attempts (
    job_id {id} not null,
    lease {int} not null,
    number {int} not null,
    outcome {word} not null,
    worker {worker},
    started_at {time},
    finished_at {time},
    error_type {text},
    error_message {text},
    error_traceback {text},
    primary key (job_id, lease)
){keyed_end}"""

LOGS = """
create table lateshift_logs (
    job_id {id} not null,
    lease {int} not null,
    number {int} not null,
    "lines" {text} not null,
    primary key (job_id, lease)
){keyed_end}"""

WORKERS = """
create table lateshift_workers (
    id {worker} not null primary key,
    kind {word} not null,
    host {text} not null,
    pid {int} not null,
    folder {text} not null,
    queues {text} not null,
    version {text} not null,
    started_at {time} not null,
    heartbeat_at {time} not null
){end}"""

QUEUES = "create table lateshift_queues (name {queue} not null primary key, paused_at {time}){end}"

STATISTICS = """
create table lateshift_statistics (
    minute {int} not null,
    queue {queue} not null,
    worker {worker} not null,
    completed {int} not null,
    failed {int} not null,
    retried {int} not null,
    cancelled {int} not null,
    run_time {time} not null,
    wait_time {time} not null,
    primary key (minute, queue, worker)
){keyed_end}"""

META = "create table lateshift_meta (name {word} not null primary key, value {time} not null){end}"

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
