"""What the API answers: Structs, from which its document is made as well. Keys stay; more may be added.

Where `lateshift ... --json` has a shape, it is the same here. Times are RFC 3339 in UTC, durations are seconds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from lateshift.doctor.place import Level
from lateshift.job import Status
from lateshift.storage.bulk import Action
from lateshift.storage.failures import GroupState
from lateshift.storage.requests import RequestKind
from lateshift.storage.search import Sort

Moment = Annotated[datetime, Meta(tz=True)]
Light = Literal["good", "warning", "bad"]
Outcome = Literal["completed", "retry", "failed", "cancelled", "snoozed", "returned", "lost", "running"]


class Count(Struct, frozen=True):
    """A number of jobs; `more` when there are, or may be, more than were counted."""

    number: int
    more: bool


class Error(Struct, frozen=True):
    """What an attempt failed with."""

    type: str
    message: str
    traceback: str


class Job(Struct, frozen=True, kw_only=True):
    """A job as it stands; its attempts are in `history` where a single job is asked for."""

    id: str
    name: str
    queue: str
    priority: int
    status: Status
    parameters: Any
    attempts: int
    max_attempts: int
    crashes: int
    run_at: Moment
    enqueued_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    result: Any
    error: Error | None
    worker: str | None
    progress: float | None
    progress_message: str | None
    timeout: float | None
    cancel_requested: bool


class Attempt(Struct, frozen=True):
    """One execution of a job; `logs` are the lines that it logged."""

    number: int
    outcome: Outcome
    started_at: Moment | None
    finished_at: Moment | None
    worker: str | None
    error: Error | None
    logs: list[str]


class JobWithHistory(Job, frozen=True, kw_only=True):
    """A job with its attempts, oldest first."""

    history: list[Attempt]


class ChangedJob(Job, frozen=True, kw_only=True):
    """A job after an action. `warning` says what to do when that was done, but nothing will run the job."""

    warning: str | None


class JobPage(Struct, frozen=True):
    """Jobs that match, with cursors to the next and the previous page.

    `complete` is false when the search stopped before it had looked at everything; `next`, if there is one,
    goes on from there.
    """

    jobs: list[Job]
    next: str | None
    previous: str | None
    sort: Sort
    sorts: list[Sort]
    complete: bool


class StatusCounts(Struct, frozen=True):
    """How many jobs have each status, counting no further than 10,000."""

    pending: Count
    running: Count
    completed: Count
    failed: Count
    pending_retry: Count
    cancelled: Count


class Explanation(Struct, frozen=True):
    """Why a job is where it is, and what comes next, in sentences."""

    job_id: str
    status: Status
    sentences: list[str]


class AttemptLogs(Struct, frozen=True):
    """What an attempt logged."""

    number: int
    outcome: Outcome
    started_at: Moment | None
    finished_at: Moment | None
    lines: list[str]


class Reason(Struct, frozen=True):
    """One thing that is not as it should be; `path` is the page of the dashboard that shows more."""

    light: Light
    words: str
    path: str


class Summary(Struct, frozen=True, kw_only=True):
    """Whether everything is all right, and why not. `finished` and `failed` are those of the last hour."""

    light: Light
    sentence: str
    reasons: list[Reason]
    jobs: StatusCounts
    waiting: int
    running: int
    oldest_seconds: float | None
    finished: int
    failed: int
    workers_alive: int
    workers_dead: int


class Queue(Struct, frozen=True, kw_only=True):
    """A queue. `waiting` (due) and `delayed` end at 10001, for more than 10000.

    `speed_in` and `speed_out` are jobs a second over the last minutes, `empty_in` is seconds; null if it fills faster.
    """

    name: str
    paused: bool
    waiting: int
    delayed: int
    running: int
    oldest: Moment | None
    speed_in: float
    speed_out: float
    empty_in: float | None


class QueueChange(Struct, frozen=True):
    """A queue after it was paused or resumed; `changed` is false if it was so already."""

    name: str
    paused: bool
    changed: bool
    warning: str | None


class HeldJob(Struct, frozen=True):
    """A job in a worker's hand, and since when."""

    id: str
    name: str
    queue: str
    attempt: int
    since: Moment
    progress: float | None
    progress_message: str | None


