"""What an operator does to many jobs: begins an action on those chosen or on all that match, stops it, undoes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, cast

from starlette.responses import RedirectResponse, Response

from lateshift.dashboard import undoing
from lateshift.dashboard.actions import see_to_a_runner
from lateshift.dashboard.bulk_runs import Run, make_id
from lateshift.dashboard.bulk_words import ACTIONS, Words, words
from lateshift.dashboard.deeds import record
from lateshift.dashboard.searching import read_address
from lateshift.dashboard.view import View
from lateshift.errors import InvalidOption, InvalidSearch
from lateshift.host.fleet import Neighbours
from lateshift.query import Query
from lateshift.storage import bulk, reads, search, trash
from lateshift.storage.bulk import BulkAction
from lateshift.storage.counting import Count
from lateshift.texts import is_id
from lateshift.wording import count, short_id

SOON: Final = 0.6
"""Seconds in which most actions are done: then there is no progress to watch."""

COUNTED: Final = 1.0
"""Seconds that the count before an action may take."""

WAKING: Final = ("retry", "run_now", "undo")
"""Actions after which jobs may wait that nobody runs."""

UNKNOWN: Final = (
    "The process that answered this has not begun such an action: another one of the dashboard may still be doing it, "
    "or it was done before the last start."
)
"""What can be said of a run that only the process that does it knows, where a web server has several."""

MOST: Final = 1_000
"""Jobs that can be chosen one by one."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which jobs: a search, or ids; `words` say it in a sentence, `name` in the audit, `back` is the list."""

    jobs: Query | tuple[str, ...]
    words: str
    name: str
    back: str

    @property
    def number(self) -> int | None:
        """How many were chosen; None for a search."""
        return None if isinstance(self.jobs, Query) else len(self.jobs)


def read_target(view: View) -> Target:
    """The jobs that a form or an address is about. Raises InvalidSearch, or InvalidOption when there are none."""
    given = {name: values[-1] for name in ("q", "status", "sort") if (values := view.chosen(name))}
    wanted = read_address(given)
    back = view.url("/jobs", **wanted.address, sort=wanted.sort)
    if wanted.trouble is not None:
        raise wanted.trouble
    if "yes" in view.chosen("all"):
        said = f"everything that matches `{wanted.words}`" if wanted.words else "all jobs"
        return Target(wanted.query, said, wanted.words or "all jobs", back)
    ids = tuple(dict.fromkeys(filter(is_id, view.chosen("id"))))
    if not 0 < len(ids) <= MOST:
        raise InvalidOption("No job was chosen: tick some, or everything that matches, and press the button again.")
    if len(ids) == 1:
        return Target(ids, f"job `{short_id(ids[0])}`", ids[0], back)
    return Target(ids, f"{len(ids):,} chosen jobs", f"{len(ids):,} chosen jobs", back)


def count_before(view: View, action: str, target: Target) -> Count:
    """How many jobs an action will touch, as far as can be told in a moment."""
    database, statuses = view.desk.database, bulk.STATUSES[cast(bulk.Action, action)]
    if isinstance(target.jobs, Query):
        return search.count_matching(database, target.jobs.narrowed(statuses), COUNTED)
    return Count(sum(job.status in statuses for job in reads.by_ids(database, target.jobs)))


def start(view: View) -> Response:
    """Begin a bulk action; when it is not done in a moment, lead to the page that shows how far it is."""
    if (refused := refuse_action(view)) is not None:
        return refused
    action = view.path["action"]
    try:
        target, priority = read_target(view), _priority(view) if action == "priority" else None
        jobs = target.jobs if isinstance(target.jobs, Query) else list(target.jobs)
        work = BulkAction(view.desk.database, cast(bulk.Action, action), jobs, priority=priority)
    except (InvalidSearch, InvalidOption) as error:
        return view.done(str(error), view.back("/jobs"), "refused")
    run = Run(
        id=work.id,
        action=action,
        what=target.words,
        by=view.user.name,
        begun=view.now,
        total=work.progress.total,
        back=target.back,
        details=detail(priority),
    )
    begin(view, work, run, target.name)
    if soon_done(run):
        return view.done(told(run), target.back, _kind(run), run.id if run.undoable else "")
    return RedirectResponse(view.url(f"/bulk/{run.id}"), 303)


def stop(view: View) -> Response:
    """Stop a bulk action after the step it is in."""
    run = view.desk.runs.get(view.path["id"])
    if run is None:
        return view.done(UNKNOWN, view.url("/bulk"), "refused")
    here = view.url(f"/bulk/{run.id}")
    if run.state != "running":
        return view.done("It is not running any more.", here, "refused")
    if not view.may(words(run.action).role):
        return _refuse(view, words(run.action))
    return view.done(_stop(run), here)


