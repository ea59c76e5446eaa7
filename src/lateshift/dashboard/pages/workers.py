"""Workers: who is alive, what runs in their slots, and what became of the jobs of those that died."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from starlette.responses import Response

from lateshift.dashboard.fleet_lines import read_workers
from lateshift.dashboard.view import View
from lateshift.storage import audit, glimpses

SHOWN: Final = 200
"""Running jobs among which those are looked for that nobody holds any more: of the oldest."""

EACH: Final = 4
"""Jobs that are named for each worker."""

DEATHS: Final = 10
WEEK: Final = 7 * 86_400_000_000


def show(view: View) -> Response:
    """The page."""
    lines = read_workers(view)
    known = {line.worker.id for line in lines}
    return view.page(
        "workers.html",
        section="workers",
        title="Workers",
        hosts=[(host, list(group)) for host, group in groupby(lines, key=lambda line: line.worker.host)],
        alive=sum(line.alive for line in lines),
        dead=sum(not line.alive for line in lines),
        running=sum(line.worker.held for line in lines),
        lost=[job for job in view.read(glimpses.running, SHOWN) if job.worker not in known],
        deaths=view.read(audit.marks, view.now - view.now % 60_000_000 - WEEK, view.now, kind="death", limit=DEATHS),
        spawns=view.desk.settings.spawn != "never",
        each=EACH,
    )
