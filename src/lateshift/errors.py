"""Every error that Lateshift raises to a caller, and what each asks you to do.

    LateshiftError
    ├── SettingsError             a LATESHIFT_ setting is unknown or has a bad value
    ├── InvalidJob                the job cannot be enqueued as it is written
    │   ├── CallableNotFound      nothing importable stands behind the dotted name
    │   ├── CallableNotAllowed    it exists, but the allow-list does not permit it
    │   ├── InvalidParameters     missing, unknown, of a wrong type, not JSON, or too large
    │   └── InvalidOption         priority, delay, run_at, queue, retries, timeout or another value out of range
    ├── InvalidSearch             a search is not written as it has to be
    ├── JobNotFound               no job has this id
    ├── JobStateError             the job's present status does not allow the action
    ├── WaitTimeout               the job did not finish in the time you gave it
    ├── JobFailed                 the job that you waited for with check=True has failed or was cancelled
    ├── SpawnError                the jobs are stored, but no runner could be started for them
    ├── NotInsideJob              current_job() was called where no job runs
    ├── TransactionEnded          a transactional job's transaction was over before the job was
    ├── WorkerDied                the process under a job died, three times over
    ├── MemoryExceeded            a job's process used more than its max_memory
    ├── ResultNotStorable         a job returned what JSON cannot hold, or too much of it
    └── StorageError              the database did not do what was asked
        ├── StorageUnavailable    missing, read-only, full, or locked for too long
        ├── StorageCorrupt        the database file is damaged
        ├── SchemaTooNew          written by a newer Lateshift than this one
        ├── AlreadyStored         a job with this id is there already
        ├── QueryTooSlow          a read of the dashboard took longer than it may
        └── SchemaTooOld          a database server on which `lateshift migrate` has to be run first

The message says what happened, names the value and ends with what to do next; the facts are attributes as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lateshift.job import Job


class LateshiftError(Exception):
    """Base of every error that Lateshift raises to its caller."""


class SettingsError(LateshiftError):
    """A LATESHIFT_ setting is unknown or has a bad value; the message says where it came from."""


class InvalidJob(LateshiftError):
    """The job cannot be enqueued as it is written."""


class CallableNotFound(InvalidJob):
    """Nothing importable stands behind the dotted name."""


class CallableNotAllowed(InvalidJob):
    """The callable is not permitted by LATESHIFT_ALLOWED, or is reached in a way that it does not cover."""


class InvalidParameters(InvalidJob):
    """The parameters do not fit the callable's signature or cannot be stored as JSON.

    `parameter` is the name at fault, or None when it is the whole.
    """

    def __init__(self, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


class InvalidOption(InvalidJob):
    """Priority, delay, run_at, queue, retries, timeout, or another value given to a function, is out of range."""


class InvalidSearch(LateshiftError):
    """A search cannot be read; `start` and `end` tell which part of its text is at fault."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.start = start
        self.end = end


class JobNotFound(LateshiftError):
    """No job has this id: it was never enqueued in this database, not committed yet, or it was deleted or pruned.

    `nowhere` is where a file was looked for that is not there.
    """

    def __init__(self, job_id: object, nowhere: str = "") -> None:
        super().__init__(
            f"There is no job {job_id!r}: there is no database at {nowhere} yet. If the job has been stored, "
            "LATESHIFT_DATABASE_URL was another one, or was relative to another folder."
            if nowhere
            else f"There is no job {job_id!r} in this database. It may have been deleted or pruned, or its transaction "
            "has not been committed; `lateshift list` shows the jobs that are there."
        )
        self.job_id = job_id


class JobStateError(LateshiftError):
    """The job's present status does not allow the action."""

    def __init__(self, message: str, job_id: str, status: str) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.status = status


class WaitTimeout(LateshiftError):
    """The job did not finish in the time you gave it; it goes on all the same."""

    def __init__(self, message: str, job_id: str, status: str) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.status = status


class JobFailed(LateshiftError):
    """The job that you waited for with `check=True` ended otherwise than completed; `job` is the job."""

    def __init__(self, job: Job) -> None:
        end = "was cancelled" if job.status == "cancelled" else job.status
        why = "" if job.error is None else f": {job.error.type}: {job.error.message}".rstrip(":. ")
        super().__init__(f"Job {job.id} ({job.name}) {end}{why}. `lateshift show {job.id}` has every attempt.")
        self.job = job


class SpawnError(LateshiftError):
    """The jobs are stored and safe, but no runner could be started to run them.

    `job_ids` are the ids of the jobs that were stored, retried or waited for; empty when it was about a whole queue.
    `job_id` is the id of a single one, else None.
    """

    def __init__(self, message: str, job_ids: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.job_ids = job_ids

    @property
    def job_id(self) -> str | None:
        """The id, if it is about one job."""
        return self.job_ids[0] if len(self.job_ids) == 1 else None

    def __str__(self) -> str:
        count = len(self.job_ids)
        stored = "The job is stored. " if count == 1 else f"{count} jobs are stored. " if count else ""
        return stored + super().__str__()


class NotInsideJob(LateshiftError):
    """`current_job()` was called where no job runs."""


class TransactionEnded(LateshiftError):
    """A transactional job's transaction was over before the job was: the job committed it itself, for example."""


class ResultNotStorable(LateshiftError):
    """A job returned what JSON cannot hold, or more than LATESHIFT_MAX_RESULT bytes of it."""


class WorkerDied(LateshiftError):
    """The process under a job died: how such a job has failed, and what its `failed()` hook is given."""


class MemoryExceeded(LateshiftError):
    """The process of an isolated job used more memory than its `max_memory`, and was killed."""


class StorageError(LateshiftError):
    """The database did not do what was asked."""


class StorageUnavailable(StorageError):
    """The database is missing, read-only, full, or was locked by others for too long."""


class StorageCorrupt(StorageError):
    """The database file is damaged."""


class SchemaTooNew(StorageError):
    """The database was written by a newer Lateshift than this one."""


class SchemaTooOld(StorageError):
    """The database server has no tables of Lateshift, or those of an older one: run `lateshift migrate`."""


class QueryTooSlow(StorageError):
    """A read took longer than its time limit and was given up; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("Reading took longer than it may and was given up. Ask for less, or for a shorter time.")


class AlreadyStored(StorageError):
    """A row with this key is there already; only seen when the answer to a commit got lost."""