def undo(view: View) -> Response:
    """Bring back, in the background, what a deletion took, whichever process of the dashboard did it."""
    batch = view.path["id"]
    deletion = view.desk.runs.get(batch)
    here = view.url(f"/bulk/{batch}" if deletion else "/bulk")
    if deletion is not None and deletion.state == "running":
        return view.done("It still deletes: stop it first.", here, "refused")
    if not re.fullmatch(r"[0-9a-f]{16}", batch) or not trash.can_restore(view.desk.database, batch):
        said = "There is nothing left to bring back: it was brought back, or ten minutes are over."
        return view.done(said, here, "refused")
    what = deletion.what if deletion else "deleted jobs"
    total = Count(deletion.changed) if deletion else Count(0, more=True)
    run = Run(make_id(), "undo", what, view.user.name, view.now, total, back=deletion.back if deletion else "")
    Neighbours(view.desk.database).grant(view.desk.settings)
    view.desk.runs.undo(batch, run, lambda run: end(view, run, what.replace("`", "")))
    if soon_done(run):
        return view.done(told(run), run.back or view.url("/jobs"), _kind(run))
    return RedirectResponse(view.url(f"/bulk/{run.id}"), 303)


def _stop(run: Run) -> str:
    """Have it stop, and say how far that is after a moment."""
    run.stopping.set()
    if not run.over.wait(SOON):
        return "It stops after the step that it is in. What it has done stays done."
    if run.state == "stopped":
        return "It is stopped. What it has done stays done."
    return "It came to its end before it could be stopped."


def detail(priority: int | None) -> str:
    """What an action changes jobs to, for the one that does."""
    return "" if priority is None else f"to {priority}"


def begin(view: View, work: BulkAction, run: Run, name: str) -> None:
    """Let an action go on in the background, and a runner run what it wakes."""
    if run.action in WAKING:
        Neighbours(view.desk.database).grant(view.desk.settings)
    view.desk.runs.start(work, run, lambda run: end(view, run, name))


def end(view: View, run: Run, name: str, note: str = "") -> None:
    """Note an action in the audit, and see to it that somebody runs what has become due."""
    ending = {"stopped": "stopped before its end", "broken": "broke off"}.get(run.state, "")
    undo = undoing.note(run.id) if run.undoable else ""
    details = ", ".join(part for part in (run.details, note, ending, undo) if part)
    action = "undo delete" if run.action == "undo" else run.action.replace("_", " ")
    record(view, action, name, run.changed, details)
    if run.action in WAKING and run.changed:
        run.trouble = see_to_a_runner(view) or run.trouble


def soon_done(run: Run) -> bool:
    """Whether a bulk action comes to its end in a moment, as most do."""
    return run.over.wait(SOON) and run.state == "done"


def told(run: Run) -> str:
    """The end of a bulk action in a sentence."""
    done = words(run.action).done.format(count(run.changed, "job")) + (f" {run.details}." if run.details else ".")
    passed = run.seen - run.changed
    if passed and run.action in ACTIONS:
        done += f" {count(passed, 'job')} stayed as {'it was' if passed == 1 else 'they were'}."
    return f"{done} {run.trouble}".rstrip()


def which(view: View, run: Run) -> str:
    """Which jobs a run is about; viewers are not told of searches, which may hold what is hidden from them."""
    return run.what if view.user.may("operator") else "jobs"


def refuse_action(view: View) -> Response | None:
    """The page that says why this user cannot do the action that the address names; None when they can."""
    action = view.path["action"]
    if action not in ACTIONS:
        return view.desk.refuse(view.request, 404, "There is no such action", f"Known are {', '.join(ACTIONS)}.")
    return None if view.may(ACTIONS[action].role) else _refuse(view, ACTIONS[action])


def _refuse(view: View, action: Words) -> Response:
    needed = f"To {action.verb.lower()} jobs takes the role {action.role}."
    said = "This dashboard is read-only." if view.desk.read_only else needed
    return view.desk.refuse(view.request, 403, "Not yours to do", said)


def _kind(run: Run) -> str:
    return "refused" if run.trouble else "done"


def _priority(view: View) -> int:
    """The priority that a form gives. Raises InvalidOption."""
    text = view.form.get("priority", "").strip()
    if not re.fullmatch(r"[0-9]{1,3}", text):
        raise InvalidOption(f"The priority is {text!r}: give a whole number from 1 to 10; 10 runs first.")
    return int(text)
