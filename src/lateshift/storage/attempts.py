"""A job's attempts, as they are read: what was written of each, with the lines that it logged."""

from __future__ import annotations

from typing import Final

from lateshift.job import Attempt, Job, to_datetime
from lateshift.storage.database import Database
from lateshift.storage.job_rows import error_of
from lateshift.storage.soundness import TEXT, WHOLE, Kind, sound

_ATTEMPT: Final[tuple[Kind, ...]] = (int, int, str, TEXT, WHOLE, WHOLE, TEXT, TEXT, TEXT)


def history_of(db: Database, job: Job, lease: int) -> tuple[Attempt, ...]:
    """The attempts of a job that was read together with its `lease`, oldest first."""
    rows = db.query(
        "select lease, number, outcome, worker, started_at, finished_at, error_type, error_message, error_traceback"
        " from lateshift_attempts where job_id = :id order by lease",
        {"id": job.id},
    )
    kept = db.query('select lease, "lines" from lateshift_logs where job_id = :id', {"id": job.id})
    lines: dict[int, str] = dict(kept)
    attempts = [
        Attempt(
            number,
            outcome,
            to_datetime(start),
            to_datetime(end),
            worker,
            error_of(kind, message, trace),
            _lines(lines, key),
        )
        for key, number, outcome, worker, start, end, kind, message, trace in (sound(row, _ATTEMPT) for row in rows)
    ]
    if job.status in ("completed", "running"):  # these live in the job's own row: no second write for what goes well
        attempts.append(
            Attempt(job.attempts, job.status, job.started_at, job.finished_at, job.worker, None, _lines(lines, lease))
        )
    return tuple(attempts)


def _lines(lines: dict[int, str], lease: int) -> tuple[str, ...]:
    return tuple(lines[lease].split("\n")) if lease in lines else ()
