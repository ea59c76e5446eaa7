"""What an operator does to jobs, queues, workers and error groups: once, for pages and API, noted in the audit log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from lateshift.dashboard import undoing
from lateshift.dashboard.fleet_lines import find_worker
from lateshift.dashboard.view import View
from lateshift.errors import JobStateError, SpawnError
from lateshift.job import Job
from lateshift.storage import audit, bulk, failures, requests
from lateshift.storage.failures import ErrorGroup
from lateshift.storage.requests import Request, RequestKind

log: Final = logging.getLogger("lateshift.dashboard")


class Done(NamedTuple):
    """Whether that changed anything, and a warning where it is done but nobody runs what waits for it."""

    changed: bool
    warning: str | None


class Stored(NamedTuple):
    """The id of a new job, and a warning where it is stored but nobody runs it."""

    job_id: str
    warning: str | None


def enqueue(view: View, name: str, parameters: Mapping[str, Any] | None, **options: Any) -> Stored:
    """Enqueue a job, with the options of `run_background_job`. Raises what that raises, but SpawnError."""
    stored = _stored(lambda: view.app.run_background_job(name, parameters=parameters, **options))
    record(view, "enqueue", stored.job_id, details=name)
    return stored


def run_again(view: View, job_id: str, parameters: Mapping[str, Any] | None = None) -> Stored:
    """Enqueue one more job like this one, perhaps with other parameters. Raises what `run_again` raises."""
    stored = _stored(lambda: view.app.run_again(job_id, parameters))
    changed = "" if parameters is None else "with other parameters, "
    record(view, "run again", job_id, details=f"{changed}as {stored.job_id}")
    return stored


def delete(view: View, job_id: str) -> str:
    """Delete a finished job; what it can be brought back by. Raises JobNotFound, JobStateError."""
    job = view.app.get_job(job_id)
    deletion = bulk.BulkAction(view.desk.database, "delete", [job.id])
    if not deletion.run().changed:
        words = f"Job {job.id} is {job.status}, only finished jobs can be deleted: cancel it first."
        raise JobStateError(words, job.id, job.status)
    record(view, "delete", job.id, details=undoing.note(deletion.id))
    return deletion.id


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


def resolve(view: View, key: str) -> ErrorGroup | None:
    """Put an error group away until it is seen again; as it is then, or None if there is none."""
    db = view.desk.database
    return _on_group(view, "resolve", key, lambda: failures.resolve(db, key, view.user.name, db.now()))


def reopen(view: View, key: str) -> ErrorGroup | None:
    """Take `resolve` back; as the group is then, or None if there is none."""
    return _on_group(view, "reopen", key, lambda: failures.reopen(view.desk.database, key))


def record(view: View, action: str, target: str, number: int = 1, details: str = "") -> None:
    """Note who did what to how many jobs, queues or workers, on one line of the log whatever was searched for."""
    told = f"{view.user.name} ({view.user.role}): {action} {target} ({number}) {details}"
    log.info("%s", " ".join(told.split()))
    audit.append(view.desk.database, view.desk.database.now(), view.user.name, action, target, number, details)


def _stored(store: Callable[[], str]) -> Stored:
    try:
        return Stored(store(), None)
    except SpawnError as error:
        return Stored(str(error.job_id), str(error))


def _on_group(view: View, action: str, key: str, change: Callable[[], bool]) -> ErrorGroup | None:
    group = _group(view, key)
    if group is None or not change():
        return None
    record(view, action, f"fingerprint:{key}", details=f"{group.type} in {group.place}" if group.place else group.type)
    return _group(view, key)


def _group(view: View, key: str) -> ErrorGroup | None:
    db = view.desk.database
    found = failures.groups(db, db.now() - failures.KEPT_DAYS * 24 * failures.HOUR, fingerprint=key)
    return found[0] if found else None


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
