"""Overview: whether everything is all right, what runs, what failed, what comes next."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from lateshift.dashboard.judgement import Facts, judge
from lateshift.dashboard.periods import HOUR
from lateshift.dashboard.plots import read_plots
from lateshift.dashboard.queue_lines import QueueLine, read_queues
from lateshift.dashboard.rows import job_rows
from lateshift.dashboard.view import View
from lateshift.host.fleet import is_alive
from lateshift.storage import glimpses, history, reads
from lateshift.storage.history import Series

SHOWN: Final = 6
"""Rows of each small table."""

RECENT: Final = 5
"""Minutes from which the present speed is told."""


def show(view: View) -> Response:
    """The page; its address holds `range` and `numbers`, as `read_plots` takes them."""
    hour = view.read(history.series, *HOUR.bounds(view.now), HOUR.step, None)
    lines = read_queues(view)
    facts = _facts(view, lines, hour)
    return view.page(
        "overview.html",
        section="overview",
        title="Overview",
        facts=facts,
        verdict=judge(facts),
        speed=_speed(hour),
        plots=read_plots(view),
        queues=lines[:SHOWN],
        queue_count=len(lines),
        running=job_rows(view.read(glimpses.running, SHOWN), view.moment),
        failures=job_rows(view.read(glimpses.latest, "failed", SHOWN), view.moment),
        upcoming=job_rows(view.read(glimpses.upcoming, view.now, SHOWN), view.moment),
    )


def _facts(view: View, lines: list[QueueLine], hour: Series) -> Facts:
    workers = view.read(reads.workers)
    alive = [worker for worker in workers if is_alive(worker, view.now)]
    return Facts(
        now=view.now,
        queues=[line.row for line in lines],
        alive=alive,
        dead=[worker for worker in workers if worker not in alive],
        held=view.read(reads.held_jobs),
        finished=hour.total.completed + hour.total.failed,
        failed=hour.total.failed,
        spawns=view.desk.settings.spawn != "never",
    )


def _speed(hour: Series) -> float:
    """Jobs finished a second, over the last minutes that are complete."""
    recent = hour.points[-RECENT - 1 : -1]
    return sum(point.completed + point.failed for point in recent) / (RECENT * 60)
