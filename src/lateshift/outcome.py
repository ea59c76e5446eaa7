"""What one attempt decided: a frozen value that says what the database must now contain.

Deciding is pure (`decide`); writing is `storage.writes.settle`, a batch at a time. The state machine is this file:

    pending --claim--> running --> completed | failed | cancelled
       ^                  |
       +- pending_retry <-+   (failed with attempts left, snoozed, returned, lost)
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final, Literal

import msgspec

from lateshift.durations import check_wait
from lateshift.errors import InvalidJob, ResultNotStorable, TransactionEnded
from lateshift.job import Claimed, JobError, Status

MAX_CRASHES: Final = 3
"""Crashes after which a job has failed."""

MAX_SHARED_CRASHES: Final = 10
"""The same for crashes that may be another job's doing: a neighbour of poison jobs must not fail for them."""

CRASH_PAUSE: Final = 1.0
"""Seconds before a job is tried again that had crashed before, for each time; after its first crash it is at once.
Without a pause three crashes took 0.3 s: as long as a library is being replaced, or memory is short."""

WORKER_DIED: Final = "lateshift.errors.WorkerDied"
"""The type of the error of an attempt that ended with its process."""

Kind = Literal["completed", "retry", "failed", "cancelled", "snoozed", "returned", "lost"]


class Retry(Exception):
    """Raise it in a job to have it run again: uses up an attempt, after `delay` seconds (default: the job's policy).

    Raises InvalidOption for a delay of more than ten years; a negative one is 0.
    """

    delay: float | None = None

    def __init__(self, reason: str = "", *, delay: float | timedelta | None = None) -> None:
        super().__init__(reason or "the job asked to be retried")
        self.delay = None if delay is None else check_wait(delay, "The delay of Retry")


class Snooze(Exception):
    """Raise it in a job to have it run again in `delay` seconds without using up an attempt.

    Raises InvalidOption for a delay of more than ten years; a negative one is 0. That of a subclass which does not call
    `__init__` is 5 seconds.
    """

    delay: float = 5.0

    def __init__(self, delay: float | timedelta, reason: str = "") -> None:
        super().__init__(reason or "the job asked to be run later")
        self.delay = check_wait(delay, "The delay of Snooze")


class Cancel(Exception):
    """Raise it in a job to end it as cancelled, with a reason; it is not retried."""

    def __init__(self, reason: str = "the job cancelled itself") -> None:
        super().__init__(reason)


class JobTimeout(BaseException):
    """Raised inside a job that ran longer than its timeout. A BaseException, so `except Exception` lets it pass."""


class EnqueuedByImport(InvalidJob):
    """A module that was imported to run a job has enqueued one, as it would each time: the job is not retried."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What the database must now contain about an attempt. Times are microseconds since 1970 in UTC.

    `run_at` is set when the job waits again. `counts` tells whether the attempt is used up; `crashed` whether it adds
    to the job's crashes. `result` is JSON. `logs` are the attempt's last log lines. `stored`: the job's own transaction
    has written it, all but the logs.
    """

    kind: Kind
    status: Status
    started_at: int
    finished_at: int
    run_at: int | None = None
    result: str | None = None
    error: JobError | None = None
    counts: bool = True
    crashed: bool = False
    logs: tuple[str, ...] = ()
    stored: bool = False


class Ending(msgspec.Struct, frozen=True):
    """How the job's code ended: with a JSON `result`, or with an exception and its traceback.

    `cancel_observed`: an operator asked to cancel and the job had seen it; `cancel_requested`: had not necessarily.
    """

    result: str | None = None
    exception: BaseException | None = None
    error: JobError | None = None
    cancel_requested: bool = False
    cancel_observed: bool = False


RetryDelay = Callable[[int, BaseException], float | None]
"""(attempt that failed, its exception) -> seconds to wait, or None for "do not retry this"."""


def decide(job: Claimed, ending: Ending, started_at: int, now: int, retry_delay: RetryDelay) -> Outcome:
    """What the end of an attempt means for the job: pure, the one place where a status is chosen.

    A cancel that the job saw, or that made it raise, wins over its result; one that it never looked at loses.
    """
    exception = ending.exception
    if exception is None:
        if ending.cancel_observed:
            return Outcome("cancelled", "cancelled", started_at, now, result=ending.result)
        return Outcome("completed", "completed", started_at, now, result=ending.result)
    if isinstance(exception, Cancel) or (ending.cancel_requested and not isinstance(exception, ResultNotStorable)):
        return Outcome("cancelled", "cancelled", started_at, now, error=ending.error)
    if isinstance(exception, Snooze):
        due = now + _microseconds(exception.delay)
        return Outcome("snoozed", "pending_retry", started_at, now, run_at=due, counts=False)
    delay = _delay(job, exception, retry_delay)
    if delay is None:
        return Outcome("failed", "failed", started_at, now, error=ending.error)
    due = now + _microseconds(delay)
    return Outcome("retry", "pending_retry", started_at, now, run_at=due, error=ending.error)


def returned(started_at: int, now: int, delay: float = 0.0) -> Outcome:
    """The job goes back unfinished, because its worker stops; no attempt is used up."""
    due = now + _microseconds(delay)
    return Outcome("returned", "pending_retry", started_at, now, run_at=due, counts=False)


def failed(started_at: int, now: int, error: JobError) -> Outcome:
    """The job has failed for good, whatever its policy: deciding or storing what became of it is what failed."""
    return Outcome("failed", "failed", started_at, now, error=error)


def lost(job: Claimed, started_at: int, now: int, error: JobError, *, shared: bool = False) -> Outcome:
    """The process under the job died: run it again, or fail it when that happened `MAX_CRASHES` times.

    `shared`: other jobs had begun in that process too, so nobody knows whose doing it was.
    """
    if job.crashes + 1 >= (MAX_SHARED_CRASHES if shared else MAX_CRASHES):
        return Outcome("failed", "failed", started_at, now, error=error, counts=False, crashed=True)
    due = now + _microseconds(CRASH_PAUSE * job.crashes)
    return Outcome("lost", "pending_retry", started_at, now, run_at=due, error=error, counts=False, crashed=True)


def unwritten(started_at: int, now: int) -> Outcome:
    """The process died after the attempt had ended and before that was written: run it again; that is no crash."""
    return Outcome("lost", "pending_retry", started_at, now, run_at=now, counts=False)


def _delay(job: Claimed, exception: BaseException, retry_delay: RetryDelay) -> float | None:
    if job.attempt > job.max_retries or isinstance(exception, ResultNotStorable | TransactionEnded):
        return None
    if isinstance(exception.__cause__, EnqueuedByImport):
        return None
    if isinstance(exception, Retry) and exception.delay is not None:
        return exception.delay
    return retry_delay(job.attempt, exception)


def _microseconds(delay: float) -> int:
    return max(0, round(delay * 1_000_000))
