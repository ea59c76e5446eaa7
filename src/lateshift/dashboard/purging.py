"""Purging a queue: throwing away all that waits in it, and taking that back for ten minutes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from starlette.responses import HTMLResponse, Response

from lateshift.dashboard.actions import log, record
from lateshift.dashboard.desk import theme
from lateshift.dashboard.view import View
from lateshift.errors import SpawnError
from lateshift.host.fleet import ensure_runner
from lateshift.query import Query, Term
from lateshift.storage import audit, bulk, search, trash
from lateshift.storage.audit import AuditEntry
from lateshift.storage.bulk import BulkAction
from lateshift.storage.counting import Count
from lateshift.wording import count

PATIENCE: Final = 3.0
"""Seconds that a page waits for a purge, or for taking one back, before it leaves the rest to the background."""

LOOKED_AT: Final = 200
"""The newest actions among which one that can be undone is looked for."""

UNDO: Final = "undo "
"""What stands in the audit log before the name by which a purge can be taken back."""


def purge(view: View) -> Response:
    """Throw away all jobs that wait in a queue, once its name has been typed."""
    name = view.path["name"]
    waiting = search.count_matching(view.desk.database, _waiting_in(name))
    if view.form.get("typed") != name:
        return _ask(view, name, waiting)
    action = BulkAction(view.desk.database, "purge", _waiting_in(name))
    while not action.step().finished and action.progress.undo is None:
        pass  # what is looked at first may have begun to run meanwhile
    if action.progress.undo is None:
        return view.done(f"Nothing waited in the queue {name}.", view.url(f"/queues/{name}"), "refused")
    total = max(waiting, Count(action.progress.changed), key=lambda each: each.number)
    record(view, "purge", name, total.number, f"{jobs(total)} that waited; {UNDO}{action.progress.undo}")
    finished = _in_background(view, action.run)
    words = f"{jobs(total)} that waited in {name} {'are' if finished else 'are being'} thrown away."
    return view.done(f"{words} For ten minutes that can be undone.", view.url(f"/queues/{name}"))


def restore(view: View) -> Response:
    """Bring back what the last purge of a queue took."""
    name = view.path["name"]
    entry = undoable(view, name)
    if entry is None:
        words = f"There is no purge of {name} to undo: it is ten minutes ago, or was undone."
        return view.done(words, view.url(f"/queues/{name}"), "refused")
    record(view, "undo purge", name, entry.number)
    finished = _in_background(view, lambda: bulk.undo(view.desk.database, _batch(entry)))
    try:
        ensure_runner(view.desk.database, view.desk.settings, [name])
    except SpawnError as error:
        return view.done(str(error), view.url(f"/queues/{name}"), "refused")
    words = "wait again" if finished else "are being brought back"
    return view.done(f"The jobs of {name} {words}.", view.url(f"/queues/{name}"))


def undoable(view: View, name: str) -> AuditEntry | None:
    """The last purge of a queue, while it can be taken back."""
    for entry in view.read(audit.page, LOOKED_AT):
        if entry.at < view.now - trash.KEPT:
            return None
        if entry.action == "purge" and entry.target == name and view.read(trash.can_restore, _batch(entry)):
            return entry
    return None


def jobs(number: Count) -> str:
    """A bounded count with its noun: "1 job", "10,000+ jobs"."""
    return f"{number} jobs" if number.more else count(number.number, "job")


def _ask(view: View, name: str, waiting: Count) -> Response:
    text = view.desk.templates.get_template("purge.html").render(
        name=name,
        jobs=jobs(waiting),
        mistyped="typed" in view.form,
        back=view.url(f"/queues/{name}"),
        root=view.root,
        title=f"Purge the queue {name}?",
        theme=theme(view.request),
    )
    return HTMLResponse(text)


def _in_background(view: View, work: Callable[[], object]) -> bool:
    """Do what may take long in a thread, and wait a little; whether it has finished. The rest goes on without us."""
    executor = ThreadPoolExecutor(1, "lateshift-purge")
    future = executor.submit(work)
    executor.shutdown(wait=False)
    try:
        future.result(PATIENCE)
    except TimeoutError:
        future.add_done_callback(lambda ended: _told(view, ended))
        return False
    return True


def _told(view: View, ended: Future[object]) -> None:
    if error := ended.exception():
        log.error("%s stopped halfway: %s: %s", view.request.scope["path"], type(error).__name__, error)
    view.desk.forget()


def _waiting_in(queue: str) -> Query:
    return Query((Term("queue", (queue,)), Term("status", bulk.STATUSES["purge"])))


def _batch(entry: AuditEntry) -> str:
    return entry.details.rpartition(UNDO)[2]
