"""Jobs by their ids, as programs give them: to look for one makes no database, and to find none is an error."""

from __future__ import annotations

from lateshift.errors import JobNotFound
from lateshift.job import Job
from lateshift.options import check_id
from lateshift.storage import reads
from lateshift.storage.database import Database


def known(db: Database, job_id: str) -> str:
    """An id, to be looked for. Raises InvalidOption for what is no text, JobNotFound where there is no database."""
    check_id(job_id)
    if not db.exists():
        raise JobNotFound(job_id, db.place)
    return job_id


def found(job_id: str, status: str | None) -> str:
    """The status that a job turned out to have. Raises JobNotFound for None."""
    if status is None:
        raise JobNotFound(job_id)
    return status


def status_of(db: Database, job_id: str) -> str:
    """A job's status. Raises as `known`, and JobNotFound."""
    return found(job_id, reads.status(db, known(db, job_id)))


def job_of(db: Database, job_id: str) -> Job:
    """A job with the history of its attempts. Raises as `status_of`."""
    job = reads.get(db, known(db, job_id), history=True)
    if job is None:
        raise JobNotFound(job_id)
    return job
