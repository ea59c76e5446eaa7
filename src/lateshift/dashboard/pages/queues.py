"""Queues: what waits in each, how fast that goes, and whether it is served."""

from __future__ import annotations

from starlette.responses import Response

from lateshift.dashboard.queue_lines import read_queues, remembered
from lateshift.dashboard.view import View
from lateshift.storage.counting import Count


def show(view: View) -> Response:
    """The page."""
    lines = read_queues(view, remembered(view))
    return view.page(
        "queues.html",
        section="queues",
        title="Queues",
        lines=lines,
        waiting=sum((line.waiting for line in lines), Count(0)),
        due=sum((line.due for line in lines), Count(0)),
        paused=sum(line.row.paused for line in lines),
        speed_in=sum(line.rate.speed_in for line in lines),
        speed_out=sum(line.rate.speed_out for line in lines),
        may_pause=view.may("operator"),
    )
