"""Where a running job is at this moment: its worker is asked, and the answer is shown as soon as it comes."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import HTMLResponse, Response

from lateshift.dashboard import deeds, tracebacks
from lateshift.dashboard.view import View
from lateshift.job import Job, moment
from lateshift.storage import requests
from lateshift.storage.requests import Request
from lateshift.texts import is_id, storable

PATIENCE: Final = 10_000_000
"""Microseconds that a worker has for an answer: it looks once a second, a child process has five."""


def ask(view: View) -> Response:
    """Ask the worker. Raises JobNotFound, and JobStateError for a job that does not run."""
    job = view.app.get_job(view.path["id"])
    asked = deeds.stack(view, job)
    if view.is_fragment:
        return _show(view, job, asked.worker, asked.id)
    page = view.url(f"/jobs/{job.id}/stack", worker=asked.worker, asked=asked.id)
    return view.done("The worker is asked where the job is.", page)


def show(view: View) -> Response:
    """The answer, or that there is none yet. Raises JobNotFound."""
    job, asked = view.app.get_job(view.path["id"]), view.query.get("asked", "")
    return _show(view, job, storable(view.query.get("worker", "")), asked if is_id(asked) else "")


def _show(view: View, job: Job, worker: str, asked: str) -> Response:
    request = requests.answer_to(view.desk.database, worker, asked)
    if request is not None and request.job_id != job.id:
        request = None
    state = _state(request, view.desk.database.now())
    text = (request.answer or "") if request else ""
    context: dict[str, Any] = {
        "job": job,
        "state": state,
        "again": view.url(f"/jobs/{job.id}/stack", worker=worker, asked=asked),
        "pieces": tracebacks.take_apart(text),
        "text": text,
        "answered": moment(request.answered_at) if request and request.answered_at else None,
        "may_ask": view.may("operator") and job.status == "running",
    }
    if view.is_fragment:
        return HTMLResponse(view.desk.templates.get_template("stack_part.html").render(view=view, **context))
    return view.page("stack.html", section="jobs", title="Live stack", **context)


def _state(request: Request | None, now: int) -> str:
    """Whether the answer is here, awaited, late, or not to be had any more."""
    if request is None:
        return "gone"
    if request.answer is not None:
        return "here"
    return "late" if now - request.asked_at > PATIENCE else "awaited"
