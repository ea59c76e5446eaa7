"""`/metrics`, in the text format of Prometheus: gauges of what is now, counters and histograms from the history.

A counter must never shrink other than to begin anew, in whichever process it is read. So these count since the first of
the month in UTC, by the rows that workers write and that are kept for years: on the first they begin at nought, which
Prometheus takes for the restart that it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, NamedTuple

import lateshift
from lateshift import histogram
from lateshift.dashboard.view import View
from lateshift.host.fleet import living
from lateshift.storage import reads
from lateshift.storage.counting import Count
from lateshift.storage.reads import QueueRow
from lateshift.storage.tallies import Sums
from lateshift.storage.totals import totals
from lateshift.storage.workers import worker_details

PATH: Final = "/metrics"
MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OUTCOMES: Final = ("completed", "failed", "retried", "cancelled")
BOUNDS: Final = tuple(f"{(1 << (histogram.FLOOR_BITS + place)) / 1e6:g}" for place in range(histogram.BUCKETS - 1))
"""Seconds at which the buckets of the history end, but for the last, which has no end."""

Labels = Mapping[str, str]


class Sample(NamedTuple):
    """One value; `suffix` is what follows the name of its family."""

    labels: Labels
    value: float
    suffix: str = ""


class Family(NamedTuple):
    """What has one name: `kind` is gauge, counter or histogram."""

    name: str
    kind: str
    help: str
    samples: list[Sample]


def write(view: View) -> str:
    """All metrics as text."""
    return "".join(f"{line}\n" for family in _families(view) for line in _lines(family))


def _families(view: View) -> Iterator[Family]:
    yield Family(
        "lateshift_info", "gauge", "The version of Lateshift.", [Sample({"version": lateshift.__version__}, 1)]
    )
    counts = view.read(reads.counts)
    yield Family(
        "lateshift_jobs",
        "gauge",
        "Jobs in the database by status; counting stops at 10,000.",
        [Sample({"status": status}, Count.of(number).number) for status, number in counts.items()],
    )
    yield from _of_queues(view.read(reads.queues, view.now), view.now)
    yield from _of_attempts(_this_month(view))
    yield from _of_workers(view)


def _of_queues(queues: Iterable[QueueRow], now: int) -> Iterator[Family]:
    rows = list(queues)
    yield Family(
        "lateshift_queue_jobs",
        "gauge",
        "Jobs that are due (waiting), due later (delayed) or running, by queue; counting stops at 10,000.",
        [
            Sample({"queue": row.name, "state": state}, Count.of(getattr(row, state)).number)
            for row in rows
            for state in ("waiting", "delayed", "running")
        ],
    )
    yield Family(
        "lateshift_queue_oldest_seconds",
        "gauge",
        "For how long the longest waiting job has been due; 0 when none is.",
        [Sample({"queue": row.name}, max(0, now - row.oldest) / 1e6 if row.oldest else 0) for row in rows],
    )
    yield Family(
        "lateshift_queue_paused",
        "gauge",
        "1 for a queue that is paused.",
        [Sample({"queue": row.name}, int(row.paused)) for row in rows],
    )


def _of_attempts(sums: Mapping[str, Sums]) -> Iterator[Family]:
    yield Family(
        "lateshift_attempts_total",
        "counter",
        "Attempts that ended since the first of the month in UTC; retried are those that another followed.",
        [
            Sample({"queue": queue, "outcome": outcome}, getattr(counted, outcome))
            for queue, counted in sums.items()
            for outcome in OUTCOMES
        ],
    )
    yield Family(
        "lateshift_attempt_wait_seconds",
        "histogram",
        "How long attempts had been due when they began.",
        [s for queue, counted in sums.items() for s in _histogram(queue, counted.waits, counted.wait_time)],
    )
    yield Family(
        "lateshift_attempt_run_seconds",
        "histogram",
        "How long attempts ran.",
        [s for queue, counted in sums.items() for s in _histogram(queue, counted.runs, counted.run_time)],
    )


def _of_workers(view: View) -> Iterator[Family]:
    rows = view.read(reads.workers)
    alive = {row.id for row in living(rows, view.now)}
    states = {"alive": len(alive), "dead": len(rows) - len(alive)}
    yield Family(
        "lateshift_workers",
        "gauge",
        "Worker processes; dead ones have not signed off and were not cleared away yet.",
        [Sample({"state": state}, number) for state, number in states.items()],
    )
    slots: dict[str, int] = {}
    for worker in view.read(worker_details):
        for kind, number in worker.slots.items() if worker.id in alive else ():
            slots[kind] = slots.get(kind, 0) + number
    yield Family(
        "lateshift_slots",
        "gauge",
        "Jobs that the living workers can run at once, by kind of executor.",
        [Sample({"executor": kind}, number) for kind, number in sorted(slots.items())],
    )


def _this_month(view: View) -> Mapping[str, Sums]:
    first = view.moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return view.read(totals, round(first.timestamp()) // 60)


def _histogram(queue: str, buckets: list[int], microseconds: int) -> Iterator[Sample]:
    numbers = list(accumulate(buckets))
    for bound, number in zip((*BOUNDS, "+Inf"), numbers, strict=True):
        yield Sample({"queue": queue, "le": bound}, number, "_bucket")
    yield Sample({"queue": queue}, microseconds / 1e6, "_sum")
    yield Sample({"queue": queue}, numbers[-1], "_count")


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}"
    yield f"# TYPE {family.name} {family.kind}"
    for sample in family.samples:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
        yield f"{family.name}{sample.suffix}{{{labels}}} {sample.value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
