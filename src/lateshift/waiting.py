"""Waiting for a job: how often somebody looks at it, for how long, and what it says in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

from lateshift.clock import steady
from lateshift.durations import check_wait
from lateshift.errors import JobFailed, WaitTimeout
from lateshift.job import FINISHED, Job
from lateshift.lookup import job_of, status_of
from lateshift.storage.database import Database

FIRST_PAUSE: Final = 0.001
LONGEST_PAUSE: Final = 0.05
"""Seconds between two looks: a job may take a millisecond or a day."""

NUDGE: Final = 1.0
"""Seconds after which it is seen to, again and again, that something runs the job."""


def pauses(
    db: Database, job_id: str, timeout: float | timedelta | None, nudge: Callable[[str, str], None]
) -> Iterator[float]:
    """The seconds between two looks at a job until it is finished. Raises JobNotFound, WaitTimeout, InvalidOption.

    `nudge(job_id, status)` is called about each second.
    """
    timeout = None if timeout is None else check_wait(timeout, "The timeout")
    began = nudged = steady()
    pause = FIRST_PAUSE
    while (status := status_of(db, job_id)) not in FINISHED:
        now = steady()
        if timeout is not None and now - began >= timeout:
            raise _too_long(db, job_id, status, timeout)
        if now - nudged > NUDGE:
            nudge(job_id, status)
            nudged = now
        yield pause if timeout is None else max(0.0, min(pause, began + timeout - now))
        pause = min(LONGEST_PAUSE, pause * 1.5)


def checked(job: Job, *, check: bool) -> Job:
    """What a wait returns. Raises JobFailed with `check`, unless the job has completed."""
    if check and job.status != "completed":
        raise JobFailed(job)
    return job


def _too_long(db: Database, job_id: str, status: str, timeout: float) -> WaitTimeout:
    error = job_of(db, job_id).error if status == "pending_retry" else None
    last = "" if error is None else f" Its last error: {error.type}: {error.message}".rstrip(":. ") + "."
    return WaitTimeout(
        f"Job {job_id} is {status} after {timeout:g} s; it goes on.{last} `lateshift explain {job_id}` says why.",
        job_id,
        status,
    )
