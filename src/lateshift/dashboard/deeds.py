"""What an operator does to a job, a queue or a worker: once, for the pages and the API, and noted in the audit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from lateshift.dashboard.fleet_lines import find_worker
from lateshift.dashboard.view import View
from lateshift.errors import JobStateError, SpawnError
from lateshift.job import Job
from lateshift.storage import audit, requests
from lateshift.storage.requests import Request, RequestKind

log: Final = logging.getLogger("lateshift.dashboard")


class Done(NamedTuple):
    """Whether that changed anything, and a warning where it is done but nobody runs what waits for it."""

    changed: bool
    warning: str | None


def retry(view: View, job_id: str) -> Done:
    """Run a failed or cancelled job again, or a waiting retry at once. Raises JobNotFound, JobStateError."""
    return _done(view, "retry", job_id, view.app.retry_job)


def cancel(view: View, job_id: str) -> Done:
    """Cancel a waiting job, or ask a running one to stop. Raises JobNotFound, JobStateError."""
    return _done(view, "cancel", job_id, view.app.cancel_job)


def pause(view: View, queue: str) -> Done:
    """Let the jobs of a queue wait. Raises InvalidOption for an impossible name."""
    return _done(view, "pause", queue, view.app.pause_queue)


def resume(view: View, queue: str) -> Done:
    """Let the jobs of a paused queue run again. Raises InvalidOption for an impossible name."""
    return _done(view, "resume", queue, view.app.resume_queue)


def dismiss(view: View, kind: RequestKind, worker: str) -> Request | None:
    """Ask a worker to "stop" or to "drain"; None when it is not alive, so that there is nobody to ask."""
    line = find_worker(view, worker)
    return _asked(view, worker, kind, worker) if line and line.alive else None


def stack(view: View, job: Job) -> Request:
    """Ask for the live stack of a running job. Raises JobStateError for one that does not run."""
    if job.status != "running" or job.worker is None:
        raise JobStateError(f"Job {job.id} is {job.status}: only running jobs have a stack.", job.id, job.status)
    return _asked(view, job.worker, "stack", job.id, job.id)


def record(view: View, action: str, target: str, number: int = 1, details: str = "") -> None:
    """Note who did what to how many jobs, queues or workers."""
    told = f"{view.user.name} ({view.user.role}): {action} {target} ({number}) {details}"
    log.info("%s", told.rstrip())
    audit.append(view.desk.database, view.desk.database.now(), view.user.name, action, target, number, details)


def _done(view: View, action: str, target: str, act: Callable[[str], bool | None]) -> Done:
    changed, warning = True, None
    try:
        changed = act(target) is not False
    except SpawnError as error:
        warning = str(error)
    record(view, action, target)
    return Done(changed, warning)


def _asked(view: View, worker: str, kind: RequestKind, target: str, job_id: str | None = None) -> Request:
    db = view.desk.database
    asked = requests.answer_to(db, worker, requests.ask(db, worker, kind, db.now(), job_id))
    assert asked is not None
    record(view, kind, target)
    return asked
