"""The buttons of the pages: each changes something, and leads back with a sentence."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from lateshift.dashboard import deeds
from lateshift.dashboard.deeds import Done, Stored
from lateshift.dashboard.view import View
from lateshift.errors import InvalidOption, JobStateError, LateshiftError, SpawnError
from lateshift.host.fleet import ensure_runner
from lateshift.storage import reads
from lateshift.wording import last_part, short_id

Deed = Callable[[View, str], Done]


def retry(view: View) -> Response:
    """Run a failed or cancelled job again with all its attempts, or a waiting retry at once."""
    return _on_job(view, deeds.retry, f"Job {_short(view)} waits to run again.")


def cancel(view: View) -> Response:
    """Cancel a waiting job, or ask a running one to stop."""
    return _on_job(view, deeds.cancel, f"Job {_short(view)} is cancelled, or will be as soon as its code looks.")


def delete(view: View) -> Response:
    """Delete a finished job with its attempts and logs, with a way back; it asks first, where no dialog has."""
    job = view.app.get_job(view.path["id"])
    if view.form.get("confirmed") != "yes":
        detail = "1 job, with its attempts and logs. For ten minutes it can be brought back."
        return ask(view, "Delete this job?", detail, "Delete", f"/jobs/{job.id}")
    try:
        undo = deeds.delete(view, job.id)
    except JobStateError as error:
        return view.done(str(error), view.url(f"/jobs/{job.id}"), "refused")
    return view.done(f"Job {_short(view)} is deleted.", view.url("/jobs"), undo=undo)


def run_again(view: View) -> Response:
    """Enqueue a new job with the same callable, parameters and options."""
    job = view.app.get_job(view.path["id"])
    try:
        new = deeds.run_again(view, job.id)
    except LateshiftError as error:
        return view.done(str(error), view.url(f"/jobs/{job.id}"), "refused")
    return stored(view, new, f"{last_part(job.name)} was enqueued again, as this new job.")


def pause(view: View) -> Response:
    """Let the jobs of a queue wait."""
    name = view.path["name"]
    words = f"Queue {name} is paused: its jobs wait, running ones finish."
    return _do(view, deeds.pause, name, words, view.back("/queues"))


def resume(view: View) -> Response:
    """Let the jobs of a paused queue run again."""
    name = view.path["name"]
    return _do(view, deeds.resume, name, f"Queue {name} runs again.", view.back("/queues"))


def see_to_a_runner(view: View) -> str | None:
    """Have somebody there who runs what is due now; why there is nobody, if that cannot be."""
    database = view.desk.database
    try:
        ensure_runner(database, view.desk.settings, {lane.queue for lane in reads.lanes(database) if not lane.paused})
    except SpawnError as error:
        return str(error)
    return None


def stored(view: View, new: Stored, words: str) -> Response:
    """To the page of a new job, with these words or the warning that nobody runs it."""
    return view.done(new.warning or words, view.url(f"/jobs/{new.job_id}"), "refused" if new.warning else "done")


def ask(view: View, question: str, detail: str, verb: str, back: str, *, danger: bool = True) -> Response:
    """A page that asks whether the action is meant: what a dialog does where there is JavaScript."""
    return view.bare("confirm.html", title=question, detail=detail, verb=verb, back=view.url(back), danger=danger)


def _on_job(view: View, deed: Deed, words: str) -> Response:
    job_id = view.path["id"]
    return _do(view, deed, job_id, words, view.back(f"/jobs/{job_id}"))


def _do(view: View, deed: Deed, target: str, words: str, here: str) -> Response:
    try:
        warning = deed(view, target).warning
    except (InvalidOption, JobStateError) as error:
        return view.done(str(error), here, "refused")
    return view.done(warning or words, here, "refused" if warning else "done")


def _short(view: View) -> str:
    return short_id(view.path["id"])
