"""What the API does: each function does it, notes it for the audit, and tells how things are afterwards."""

from __future__ import annotations

from typing import Any

from lateshift.dashboard import deeds, undoing
from lateshift.dashboard.api import forms, shapes
from lateshift.dashboard.api.asking import Again, NewJob, Nothing
from lateshift.dashboard.api.reading import unfit
from lateshift.dashboard.api.reads import no_group, no_worker
from lateshift.dashboard.deeds import record
from lateshift.dashboard.problems import Refused
from lateshift.dashboard.view import View
from lateshift.errors import InvalidOption, InvalidParameters, JobStateError, SpawnError
from lateshift.options import check_queue
from lateshift.storage import failures
from lateshift.storage.bulk import BulkAction
from lateshift.storage.requests import RequestKind


def enqueue(view: View, asked: NewJob) -> shapes.ChangedJob:
    """Enqueue a job; its callable has to be among those that LATESHIFT_ALLOWED permits."""
    options: dict[str, Any] = {
        name: getattr(asked, name) for name in asked.__struct_fields__ if name not in ("name", "method", "parameters")
    }
    try:
        job_id, warning = view.app.run_background_job(asked.name, asked.method, asked.parameters, **options), None
    except SpawnError as error:
        job_id, warning = str(error.job_id), str(error)
    except InvalidParameters as error:
        raise _unfit_parameters(error) from None
    record(view, "enqueue", job_id, details=asked.name)
    return _changed(view, job_id, warning)


def run_again(view: View, asked: Again) -> shapes.ChangedJob:
    """Enqueue a new job like this one, due at once, with the same parameters or with others."""
    try:
        new, warning = view.app.run_again(view.path["id"], asked.parameters), None
    except SpawnError as error:
        new, warning = str(error.job_id), str(error)
    except InvalidParameters as error:
        raise _unfit_parameters(error) from None
    record(view, "run again", view.path["id"], details=f"as {new}")
    return _changed(view, new, warning)


def retry(view: View, _: Nothing) -> shapes.ChangedJob:
    """Run a failed or cancelled job again with all its attempts, or a waiting retry at once."""
    return _changed(view, view.path["id"], deeds.retry(view, view.path["id"]).warning)


def cancel(view: View, _: Nothing) -> shapes.ChangedJob:
    """Cancel a waiting job, or ask a running one to stop."""
    return _changed(view, view.path["id"], deeds.cancel(view, view.path["id"]).warning)


def delete(view: View, _: Nothing) -> shapes.Deleted:
    """Delete a finished job with its attempts and logs; for ten minutes it can be brought back."""
    job = view.app.get_job(view.path["id"])
    deletion = BulkAction(view.desk.database, "delete", [job.id])
    if not deletion.run().changed:
        words = f"Job {job.id} is {job.status}, only finished jobs can be deleted: cancel it first."
        raise JobStateError(words, job.id, job.status)
    record(view, "delete", job.id, details=undoing.note(deletion.id))
    return shapes.Deleted(deletion.id)


def pause(view: View, _: Nothing) -> shapes.QueueChange:
    """Let the jobs of a queue wait; running ones finish."""
    name = _queue(view)
    changed, warning = deeds.pause(view, name)
    return shapes.QueueChange(name, paused=True, changed=changed, warning=warning)


def resume(view: View, _: Nothing) -> shapes.QueueChange:
    """Let the jobs of a paused queue run again."""
    name = _queue(view)
    changed, warning = deeds.resume(view, name)
    return shapes.QueueChange(name, paused=False, changed=changed, warning=warning)


def stop(view: View, _: Nothing) -> shapes.WorkerRequest:
    """Ask a worker to stop: its jobs have the usual grace, and nobody replaces it."""
    return _dismiss(view, "stop")


def drain(view: View, _: Nothing) -> shapes.WorkerRequest:
    """Ask a worker to take no more jobs and to end when those it has have ended; nobody replaces it."""
    return _dismiss(view, "drain")


def stack(view: View, _: Nothing) -> shapes.WorkerRequest:
    """Ask for the live stack of a running job; its worker answers within a second or two."""
    try:
        return forms.request(deeds.stack(view, view.app.get_job(view.path["id"])))
    except JobStateError as error:
        raise Refused(409, "Not running", str(error)) from None


def resolve(view: View, _: Nothing) -> shapes.ErrorGroup:
    """Call a group of failures resolved, until it is seen again."""
    db = view.desk.database
    there = failures.resolve(db, view.path["fingerprint"], view.user.name, db.now())
    return _on_group(view, "resolve", there=there)


def reopen(view: View, _: Nothing) -> shapes.ErrorGroup:
    """Take it back that a group of failures is resolved."""
    there = failures.reopen(view.desk.database, view.path["fingerprint"])
    return _on_group(view, "reopen", there=there)


def _queue(view: View) -> str:
    try:
        return check_queue(view.path["name"])
    except InvalidOption as error:
        raise unfit(str(error), "path.name") from None


def _unfit_parameters(error: InvalidParameters) -> Refused:
    return unfit(str(error), "body.parameters" + (f".{error.parameter}" if error.parameter else ""))


def _changed(view: View, job_id: str, warning: str | None) -> shapes.ChangedJob:
    return shapes.ChangedJob(**forms.job_fields(view, view.app.get_job(job_id)), warning=warning)


def _dismiss(view: View, kind: RequestKind) -> shapes.WorkerRequest:
    asked = deeds.dismiss(view, kind, view.path["worker"])
    if asked is None:
        raise no_worker(view)
    return forms.request(asked)


def _on_group(view: View, action: str, *, there: bool) -> shapes.ErrorGroup:
    db, fingerprint = view.desk.database, view.path["fingerprint"]
    found = failures.groups(db, db.now() - failures.KEPT_DAYS * 86_400_000_000, fingerprint=fingerprint)
    if not there or not found:
        raise no_group(view)
    record(view, action, f"fingerprint:{fingerprint}", details=found[0].type)
    return forms.error_group(found[0])
