"""One queue: what waits in it and how long that will take, what ran in it, who serves it; pause, resume, purge."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from lateshift.dashboard.plots import read_plots
from lateshift.dashboard.purging import undoable
from lateshift.dashboard.queue_lines import QueueLine, read_queues, remembered
from lateshift.dashboard.view import View
from lateshift.storage import history

MOST_CALLABLES: Final = 50


def show(view: View) -> Response:
    """The page; its address holds `range` and `numbers`. It says so when nothing is known of such a queue."""
    name = view.path["name"]
    plots = read_plots(view, name)
    line = next(line for line in read_queues(view, [name]) if line.row.name == name)
    callables = view.read(history.callables, plots.period.bounds(view.now)[0], None, name)
    busy = line.waiting.number or line.row.running or line.row.paused
    known = bool(busy or callables or name in remembered(view))
    return view.page(
        "queue.html",
        section="queues",
        title=name,
        code=200 if known else 404,
        known=known,
        line=line,
        outlook=outlook(line),
        plots=plots,
        callables=callables[:MOST_CALLABLES],
        purged=undoable(view, name),
        may_pause=view.may("operator"),
        may_purge=view.may("admin"),
    )


def outlook(line: QueueLine) -> str:
    """What will become of what waits, at the present speeds."""
    row, rate = line.row, line.rate
    if not line.waiting.number:
        return "Nothing waits in it."
    if row.paused:
        return "It is paused: its jobs wait until it is resumed, running ones finish."
    if not row.waiting:
        return "Nothing is due; what waits in it is delayed."
    if not line.workers:
        return "No living worker serves it."
    if rate.empty_in is None:
        return "At the present speed it fills as fast as it empties, or faster."
    return ""
