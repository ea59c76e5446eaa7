"""Running a job again with other parameters: a form with its parameters as JSON, which keeps what was typed."""

from __future__ import annotations

from starlette.responses import Response

from lateshift.dashboard import deeds
from lateshift.dashboard.actions import stored
from lateshift.dashboard.formatting import json_text
from lateshift.dashboard.typed import read_parameters
from lateshift.dashboard.view import View
from lateshift.errors import InvalidJob
from lateshift.job import Job
from lateshift.wording import last_part


def show(view: View) -> Response:
    """The form. Raises JobNotFound."""
    job = view.app.get_job(view.path["id"])
    return _form(view, job, json_text(job.parameters))


def run(view: View) -> Response:
    """Enqueue what was typed, or give it back with what is wrong. Raises JobNotFound."""
    job = view.app.get_job(view.path["id"])
    typed = view.form.get("parameters", "")
    try:
        new = deeds.run_again(view, job.id, read_parameters(typed))
    except InvalidJob as error:
        return _form(view, job, typed, str(error))
    return stored(view, new, f"{last_part(job.name)} was enqueued with these parameters.")


def _form(view: View, job: Job, typed: str, problem: str = "") -> Response:
    if view.desk.read_only:
        return view.read_only()
    return view.page(
        "again.html",
        section="jobs",
        title=f"Run {last_part(job.name)} again",
        code=422 if problem else 200,
        job=job,
        typed=typed,
        problem=problem,
        lines=min(24, max(6, typed.count("\n") + 2)),
    )
