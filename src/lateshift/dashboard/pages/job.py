"""One job: where it is and why, every attempt to scale, what it was given and gave, its errors and logs."""

from __future__ import annotations

from starlette.responses import Response

from lateshift.dashboard import other_runs, timeline, tracebacks
from lateshift.dashboard.formatting import json_part
from lateshift.dashboard.python_call import as_python
from lateshift.dashboard.rows import lasted
from lateshift.dashboard.view import View
from lateshift.explain import explain
from lateshift.job import FINISHED, Job
from lateshift.storage import bulk


def show(view: View) -> Response:
    """The page. Raises JobNotFound."""
    job = view.job()
    key = ("explain", job.id, job.status)
    parameters, result = json_part(view.shown(job.parameters)), json_part(view.shown(job.result))
    explanation = view.desk.once(key, lambda: explain(view.app, job.id))
    return view.page(
        "job.html",
        section="jobs",
        title=job.name.rpartition(".")[2] if "." in job.name else job.name,
        job=job,
        sentences=explanation.beside_the_job,
        moments=explanation.moments,
        spans=timeline.spans(job, view.moment),
        draw=timeline.draw,
        pieces=tracebacks.take_apart(job.error.traceback) if job.error else [],
        raised_at=tracebacks.innermost(job.error.traceback) if job.error else None,
        take_apart=tracebacks.take_apart,
        lasted=lasted(job),
        runs=other_runs.around(view, job),
        days=other_runs.DAYS,
        parameters=parameters,
        result=result,
        call=as_python(job, view.read(bulk.original, job.id), view.shown(job.parameters)) if parameters.whole else None,
        masked=view.shown(job.parameters) != job.parameters,
        may=permitted(view, job),
    )


def permitted(view: View, job: Job) -> dict[str, bool]:
    """Which actions this user has on this job as it stands."""
    operator, admin = view.may("operator"), view.may("admin")
    return {
        "retry": operator and job.status in ("failed", "cancelled", "pending_retry"),
        "cancel": operator and job.status not in FINISHED and not job.cancel_requested,
        "again": operator and job.status in FINISHED,
        "edit": operator and job.status in (*FINISHED, "pending_retry"),
        "stack": operator and job.status == "running",
        "delete": admin and job.status in FINISHED,
    }
