"""One worker: its slots and what runs in each, what it uses, which version it is; stop, drain, or how it died."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from lateshift.dashboard.dismissing import QUESTIONS, meaning
from lateshift.dashboard.fleet_lines import WorkerLine, find_worker
from lateshift.dashboard.view import View
from lateshift.storage import audit, requests
from lateshift.storage.audit import KEPT_DAYS, Mark
from lateshift.storage.workers import NO_QUEUE

DAY: Final = 86_400_000_000


def show(view: View) -> Response:
    """The page. It says so when there is no such worker, and how it died if it did."""
    worker_id = view.path["worker"]
    line = find_worker(view, worker_id)
    death = None if line else _death(view, worker_id)
    seen = line or death or "x-live" in view.request.headers  # who looks at it while it ends has not mistyped
    return view.page(
        "worker.html",
        section="workers",
        title=worker_id,
        code=200 if seen else 404,
        worker_id=worker_id,
        line=line,
        death=death,
        asked=_asked(view, line),
        may_ask=line is not None and line.alive and NO_QUEUE not in line.worker.queues and view.may("operator"),
        meanings={kind: meaning(kind, line, view.desk.settings) for kind in QUESTIONS} if line else {},
    )


def _asked(view: View, line: WorkerLine | None) -> bool:
    """Whether it was asked to end and has not answered yet."""
    found = view.read(requests.unanswered, line.worker.id) if line and line.alive else []
    return any(request.kind != "stack" for request in found)


def _death(view: View, worker_id: str) -> Mark | None:
    since = (view.now // DAY - KEPT_DAYS) * DAY
    marks = view.read(audit.marks, since, view.now, kind="death")
    return next((mark for mark in marks if mark.label == worker_id), None)
