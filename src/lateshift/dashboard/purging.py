"""Purging a queue: throwing away all that waits in it, once its name has been typed."""

from __future__ import annotations

from typing import Final

from starlette.responses import RedirectResponse, Response

from lateshift.dashboard.bulk_actions import COUNTED, end, soon_done, told
from lateshift.dashboard.bulk_runs import Run
from lateshift.dashboard.formatting import counted
from lateshift.dashboard.undoing import way_back
from lateshift.dashboard.view import View
from lateshift.query import Query, Term
from lateshift.storage import audit, bulk, search
from lateshift.storage.audit import AuditEntry
from lateshift.storage.bulk import BulkAction
from lateshift.storage.counting import Count

LOOKED_AT: Final = 200
"""The newest actions among which one that can be undone is looked for."""

WHOLE: Final = "all that waited"
"""What the details of a purge of a queue say: of others the target is a search, or chosen jobs."""


def purge(view: View) -> Response:
    """Throw away all jobs that wait in a queue; when that is not done in a moment, lead to the page of its progress."""
    name, database = view.path["name"], view.desk.database
    here = view.url(f"/queues/{name}")
    if view.form.get("typed") != name:
        return _ask(view, name, search.count_matching(database, _waiting_in(name), COUNTED))
    work = BulkAction(database, "purge", _waiting_in(name))
    what = f"what waits in the queue `{name}`"
    run = Run(work.id, "purge", what, view.user.name, view.now, work.progress.total, here)
    view.desk.runs.start(work, run, lambda run: _end(view, run, name))
    if not soon_done(run):
        return RedirectResponse(view.url(f"/bulk/{run.id}"), 303)
    if not run.changed:
        return view.done(f"Nothing waited in the queue {name}.", here, "refused")
    return view.done(told(run), here, undo=run.id)


def undoable(view: View, name: str) -> tuple[AuditEntry, str] | None:
    """The last purge of a queue, and what takes it back, while it can be taken back."""
    for entry in view.read(audit.page, LOOKED_AT):
        if is_of_a_queue(entry) and entry.target == name and (batch := way_back(view, entry)):
            return entry, batch
    return None


def is_of_a_queue(entry: AuditEntry) -> bool:
    """Whether an entry is a purge of a queue."""
    return entry.action == "purge" and WHOLE in entry.details.split(", ")


def _end(view: View, run: Run, name: str) -> None:
    """Note it in the audit; where nothing waited, there is nothing to note."""
    if run.changed:
        end(view, run, name, WHOLE)


def _ask(view: View, name: str, waiting: Count) -> Response:
    return view.bare(
        "purge.html",
        title=f"Purge the queue {name}?",
        name=name,
        jobs=counted(waiting, "job", "all jobs"),
        mistyped="typed" in view.form,
        back=view.url(f"/queues/{name}"),
    )


def _waiting_in(queue: str) -> Query:
    return Query((Term("queue", (queue,)), Term("status", bulk.STATUSES["purge"])))
