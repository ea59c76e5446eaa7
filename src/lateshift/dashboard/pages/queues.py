"""Queues: what waits in each, and whether it is served."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from lateshift.dashboard.view import View
from lateshift.host.fleet import is_alive, serves
from lateshift.storage import history, reads

MINUTES = 60


def show(view: View) -> Response:
    """The page."""
    rows = view.read(reads.queues, view.now)
    alive = [worker for worker in view.read(reads.workers) if is_alive(worker, view.now)]
    minute = view.now // 60_000_000
    return view.page(
        "queues.html",
        section="queues",
        title="Queues",
        rows=sorted(rows, key=lambda row: (-row.waiting, row.name)),
        serving={row.name: sum(serves(worker, row.name) for worker in alive) for row in rows},
        speeds=_speeds(view.read(history.minutes, minute - MINUTES + 1), minute),
        waiting=sum(row.waiting for row in rows),
        paused=sum(row.paused for row in rows),
        may_pause=view.may("operator"),
    )


def _speeds(statistics: list[dict[str, int]], minute: int) -> Mapping[str, list[int]]:
    """Jobs finished in each minute of the last hour, by queue."""
    found: dict[str, list[int]] = {}
    for row in statistics:
        line = found.setdefault(str(row["queue"]), [0] * MINUTES)
        place = row["minute"] - minute + MINUTES - 1
        if 0 <= place < MINUTES:
            line[place] += row["completed"] + row["failed"]
    return found
