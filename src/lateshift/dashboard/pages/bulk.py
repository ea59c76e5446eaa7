"""Bulk actions: what one is about to touch, how far each is, and what became of it."""

from __future__ import annotations

from typing import cast

from starlette.responses import Response

from lateshift.dashboard.bulk_actions import UNKNOWN, count_before, read_target, refuse_action, told, which
from lateshift.dashboard.bulk_words import ACTIONS, UNDO, words
from lateshift.dashboard.view import View
from lateshift.errors import InvalidOption, InvalidSearch
from lateshift.job import moment
from lateshift.storage import bulk, trash


def listing(view: View) -> Response:
    """All bulk actions that this process remembers."""
    runs = [(run, which(view, run)) for run in view.desk.runs.all()]
    return view.page("bulk.html", section="jobs", title="Bulk actions", runs=runs, words=words, at=moment)


def show(view: View) -> Response:
    """One of them, live. Of one that another process did, only whether it can be undone."""
    run = view.desk.runs.get(view.path["id"])
    batch = view.path["id"]
    undoable = (run is None or run.undoable) and trash.can_restore(view.desk.database, batch)
    if run is None and not undoable:
        said = f"{UNKNOWN} The audit log tells of its end; to load this page again may ask the right process."
        return view.desk.refuse(view.request, 404, "Not known here", said)
    return view.page(
        "run.html",
        section="jobs",
        title="Bulk action",
        run=run,
        which=which(view, run) if run else "",
        back=run.back if run and view.user.may("operator") else "",
        words=words(run.action) if run else UNDO,
        outcome=told(run) if run and run.state != "running" else "",
        at=moment,
        kept_until=moment(run.ended + trash.KEPT) if run and run.ended else None,
        may_stop=run is not None and view.may(words(run.action).role),
        may_undo=undoable and view.may("admin"),
        batch=batch,
    )


def confirm(view: View) -> Response:
    """Says what an action is about to do, to how many jobs, and asks whether that is meant."""
    if (refused := refuse_action(view)) is not None:
        return refused
    action = view.path["action"]
    try:
        target = read_target(view)
        number = count_before(view, action, target)
    except (InvalidSearch, InvalidOption) as error:
        return view.desk.refuse(view.request, 422, "Nothing to do yet", str(error))
    return view.page(
        "bulk_confirm.html",
        section="jobs",
        title=ACTIONS[action].verb,
        action=action,
        words=ACTIONS[action],
        target=target,
        number=number,
        states=bulk.STATUSES[cast(bulk.Action, action)],
    )
