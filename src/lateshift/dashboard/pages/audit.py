"""Audit log: who did what, when, to how many."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from starlette.responses import Response

from lateshift.dashboard.purging import is_of_a_queue
from lateshift.dashboard.undoing import way_back
from lateshift.dashboard.view import View
from lateshift.job import moment
from lateshift.storage import audit
from lateshift.storage.audit import AuditEntry
from lateshift.texts import storable

SHOWN: Final = 50

_JOB: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GROUP: Final = re.compile(r"fingerprint:([0-9a-f]{16})")
_ENTRY: Final = re.compile(r"[0-9a-f]{14}-[0-9a-f]{8}")

QUEUES: Final = ("pause", "resume")
"""Actions whose target is a queue, as is that of one kind of purge."""

WORKERS: Final = ("stop", "drain")
"""Actions whose target is a worker."""

_HARMLESS: Final = re.compile(r"all jobs|deleted jobs|[0-9,]+ chosen jobs")
"""Targets of many jobs that are no search, or one that holds nothing."""


class Target(NamedTuple):
    """What an action was done to, and the page of it, if it has one."""

    kind: str
    words: str
    path: str = ""


def show(view: View) -> Response:
    """The page; its address holds `actor`, and `before`, the last entry of a page."""
    actor = storable((view.query.get("actor") or "").strip()) or None
    before = view.query.get("before") if _ENTRY.fullmatch(view.query.get("before", "")) else None
    found = view.read(audit.page, SHOWN + 1, before, actor)
    entries, may_undo = found[:SHOWN], view.may("admin")
    return view.page(
        "audit.html",
        section="audit",
        title="Audit log",
        lines=[
            (entry, moment(entry.at), _target(view, entry), may_undo and way_back(view, entry)) for entry in entries
        ],
        actors=sorted({entry.actor for entry in entries}),
        older=found[SHOWN - 1].id if len(found) > SHOWN else None,
        before=before,
        actor=actor,
        kept=audit.KEPT_DAYS,
        details=view.user.may("operator"),
    )


def _target(view: View, entry: AuditEntry) -> Target:
    """Viewers are not told of searches: they may hold values of parameters that are hidden from them."""
    if _JOB.fullmatch(entry.target):
        return Target("job", entry.target, view.url(f"/jobs/{entry.target}"))
    if group := _GROUP.fullmatch(entry.target):
        return Target("error", entry.details or group[1], view.url(f"/errors/{group[1]}"))
    if entry.action in QUEUES or is_of_a_queue(entry):
        return Target("queue", entry.target, view.url("/jobs", queue=entry.target))
    if entry.action in WORKERS:
        return Target("worker", entry.target, view.url(f"/workers/{entry.target}"))
    told = view.user.may("operator") or _HARMLESS.fullmatch(entry.target)
    return Target("", entry.target if told else "")
