"""Jobs: all of them, by status, queue and callable."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from lateshift.dashboard.rows import job_rows
from lateshift.dashboard.view import View
from lateshift.job import STATUSES
from lateshift.storage import reads

SHOWN: Final = 50


def show(view: View) -> Response:
    """The page; its address holds all filters: `status`, `queue`, `name`, and `before`, the last id of a page."""
    status = view.query.get("status") if view.query.get("status") in STATUSES else None
    queue, name = view.query.get("queue") or None, (view.query.get("name") or "").strip() or None
    before = view.query.get("before") or None
    found = view.read(reads.list_jobs, status=status, queue=queue, name=name, limit=SHOWN + 1, before=before)
    counts = view.read(reads.counts)
    return view.page(
        "jobs.html",
        section="jobs",
        title="Jobs",
        rows=job_rows(found[:SHOWN], view.moment),
        older=found[SHOWN - 1].id if len(found) > SHOWN else None,
        before=before,
        status=status,
        queue=queue,
        name=name,
        counts=counts,
        total=sum(counts.values()),
        queues=[row.name for row in view.read(reads.queues, view.now)],
        filtered=bool(queue or name),
    )
