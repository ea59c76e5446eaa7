"""What the API does: each function does it, notes it for the audit, and tells how things are afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lateshift.dashboard import deeds
from lateshift.dashboard.api import forms, shapes
from lateshift.dashboard.api.asking import Again, NewJob, Nothing
from lateshift.dashboard.api.reading import unfit
from lateshift.dashboard.api.reads import no_group, no_worker
from lateshift.dashboard.problems import Refused
from lateshift.dashboard.view import View
from lateshift.errors import InvalidOption, InvalidParameters, JobStateError
from lateshift.options import check_queue
from lateshift.storage.failures import ErrorGroup
from lateshift.storage.requests import RequestKind


def enqueue(view: View, asked: NewJob) -> shapes.ChangedJob:
    """Enqueue a job; its callable has to be among those that LATESHIFT_ALLOWED permits."""
    options: dict[str, Any] = {
        name: getattr(asked, name) for name in asked.__struct_fields__ if name not in ("name", "parameters")
    }
    try:
        new = deeds.enqueue(view, asked.name, asked.parameters, **options)
    except InvalidParameters as error:
        raise _unfit_parameters(error) from None
    return _changed(view, *new)


def run_again(view: View, asked: Again) -> shapes.ChangedJob:
    """Enqueue a new job like this one, due at once, with the same parameters or with others."""
    try:
        new = deeds.run_again(view, view.path["id"], asked.parameters)
    except InvalidParameters as error:
        raise _unfit_parameters(error) from None
    return _changed(view, *new)


def retry(view: View, _: Nothing) -> shapes.ChangedJob:
    """Run a failed or cancelled job again with all its attempts, or a waiting retry at once."""
    return _changed(view, view.path["id"], deeds.retry(view, view.path["id"]).warning)


def cancel(view: View, _: Nothing) -> shapes.ChangedJob:
    """Cancel a waiting job, or ask a running one to stop."""
    return _changed(view, view.path["id"], deeds.cancel(view, view.path["id"]).warning)


def delete(view: View, _: Nothing) -> shapes.Deleted:
    """Delete a finished job with its attempts and logs; for ten minutes it can be brought back."""
    return shapes.Deleted(deeds.delete(view, view.path["id"]))


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
    return _on_group(view, deeds.resolve)


def reopen(view: View, _: Nothing) -> shapes.ErrorGroup:
    """Take it back that a group of failures is resolved."""
    return _on_group(view, deeds.reopen)


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


def _on_group(view: View, deed: Callable[[View, str], ErrorGroup | None]) -> shapes.ErrorGroup:
    group = deed(view, view.path["fingerprint"])
    if group is None:
        raise no_group(view)
    return forms.error_group(group)
