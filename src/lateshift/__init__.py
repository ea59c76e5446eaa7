"""Background jobs for Python with nothing to start.

    from lateshift import run_background_job

    job_id = run_background_job(ProcessOrder, "handle", {"order_id": 123}, priority=5, delay=60)

stores the job in a database and sees to it that a background process runs it.
"""

from lateshift.app import Lateshift
from lateshift.background import BackgroundJob, background
from lateshift.context import current_job
from lateshift.default import (
    acancel_job,
    adelete_job,
    aenqueue_many,
    aget_job,
    alist_jobs,
    apause_queue,
    aresume_queue,
    aretry_job,
    arun_background_job,
    await_for_job,
    cache,
    cancel_job,
    configure,
    delete_job,
    enqueue_many,
    get_job,
    list_jobs,
    pause_queue,
    resume_queue,
    retry_job,
    run_background_job,
    wait_for_job,
)
from lateshift.enqueuing import Call
from lateshift.errors import JobFailed, JobNotFound, LateshiftError, WaitTimeout
from lateshift.freezing import freeze_support
from lateshift.job import Attempt, Job, JobError
from lateshift.outcome import Cancel, JobTimeout, Retry, Snooze
from lateshift.retry import RetryPolicy
from lateshift.settings import Settings
from lateshift.version import VERSION

__version__ = VERSION

__all__ = [
    "Attempt",
    "BackgroundJob",
    "Call",
    "Cancel",
    "Job",
    "JobError",
    "JobFailed",
    "JobNotFound",
    "JobTimeout",
    "Lateshift",
    "LateshiftError",
    "Retry",
    "RetryPolicy",
    "Settings",
    "Snooze",
    "WaitTimeout",
    "acancel_job",
    "adelete_job",
    "aenqueue_many",
    "aget_job",
    "alist_jobs",
    "apause_queue",
    "aresume_queue",
    "aretry_job",
    "arun_background_job",
    "await_for_job",
    "background",
    "cache",
    "cancel_job",
    "configure",
    "current_job",
    "delete_job",
    "enqueue_many",
    "freeze_support",
    "get_job",
    "list_jobs",
    "pause_queue",
    "resume_queue",
    "retry_job",
    "run_background_job",
    "wait_for_job",
]