class Worker(Struct, frozen=True, kw_only=True):
    """A worker as it last told of itself: `memory` in bytes, `cpu` in cores, `slots` by kind of executor.

    `queues` is empty for all. `release` is LATESHIFT_RELEASE, or the version. `claims` tells whether it takes more
    jobs: one that ends does not. `running` counts the jobs it has now, `jobs` are those that it has had for longest,
    100 at most.
    """

    id: str
    kind: str
    host: str
    pid: int
    queues: list[str]
    version: str
    release: str
    started_at: Moment
    heartbeat_at: Moment
    running: int
    alive: bool
    claims: bool
    memory: int | None
    cpu: float | None
    slots: dict[str, int]
    jobs: list[HeldJob]


class WorkerRequest(Struct, frozen=True):
    """What was asked of a worker, and its answer as soon as there is one; it is kept for a minute."""

    worker: str
    id: str
    kind: RequestKind
    job_id: str | None
    asked_at: Moment
    answered_at: Moment | None
    answer: str | None


class ErrorGroup(Struct, frozen=True, kw_only=True):
    """Failures of one kind. `failed` jobs failed for good, `retried` attempts were followed by another.

    `job_id` is one that failed so lately; all of them are found by the search `fingerprint:...`. `trend` counts
    attempts in 24 equal parts of the time asked for.
    """

    fingerprint: str
    type: str
    place: str
    message: str
    names: list[str]
    failed: int
    retried: int
    first_at: Moment
    last_at: Moment
    job_id: str
    trend: list[int]
    state: GroupState
    resolved_at: Moment | None
    resolved_by: str | None


class Quantiles(Struct, frozen=True):
    """Seconds that 50, 95 and 99 % did not exceed; null where nothing was counted."""

    p50: float | None
    p95: float | None
    p99: float | None


class Point(Struct, frozen=True, kw_only=True):
    """One step of a chart: `at` is its beginning, the counts are attempts that ended in it, the times mean seconds."""

    at: Moment
    completed: int
    failed: int
    retried: int
    cancelled: int
    waiting: Quantiles
    running: Quantiles
    wait_time: float | None
    run_time: float | None


class Mark(Struct, frozen=True):
    """A moment that charts show: a new version (`deploy`), or a worker that died (`death`)."""

    at: Moment
    kind: Literal["deploy", "death"]
    label: str
    details: str


class Series(Struct, frozen=True):
    """Points without a gap, oldest first; `step` is seconds, `total` is all of them as one."""

    step: int
    points: list[Point]
    total: Point
    marks: list[Mark]


class CallableUse(Struct, frozen=True):
    """A callable over the time asked for. `trend` counts its attempts in 24 equal parts.

    `change` is how the second half compares with the first: 0.5 for half as many again.
    """

    name: str
    queues: list[str]
    total: Point
    trend: list[int]
    change: float | None


class AuditEntry(Struct, frozen=True):
    """An action: `actor` did `action` to `target`, which were `number` jobs, queues or workers."""

    id: str
    at: Moment
    actor: str
    action: str
    target: str
    number: int
    details: str


class AuditPage(Struct, frozen=True):
    """Actions, the latest first; `next` is what `before` takes for the next page."""

    entries: list[AuditEntry]
    next: str | None


class Bulk(Struct, frozen=True, kw_only=True):
    """How far an action on many jobs is: `seen` were looked at, `changed` of them changed.

    `total` is how many the action would look at, counted before. `id` is null if it was only counted. `undo` is what
    /api/undo takes, for ten minutes. `warning` says what went wrong, if anything; what was done by then stays done.
    """

    id: str | None
    action: Action
    total: Count
    seen: int
    changed: int
    state: Literal["counted", "running", "done", "stopped", "broken"]
    undo: str | None
    warning: str | None


class Deleted(Struct, frozen=True):
    """A job was deleted; `undo` is what /api/undo takes, for ten minutes."""

    undo: str


class Undone(Struct, frozen=True):
    """How many deleted jobs are back; `more` when the time was not enough for all: then ask again.

    `warning` says what to do when nothing will run them.
    """

    restored: int
    more: bool
    warning: str | None


class Check(Struct, frozen=True):
    """A line of `lateshift doctor`: what was looked at, how it is, and what to do."""

    name: str
    level: Level
    message: str
    remedy: str
