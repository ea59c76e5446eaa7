"""What an operator does with an error group: resolve it, open it again, run its failed jobs again."""

from __future__ import annotations

import time
from typing import Final

from starlette.responses import Response

from lateshift.dashboard.actions import ask, record
from lateshift.dashboard.formatting import last_part
from lateshift.dashboard.pages.errors import failed_jobs, find, no_such_group
from lateshift.dashboard.view import View
from lateshift.errors import SpawnError
from lateshift.host.fleet import ensure_runner
from lateshift.storage import failures, reads, search
from lateshift.storage.bulk import BulkAction, Progress
from lateshift.storage.failures import ErrorGroup
from lateshift.wording import count

SECONDS: Final = 2.0
"""How long one press of a button may retry: some 10,000 jobs. What is left is told, and takes another press."""


def resolve(view: View) -> Response:
    """Put a group away until it is seen again."""
    return _change(view, "resolve", "is resolved. It is open again as soon as it comes back.")


def reopen(view: View) -> Response:
    """Take `resolve` back."""
    return _change(view, "reopen", "is open again.")


def retry(view: View) -> Response:
    """Run the failed jobs of a group again with all their attempts; it asks first, where no dialog has."""
    key = view.path["fingerprint"]
    group = find(view, key)
    if group is None:
        return no_such_group(view)
    here = f"/errors/{key}"
    database = view.desk.database
    if view.form.get("confirmed") != "yes":
        number = search.count_matching(database, failed_jobs(key))
        question = f"Retry {number} failed {'job' if number.number == 1 else 'jobs'}?"
        return ask(view, question, "They get all their attempts again.", "Retry", here, danger=False)
    done = _retried(BulkAction(database, "retry", failed_jobs(key)))
    record(view, "retry", f"fingerprint:{key}", done.changed, _told(group))
    if not done.changed and done.finished:
        return view.done("No failed job of this group is left.", view.back(here), "refused")
    words = f"{count(done.changed, 'job')} {'waits' if done.changed == 1 else 'wait'} to run again."
    if not done.finished:
        words += f" More are left: {SECONDS:g} seconds were not enough. Retry again to go on."
    try:
        ensure_runner(database, view.desk.settings, {lane.queue for lane in reads.lanes(database)})
    except SpawnError as error:
        return view.done(f"{words} {error}", view.back(here), "refused")
    return view.done(words, view.back(here))


def _retried(action: BulkAction) -> Progress:
    until = time.monotonic() + SECONDS
    while not action.step().finished and time.monotonic() < until:
        pass
    return action.progress


def _change(view: View, action: str, words: str) -> Response:
    key, database = view.path["fingerprint"], view.desk.database
    group = find(view, key)
    if group is None:
        return no_such_group(view)
    if action == "resolve":
        failures.resolve(database, key, view.user.name, database.now())
    else:
        failures.reopen(database, key)
    record(view, action, f"fingerprint:{key}", details=_told(group))
    return view.done(f"{last_part(group.type)} {words}", view.back(f"/errors/{key}"))


def _told(group: ErrorGroup) -> str:
    return f"{group.type} in {group.place}" if group.place else group.type
