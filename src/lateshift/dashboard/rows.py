"""A job as a line of a table: what happened last, when, and how long it took."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from lateshift.job import Job


class JobRow(NamedTuple):
    """`what` is the word before `when`; `lasted` is in seconds, of the last attempt."""

    job: Job
    what: str
    when: datetime
    lasted: float | None


def job_rows(jobs: Iterable[Job], now: datetime) -> list[JobRow]:
    """Lines for jobs at one moment."""
    return [_row(job, now) for job in jobs]


def _row(job: Job, now: datetime) -> JobRow:
    if job.status == "running" and job.started_at is not None:
        return JobRow(job, "started", job.started_at, max(0.0, (now - job.started_at).total_seconds()))
    if job.finished_at is not None:
        return JobRow(job, "finished", job.finished_at, lasted(job))
    return JobRow(job, "due", job.run_at, None)


def lasted(job: Job) -> float | None:
    """Seconds that the last attempt took; None if there was none, or only the history, which is not here, could tell.

    A job that was cancelled while it waited for a retry has finished long after its last attempt.
    """
    last = job.history[-1] if job.history else job
    if last.started_at is None or last.finished_at is None or not job.attempts:
        return None
    itself = job.error is not None and job.error.type.endswith(".Cancel")
    if last is job and job.status == "cancelled" and not (job.cancel_requested or itself):
        return None
    return max(0.0, (last.finished_at - last.started_at).total_seconds())
