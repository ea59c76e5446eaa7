"""A job's row, and the `Job` that it is read as."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from lateshift.job import CallOptions, Job, JobError, moment, to_datetime
from lateshift.storage.database import Row
from lateshift.storage.soundness import REAL, TEXT, WHOLE, Kind, sound

JOB_ROWS: Final = """
select id, name, queue, priority, status, parameters, attempts, max_retries, run_at, enqueued_at, started_at,
       finished_at, result, error_type, error_message, error_traceback, worker, crashes, progress, progress_message,
       options, cancel_requested, lease
from lateshift_jobs"""
"""The beginning of a statement whose rows `as_job` reads; the last column, the lease, is not in a `Job`."""

_JOB_KINDS: Final[tuple[Kind, ...]] = (
    *(str, str, str, int, str, TEXT, int, int, int, int, WHOLE, WHOLE),
    *(TEXT, TEXT, TEXT, TEXT, TEXT, int, REAL, TEXT, TEXT, WHOLE, WHOLE),
)


def as_job(row: Row) -> Job:
    """A row as a job, without its history; whatever other hands have put there."""
    known = sound(row, _JOB_KINDS)
    (id_, name, queue, priority, state, parameters, attempts, retries, run_at, enqueued, started, finished) = known[:12]
    (result, kind, message, trace, worker, crashes, progress, progress_message, options, cancelling, _) = known[12:]
    return Job(
        id=id_,
        name=name,
        queue=queue,
        priority=priority,
        status=state,
        parameters=_decoded(parameters) or {},
        attempts=attempts,
        max_attempts=retries + 1,
        run_at=moment(run_at),
        enqueued_at=moment(enqueued),
        started_at=to_datetime(started),
        finished_at=to_datetime(finished),
        result=_decoded(result),
        error=error_of(kind, message, trace),
        worker=worker,
        crashes=crashes,
        progress=progress,
        progress_message=progress_message,
        timeout=_timeout(options),
        cancel_requested=bool(cancelling),
    )


def error_of(kind: str | None, message: str | None, trace: str | None) -> JobError | None:
    """The error in a job's or an attempt's columns."""
    return None if kind is None else JobError(kind, message or "", trace or "")


def _timeout(options: str | None) -> float | None:
    try:
        return msgspec.json.decode(options, type=CallOptions).timeout if options else None
    except (msgspec.DecodeError, RecursionError):  # a row written by other hands must not hide the others
        return None


def _decoded(text: str | None) -> Any:
    """JSON as it stands in the row; a text that is none is shown as it is rather than hiding the job."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {"unreadable": text}
