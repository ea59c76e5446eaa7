"""How long the first job waits when nothing runs: no worker, no database."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from figures import Figure, Section
from latency import percentile
from place import HERE, Place, wait_until

TITLE = "From enqueuing to starting, nothing running"
TEXT = """\
A fresh process enqueues one job in an empty folder, so the database is made, the runner started, Python and Lateshift
imported before the job starts: from the moment of the call to the start of the job, as its row tells."""

ENQUEUE = 'import jobs, lateshift\nlateshift.run_background_job(jobs.noop, parameters={"n": 1})'


def run(kind: str, rounds: int, *, quick: bool) -> Section:  # noqa: ARG001 - only SQLite starts from nothing
    """Try it again and again, each time in a new folder."""
    tries = 5 if quick else 5 * max(rounds, 3)
    waits = [_try() for _ in range(tries)]
    figures = (
        Figure(name=f"median of {tries}", value=statistics.median(waits), unit="s", rounds=tuple(waits)),
        Figure(name="95th percentile", value=percentile(waits, 95), unit="s", at_most=0.5),
    )
    return Section(TITLE, TEXT, figures)


def _try() -> float:
    with Place() as place:
        environment = {**place.environment, "LATESHIFT_SPAWN": "auto", "LATESHIFT_IDLE_EXIT": "0.2"}
        environment["PYTHONPATH"] = os.pathsep.join([str(HERE)])
        subprocess.run([sys.executable, "-c", ENQUEUE], env=environment, cwd=place.folder, check=True)
        wait_until(lambda: place.ask("select count(*) from lateshift_jobs where status = 'completed'"))
        waited: int = place.ask("select started_at - enqueued_at from lateshift_jobs")
        wait_until(lambda: not place.ask("select count(*) from lateshift_workers"))
    return waited / 1_000_000
