"""What a job is: the statuses, the row as users read it, the row to be stored, and the row as a worker claims it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypedDict

import msgspec

Status = Literal["pending", "running", "completed", "failed", "pending_retry", "cancelled"]
ExecutorKind = Literal["thread", "loop", "process"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

WAITING: Final = ("pending", "pending_retry")
FINISHED: Final = ("completed", "failed", "cancelled")
STATUSES: Final = ("pending", "running", "completed", "failed", "pending_retry", "cancelled")
EXECUTORS: Final[tuple[ExecutorKind, ...]] = ("thread", "loop", "process")


# What users read is a dataclass, with which FastAPI and Flask can answer; a Struct would be made 1 ms faster.
@dataclass(frozen=True, slots=True)
class JobError:
    """What an attempt failed with: the exception's dotted type, its message and its traceback."""

    type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a job, as it ended (or as it runs: `outcome` is then "running").

    `number` counts the attempts that use up a retry; a snooze or a crash does not. Times are aware datetimes in UTC.
    """

    number: int
    outcome: str
    started_at: datetime | None
    finished_at: datetime | None
    worker: str | None
    error: JobError | None
    logs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """One enqueued call, as it stands in the database at the moment of reading.

    Times are aware datetimes in UTC. `attempts` counts the attempts begun, `max_attempts` how many there may be,
    `crashes` how often the worker died under it. `result` is the decoded JSON that the job returned. `error` is that
    of the last attempt that failed. `progress` is 0 to 1 as the job last reported it.
    """

    id: str
    name: str
    queue: str
    priority: int
    status: Status
    parameters: dict[str, Any]
    attempts: int
    max_attempts: int
    run_at: datetime
    enqueued_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: Any = None
    error: JobError | None = None
    worker: str | None = None
    crashes: int = 0
    progress: float | None = None
    progress_message: str | None = None
    timeout: float | None = None
    cancel_requested: bool = False
    history: tuple[Attempt, ...] = field(default=(), repr=False)

    @property
    def finished(self) -> bool:
        """Whether the job has come to its end: completed, failed or cancelled."""
        return self.status in FINISHED


class NewJob(msgspec.Struct, frozen=True, gc=False):
    """A job about to be stored. Times are microseconds since 1970 in UTC; texts are JSON."""

    id: str
    name: str
    queue: str
    executor: ExecutorKind
    priority: int
    parameters: str
    max_retries: int
    run_at: int
    enqueued_at: int
    options: str | None = None
    status: Literal["pending"] = "pending"


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """A job in a worker's hand. `attempt` is 1 for the first; `lease` fences everything the worker writes about it.

    `seq` is where its row is found fastest on SQLite.
    """

    id: str
    lease: int
    name: str
    parameters: str
    attempt: int
    crashes: int
    max_retries: int
    run_at: int
    seq: int
    options: str | None
    queue: str
    executor: ExecutorKind
    priority: int


class CallOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one call of `run_background_job` overrides; stored as JSON in the job's `options`.

    `retry` is a policy as `retry.encode` writes it; `timeout` is in seconds, `max_memory` in bytes.
    """

    retry: dict[str, Any] | None = None
    timeout: float | None = None
    max_memory: int | None = None


class JobFilters(TypedDict, total=False):
    """What `alist_jobs` takes: the arguments of `list_jobs`."""

    status: str | None
    queue: str | None
    name: str | None
    limit: int
    before: str | None


_EARLIEST: Final = -62_135_596_800_000_000
_LATEST: Final = 253_000_000_000_000_000
"""Microseconds of the first moment of a datetime, and of one in the year 9987."""


def to_datetime(microseconds: int | None) -> datetime | None:
    """An aware datetime in UTC for stored microseconds, or None."""
    return None if microseconds is None else moment(microseconds)


def moment(microseconds: object) -> datetime:
    """An aware datetime in UTC for stored microseconds, exact to the microsecond.

    What no datetime can be, in a row written by other hands, becomes one at the edge: it must not hide the other rows.
    """
    known = microseconds if isinstance(microseconds, int) else 0  # SQLite lets a text stand in a column of numbers
    # Not fromtimestamp(), which on Windows refuses what is before 1970.
    return _EPOCH + timedelta(microseconds=min(max(known, _EARLIEST), _LATEST))


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970 for an aware datetime."""
    return round(moment.timestamp() * 1_000_000)
