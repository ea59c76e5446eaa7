"""Workers: who is alive, and what each of them runs."""

from __future__ import annotations

from itertools import groupby
from typing import Final, NamedTuple

from starlette.responses import Response

from lateshift.dashboard.view import View
from lateshift.host.fleet import is_alive
from lateshift.job import Job
from lateshift.storage import glimpses, reads
from lateshift.storage.reads import WorkerRow

SHOWN: Final = 500
"""Running jobs that are looked at, to tell what each worker runs."""

EACH: Final = 5
"""Jobs that are named for each worker."""


class Line(NamedTuple):
    """A worker and what it holds: `number` jobs, of which `jobs` are named."""

    worker: WorkerRow
    alive: bool
    number: int
    jobs: list[Job]


def show(view: View) -> Response:
    """The page."""
    workers, held = view.read(reads.workers), view.read(reads.held_jobs)
    jobs = view.read(glimpses.running, SHOWN)
    lines = [
        Line(
            worker,
            is_alive(worker, view.now),
            held[worker.id],
            [job for job in jobs if job.worker == worker.id][:EACH],
        )
        for worker in workers
    ]
    ordered = sorted(lines, key=lambda line: (line.worker.host, not line.alive, line.worker.id))
    return view.page(
        "workers.html",
        section="workers",
        title="Workers",
        hosts=[(host, list(group)) for host, group in groupby(ordered, key=lambda line: line.worker.host)],
        alive=sum(line.alive for line in lines),
        dead=sum(not line.alive for line in lines),
        running=sum(held.values()),
        lost=[job for job in jobs if job.worker not in {worker.id for worker in workers}],
        spawns=view.desk.settings.spawn != "never",
        each=EACH,
    )
