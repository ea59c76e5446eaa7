"""How long a job waits for an idle worker in another process."""

from __future__ import annotations

import random
import statistics
import time

import jobs
from figures import Figure, Section
from place import Place, wait_until

TITLE = "From enqueuing to starting, idle worker"
TEXT = "From the moment of the call (before the commit) to the start of the job, as its row tells; one worker process."

PAUSES = {"sqlite": (0.02, 0.06), "postgres": (0.15, 0.35), "mariadb": (0.15, 0.35)}
"""Seconds between two jobs: on a server a worker has been idle for 0.13 s when it looks least often."""

BOUNDS = {"sqlite": (3, 15), "postgres": (4, 15), "mariadb": (None, 100)}
"""Milliseconds of the median and of the 99th percentile."""


def run(kind: str, rounds: int, *, quick: bool) -> Section:
    """Enqueue single jobs at irregular times to a worker that has nothing else to do."""
    count = 60 if quick else 150
    waits: list[list[float]] = []
    with Place(kind) as place, place.workers(1):
        _measure(place, 20)
        waits.extend(_measure(place, count) for _ in range(rounds))
    medians = tuple(statistics.median(part) for part in waits)
    together = [wait for part in waits for wait in part]
    middle, highest = BOUNDS[kind]
    median = statistics.median(together)
    figures = (
        Figure(name=f"median of {len(together)}", value=median, unit="ms", at_most=middle, rounds=medians),
        Figure(name="99th percentile", value=percentile(together, 99), unit="ms", at_most=highest),
    )
    return Section(TITLE, TEXT, figures)


def percentile(values: list[float], percent: int) -> float:
    """The smallest value that `percent` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _measure(place: Place, count: int) -> list[float]:
    ids = []
    for n in range(count):
        ids.append(place.app.run_background_job(jobs.noop, parameters={"n": n}))
        time.sleep(random.uniform(*PAUSES[place.kind]))
    wait_until(lambda: place.app.get_job(ids[-1]).finished)
    sql = "select started_at - enqueued_at from lateshift_jobs where id = :id"
    return [place.ask(sql, id=job_id) / 1000 for job_id in ids]
