"""The tables, as numbered migrations that only go forward; each dialect has its own types and endings for them.

A job is one row from enqueuing to pruning. Three indexes serve it on its way, so that each state is found without
stepping over the others: the waiting ones in claim order, the running ones by worker, the finished ones by
age. `seq` is the row's age; `id` is what users hold, and grows with time as well.
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

TALLIES = """
create table lateshift_tallies (
    worker {worker} not null,
    part {int} not null,
    minute {int} not null,
    queue {queue} not null,
    name {path} not null,
    completed {int} not null,
    failed {int} not null,
    retried {int} not null,
    cancelled {int} not null,
    wait_time {time} not null,
    run_time {time} not null,
    waits {text} not null,
    runs {text} not null,
    primary key (worker, part, minute, queue, name)
){keyed_end}"""
"""What each worker has counted, a row for each time it wrote: never changed, and soon folded into the history."""

HISTORY = """
create table lateshift_history (
    span {int} not null,
    start {int} not null,
    queue {queue} not null,
    name {path} not null,
    completed {int} not null,
    failed {int} not null,
    retried {int} not null,
    cancelled {int} not null,
    wait_time {time} not null,
    run_time {time} not null,
    waits {text} not null,
    runs {text} not null,
    primary key (span, start, queue, name)
){keyed_end}"""
"""The same for all workers, for each minute, ten minutes, hour and day; `span` and `start` are in minutes. Rows with
an empty name are the sums of a queue, and those with an empty queue as well of all."""

GROUPS = """
create table lateshift_groups (
    fingerprint {word} not null primary key,
    type {text} not null,
    place {text} not null,
    message {text} not null,
    first_at {time} not null,
    resolved_at {time},
    resolved_by {text}
){end}"""

FAILURES = """
create table lateshift_failures (
    hour {int} not null,
    fingerprint {word} not null,
    name {path} not null,
    worker {worker} not null,
    failed {int} not null,
    retried {int} not null,
    first_at {time} not null,
    last_at {time} not null,
    job_id {id} not null,
    primary key (hour, fingerprint, name, worker)
){keyed_end}"""
"""How often each error came, by hour and callable; each worker adds to rows of its own, which are folded later."""

REQUESTS = """
create table lateshift_requests (
    worker {worker} not null,
    id {id} not null,
    kind {word} not null,
    job_id {id},
    lease {int},
    asked_at {time} not null,
    answered_at {time},
    answer {text},
    primary key (worker, id)
){keyed_end}"""
"""What the dashboard asks of a worker: to stop, to drain, to show the stack of a job."""

TRASH = """
create table lateshift_trash (
    batch {id} not null,
    job_id {id} not null,
    deleted_at {time} not null,
    content {text} not null,
    primary key (batch, job_id)
){keyed_end}"""
"""Deleted jobs as they were, for as long as the deletion can be undone."""

AUDIT = """
create table lateshift_audit (
    id {id} not null primary key,
    at {time} not null,
    actor {text} not null,
    action {word} not null,
    target {text} not null,
    number {int} not null,
    details {text} not null
){end}"""

MARKS = """
create table lateshift_marks (
    id {word} not null primary key,
    at {time} not null,
    kind {word} not null,
    label {text} not null,
    details {text} not null
){end}"""
"""What a chart shows beside its curves: a new version that started, a worker that died. `id` begins with the time."""

TAKEN_OVER = """
insert into lateshift_history (span, start, queue, name, completed, failed, retried, cancelled, wait_time, run_time,
                               waits, runs)
select {span}, minute - minute % {span}, {queue}, '', sum(completed), sum(failed), sum(retried), sum(cancelled),
       sum(wait_time), sum(run_time), '', ''
from lateshift_statistics group by minute - minute % {span}{by_queue}"""
"""What the first schema had counted; its table stays, as workers of that version may still write to it."""

RETRYING_INDEX = """
{only if partial(}create index lateshift_jobs_retrying on lateshift_jobs (run_at, seq)
where status = 'pending_retry'{)}"""
"""Finds the few retries in a long queue; other jobs pay nothing. On MySQL the index of the finished ones has them."""

DASHBOARD: Final = (
    TALLIES,
    HISTORY,
    GROUPS,
    FAILURES,
    REQUESTS,
    TRASH,
    AUDIT,
    MARKS,
    RETRYING_INDEX,
    "create index lateshift_trash_age on lateshift_trash (deleted_at)",
    "alter table lateshift_attempts add column fingerprint {word}",
    "create index lateshift_attempts_fingerprint on lateshift_attempts {fingerprint_key}",
    "alter table lateshift_workers add column revision {text}",
    "alter table lateshift_workers add column slots {text}",
    "alter table lateshift_workers add column memory {time}",
    "alter table lateshift_workers add column cpu {real}",
    "insert into lateshift_meta (name, value) values ('folded_at', 0)",
    *(
        TAKEN_OVER.replace("{span}", span).replace("{queue}", queue).replace("{by_queue}", by_queue)
        for span in ("1", "10", "60", "1440")
        for queue, by_queue in (("queue", ", queue"), ("''", ""))
    ),
)

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
    Migration(2, "history, error groups, requests to workers, undo, audit log", DASHBOARD),
)

LATEST: Final = MIGRATIONS[-1].number
