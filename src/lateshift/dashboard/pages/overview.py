"""Overview: whether everything is all right, what runs, what failed, what comes next."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from lateshift.dashboard.periods import HOUR
from lateshift.dashboard.plots import read_plots
from lateshift.dashboard.queue_lines import read_queues
from lateshift.dashboard.rows import job_rows
from lateshift.dashboard.view import View
from lateshift.judgement import judge, observe
from lateshift.storage import glimpses, history
from lateshift.storage.history import Series

SHOWN: Final = 6
"""Rows of each small table."""

RECENT: Final = 5
"""Minutes from which the present speed is told."""


def show(view: View) -> Response:
    """The page; its address holds `range` and `numbers`, as `read_plots` takes them."""
    hour = view.read(history.series, *HOUR.bounds(view.now), HOUR.step, None)
    finished = {"completed": hour.total.completed, "failed": hour.total.failed}
    facts = observe(view.read, view.now, [finished], spawns=view.desk.settings.spawn != "never")
    lines = read_queues(view)
    return view.page(
        "overview.html",
        section="overview",
        title="Overview",
        facts=facts,
        verdict=judge(facts),
        set_aside=any(queue.paused and queue.waiting for queue in facts.queues),
        speed=_speed(hour),
        plots=read_plots(view),
        queues=lines[:SHOWN],
        queue_count=len(lines),
        running=job_rows(view.read(glimpses.running, SHOWN), view.moment),
        failures=job_rows(view.read(glimpses.latest, "failed", SHOWN), view.moment),
        upcoming=job_rows(view.read(glimpses.upcoming, view.now, SHOWN), view.moment),
    )


def _speed(hour: Series) -> float:
    """Jobs finished a second, over the last minutes that are complete."""
    recent = hour.points[-RECENT - 1 : -1]
    return sum(point.completed + point.failed for point in recent) / (RECENT * 60)
