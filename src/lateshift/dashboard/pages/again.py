"""Running a job again with other parameters: a form with its parameters as JSON, which keeps what was typed."""

from __future__ import annotations

from starlette.responses import Response

from lateshift.dashboard.deeds import record
from lateshift.dashboard.formatting import json_text
from lateshift.dashboard.typed import read_parameters
from lateshift.dashboard.view import View
from lateshift.errors import InvalidJob, SpawnError
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
    words, kind = f"{last_part(job.name)} was enqueued with these parameters.", "done"
    try:
        new = view.app.run_again(job.id, read_parameters(typed))
    except SpawnError as error:  # it is stored, and nothing runs it
        new, words, kind = str(error.job_id), str(error), "refused"
    except InvalidJob as error:
        return _form(view, job, typed, str(error))
    record(view, "run again", job.id, details=f"with other parameters, as {new}")
    return view.done(words, view.url(f"/jobs/{new}"), kind)


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
