"""One action on many jobs: counted, done in the background, looked at while it goes on, and undone."""

from __future__ import annotations

import time
from typing import Final

from lateshift.dashboard.actions import see_to_a_runner
from lateshift.dashboard.api import forms, shapes
from lateshift.dashboard.api.asking import NewBulk, Nothing
from lateshift.dashboard.api.reading import unfit
from lateshift.dashboard.api.reads import query_of
from lateshift.dashboard.bulk_actions import begin, detail
from lateshift.dashboard.bulk_runs import Run
from lateshift.dashboard.bulk_words import words
from lateshift.dashboard.deeds import record
from lateshift.dashboard.problems import Refused
from lateshift.dashboard.view import View
from lateshift.host.fleet import Neighbours
from lateshift.storage import trash
from lateshift.storage.bulk import STATUSES, TAKEN_BACK, BulkAction
from lateshift.wording import count

AT_ONCE: Final = 1.0
"""Seconds that an answer waits for the end: most actions are done by then."""

UNDOING: Final = 5.0
"""Seconds for which one request brings jobs back."""


def act_on_many(view: View, asked: NewBulk) -> shapes.Bulk:
    """Act on many jobs: retry, cancel, delete, purge (delete what waits), change the priority, run now.

    It goes on in the background; the answer comes when it is done, or after a second. Deleting takes the role admin.
    """
    action = _action(view, asked)
    total = action.progress.total
    if asked.dry_run:
        return forms.bulk_count(asked.action, total)
    what = count(len(asked.ids), "chosen job") if asked.ids is not None else asked.q or "all jobs"
    back = view.url("/jobs", q=asked.q)
    run = Run(action.id, asked.action, what, view.user.name, view.now, total, back, detail(asked.priority))
    begin(view, action, run, what)
    run.over.wait(AT_ONCE)
    return forms.bulk(run)


def progress_of_many(view: View, _: Nothing) -> shapes.Bulk:
    """How far an action on many jobs is."""
    return forms.bulk(_run(view))


def stop_many(view: View, _: Nothing) -> shapes.Bulk:
    """Stop an action on many jobs after the step it is in. What it has done stays done."""
    run = _run(view)
    role = words(run.action).role
    if not view.may(role):
        raise Refused(403, "Not yours to do", f"To stop the action {run.action} takes the role {role}.")
    if run.state != "running":
        raise Refused(409, "Over", f"It is not running any more: it is {run.state}.")
    run.stopping.set()
    run.over.wait(AT_ONCE)
    return forms.bulk(run)


def undo(view: View, _: Nothing) -> shapes.Undone:
    """Bring back what an action has deleted, within ten minutes; the id is what the action called `undo`."""
    db, batch, restored = view.desk.database, view.path["id"], 0
    deletion = view.desk.runs.get(batch)
    if deletion is not None and deletion.state == "running":
        raise Refused(409, "Not yet", "It still deletes: wait for its end, which /api/bulk tells.")
    Neighbours(db).grant(view.desk.settings)
    until = time.monotonic() + UNDOING
    while time.monotonic() < until and (more := trash.restore(db, batch)):
        restored += more
    if not restored:
        said = "There is nothing to bring back: it was brought back already, or ten minutes are over."
        raise Refused(404, "Nothing to undo", said)
    record(view, "undo delete", batch, restored)
    return shapes.Undone(restored, trash.can_restore(db, batch), see_to_a_runner(view))


def _run(view: View) -> Run:
    """The action that the address names. Raises Refused."""
    run = view.desk.runs.get(view.path["id"])
    if run is None or run.action not in STATUSES:
        said = "The process that answers this knows no such action; it remembers those of its own, the latest ones."
        raise Refused(404, "No such action", said)
    return run


def _action(view: View, asked: NewBulk) -> BulkAction:
    if asked.action in TAKEN_BACK and not view.may("admin"):
        raise Refused(403, "Not yours to do", f"The action {asked.action} takes the role admin.", "body.action")
    if (asked.q is None) == (asked.ids is None):
        raise unfit("Give either q, a search, or ids. An empty search is all jobs.", "body")
    if (asked.action == "priority") != (asked.priority is not None):
        raise unfit("The action priority takes a priority from 1 to 10, the others take none.", "body.priority")
    target = query_of(view, asked.q, "body.q") if asked.q is not None else list(asked.ids or ())
    return BulkAction(view.desk.database, asked.action, target, priority=asked.priority)
