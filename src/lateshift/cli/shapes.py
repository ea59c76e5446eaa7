"""What the commands know as JSON: these keys are documented and stay; more may be added.

Times are aware datetimes in UTC, which become ISO 8601 texts such as "2026-11-24T03:46:32.123456Z".
"""

from __future__ import annotations

from typing import Any, Final

from lateshift.job import Attempt, Job, JobError, moment, to_datetime
from lateshift.storage.reads import QueueRow, WorkerRow
from lateshift.storage.workers import claims_jobs

JOB_KEYS: Final = (
    "id, name, queue, priority, status, parameters, attempts, max_attempts, crashes, run_at, enqueued_at, started_at, "
    "finished_at, result, error (type, message, traceback; or null), worker, progress (0 to 1), progress_message, "
    "timeout (seconds), cancel_requested"
)
ATTEMPT_KEYS: Final = "number, outcome, started_at, finished_at, worker, error, logs"
QUEUE_KEYS: Final = (
    "name, paused, waiting (due now), delayed, running, oldest (when the longest waiting job became due); "
    "counts end at 10001, for more than 10000"
)
WORKER_KEYS: Final = (
    "id, kind, host, pid, queues ([] for all), version, release (LATESHIFT_RELEASE, or the version), started_at, "
    "heartbeat_at, running, alive, claims (whether it takes more jobs)"
)
TOP_KEYS: Final = (
    "at, light (good, warning or bad), sentence, reasons (array of texts), per_second (jobs finished), failure_rate (0 "
    "to 1, of the last hour; or null), oldest (seconds that the longest waiting job waits; or null), workers, "
    "dead_workers, counts (jobs by status, to 10001), queues, running, waiting, failed (arrays of jobs, 50 at most)"
)
BULK_KEYS: Final = "matching, changed (numbers of jobs)"
CHECK_KEYS: Final = 'name, level ("ok", "warning" or "error"), message, remedy'


def job_shape(job: Job) -> dict[str, Any]:
    """A job without its attempts: `JOB_KEYS`."""
    names = (
        "id name queue priority status parameters attempts max_attempts crashes run_at enqueued_at started_at "
        "finished_at result error worker progress progress_message timeout cancel_requested"
    )
    shape = {name: getattr(job, name) for name in names.split()}
    return {**shape, "error": _error(job.error)}


def attempt_shape(attempt: Attempt) -> dict[str, Any]:
    """One attempt: `ATTEMPT_KEYS`."""
    return {
        "number": attempt.number,
        "outcome": attempt.outcome,
        "started_at": attempt.started_at,
        "finished_at": attempt.finished_at,
        "worker": attempt.worker,
        "error": _error(attempt.error),
        "logs": list(attempt.logs),
    }


def queue_shape(queue: QueueRow) -> dict[str, Any]:
    """A queue: `QUEUE_KEYS`."""
    return {
        "name": queue.name,
        "paused": queue.paused,
        "waiting": queue.waiting,
        "delayed": queue.delayed,
        "running": queue.running,
        "oldest": to_datetime(queue.oldest),
    }


def worker_shape(worker: WorkerRow, *, release: str, alive: bool, running: int) -> dict[str, Any]:
    """A worker: `WORKER_KEYS`."""
    claims = claims_jobs(worker.queues)
    return {
        "id": worker.id,
        "kind": worker.kind,
        "host": worker.host,
        "pid": worker.pid,
        "queues": list(worker.queues) if claims else [],
        "version": worker.version,
        "release": release,
        "started_at": moment(worker.started_at),
        "heartbeat_at": moment(worker.heartbeat_at),
        "running": running,
        "alive": alive,
        "claims": claims,
    }


def _error(error: JobError | None) -> dict[str, str] | None:
    return None if error is None else {"type": error.type, "message": error.message, "traceback": error.traceback}
