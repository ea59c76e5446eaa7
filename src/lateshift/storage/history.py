"""What happened, for charts and tables: throughput, waiting and running times, by time, queue and callable.

Everything comes from the history that workers write (`tallies`), never from the jobs. A read takes some thousand small
rows at most, as it chooses the longest span that its steps allow.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from lateshift import histogram
from lateshift.storage import reads
from lateshift.storage.counting import Count
from lateshift.storage.database import Database, Row
from lateshift.storage.tallies import COLUMNS, KEPT, NAME_LENGTH, SPANS, Sums

MINUTE: Final = 60_000_000
MOST_CALLABLES: Final = 500
TREND: Final = 24
"""Parts of a period that `Callable.trend` counts."""

RATE_MINUTES: Final = 5
SAMPLE: Final = 5_000
"""The newest jobs from which the speed of enqueuing is told."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Durations in seconds that 50, 95 and 99 % did not exceed; None where nothing was counted."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a chart: `at` is its beginning in microseconds, the counts are attempts that ended in it.

    `wait_time` and `run_time` are mean seconds. A step in which nothing ended is there, with zeros and None.
    """

    at: int
    completed: int
    failed: int
    retried: int
    cancelled: int
    waiting: Quantiles
    running: Quantiles
    wait_time: float | None
    run_time: float | None

    @property
    def count(self) -> int:
        """How many attempts ended."""
        return self.completed + self.failed + self.retried + self.cancelled

    @property
    def failure_rate(self) -> float | None:
        """The share of attempts that raised, 0 to 1."""
        return (self.failed + self.retried) / self.count if self.count else None


@dataclass(frozen=True, slots=True)
class Series:
    """Points of a chart, oldest first, without a gap; `step` is seconds. `total` is all of them as one."""

    step: int
    points: tuple[Point, ...]
    total: Point


@dataclass(frozen=True, slots=True)
class CallableRow:
    """A callable at a glance, over the period asked for. `trend` counts its attempts in 24 equal parts of the period.

    `change` is how its second half compares with the first: 0.5 for half as many again, -1 for none any more.
    """

    name: str
    queues: tuple[str, ...]
    total: Point
    trend: tuple[int, ...]
    change: float | None


@dataclass(frozen=True, slots=True)
class QueueRate:
    """How fast jobs come into a queue and leave it, a second; `empty_in` is seconds until nothing waits.

    That is None when it fills faster than it empties. What comes in is told from the newest jobs; `waiting` counts
    those that are due and those that are delayed.
    """

    queue: str
    speed_in: float
    speed_out: float
    waiting: Count
    empty_in: float | None


def series(
    db: Database,
    since: int,
    until: int,
    step: int,
    queue: str | None = None,
    callable: str | None = None,  # noqa: A002 - the glossary's word
) -> Series:
    """The history between two moments (microseconds) in steps of `step` seconds, of all or of one queue or callable.

    A step that the history cannot give, being finer than what is kept from so long ago, becomes the next coarser one.
    """
    span, minutes = _span(since, until, step, db.now())
    first = since // MINUTE // minutes * minutes
    last = max(first, (until - 1) // MINUTE // minutes * minutes)
    sums = {start: Sums() for start in range(first, last + 1, minutes)}
    name = None if callable is None else callable[:NAME_LENGTH]
    for start, _, _, row in _rows(db, span, first, last + minutes, queue=queue, name=name or ""):
        sums[start // minutes * minutes].add_row(row)
    total = Sums()
    for part in sums.values():
        _add(total, part)
    points = tuple(_point(start * MINUTE, part) for start, part in sums.items())
    return Series(minutes * 60, points, _point(first * MINUTE, total))


def callables(db: Database, since: int, until: int | None = None, queue: str | None = None) -> list[CallableRow]:
    """Each callable that ran in the period, of all queues or of one, the busiest first; at most 500."""
    end = db.now() if until is None else until
    length = max(1, (end - since) // MINUTE)
    span = 1 if length <= 60 else 10 if length <= 720 else 60 if length <= 10_080 else 1440
    first = since // MINUTE // span * span
    last = (end - 1) // MINUTE // span * span + span
    sums: dict[str, Sums] = defaultdict(Sums)
    queues: dict[str, set[str]] = defaultdict(set)
    trends: dict[str, list[int]] = defaultdict(lambda: [0] * TREND)
    for start, found, name, row in _rows(db, span, first, last, queue=queue, name=None):
        sums[name].add_row(row)
        queues[name].add(found)
        trends[name][min(TREND - 1, (start - first) * TREND // (last - first))] += sum(row[:4])
    names = sorted(sums, key=lambda name: (-sums[name].count, name))[:MOST_CALLABLES]
    return [
        CallableRow(name, tuple(sorted(queues[name])), _point(first * MINUTE, sums[name]), *_trend(trends[name]))
        for name in names
    ]


def names(db: Database, since: int) -> list[str]:
    """The callables that ran since then, to the day; at most 500."""
    return [row.name for row in callables(db, min(since, db.now() - 8 * 1440 * MINUTE))]


def queue_rates(db: Database, now: int) -> list[QueueRate]:
    """How fast each queue fills and empties: of those that have waiting jobs, or had any in the last minutes."""
    first = now // MINUTE - RATE_MINUTES
    done: dict[str, int] = defaultdict(int)
    for _, queue, _, row in _rows(db, 1, first, now // MINUTE + 1, queue=None, name=""):
        done[queue] += row[0] + row[1] + row[3]
    elapsed = (now - first * MINUTE) / 1_000_000
    came = _speeds_in(db, now)
    waiting = {row.name: row.waiting + row.delayed for row in reads.queues(db, now)}
    rates = []
    for queue in sorted({*done, *came, *waiting}):
        speed_in = came.get(queue, 0.0)
        speed_out, left = done[queue] / elapsed, waiting.get(queue, 0)
        net = speed_out - speed_in
        empty_in = 0.0 if not left else left / net if net > 0 else None
        rates.append(QueueRate(queue, speed_in, speed_out, Count.of(left, reads.COUNT_LIMIT), empty_in))
    return rates


def _speeds_in(db: Database, now: int) -> dict[str, float]:
    """Jobs a second that were enqueued in the last minute, by queue; of a faster stream, in as much as is looked at."""
    rows = db.query(
        "select queue, count(*), min(enqueued_at) from"
        " (select queue, enqueued_at from lateshift_jobs order by {age} desc limit :sample) as newest"
        " where enqueued_at > :since group by queue",
        {"sample": SAMPLE, "since": now - MINUTE},
    )
    looked_at = sum(row[1] for row in rows)
    if not looked_at:
        return {}
    seconds = 60.0 if looked_at < SAMPLE else max(0.1, (now - min(row[2] for row in rows)) / 1_000_000)
    return {queue: count / seconds for queue, count, _ in rows}


def _span(since: int, until: int, step: int, now: int) -> tuple[int, int]:
    """(span to read, step in minutes), the longest span that divides the step and the shortest that is still there."""
    minutes = max(1, round(step / 60))
    while (until - since) // MINUTE // minutes > 2_000:
        minutes *= 2
    age = (now - since) / (1440 * MINUTE)
    least = next((span for span in SPANS if KEPT[span] >= age), SPANS[-1])
    minutes = max(minutes, least)
    if minutes % least:
        minutes += least - minutes % least
    return max(span for span in SPANS if minutes % span == 0 and span >= least), minutes


def _rows(
    db: Database, span: int, first: int, last: int, *, queue: str | None, name: str | None
) -> list[tuple[int, str, str, Row]]:
    """(start, queue, name, counts) of the history and of what is not folded yet; an empty name is a queue's sum."""
    values = {"span": span, "first": first, "last": last, "queue": queue, "name": name}
    among = "" if queue is None else " and queue = :queue"
    named = "name <> ''" if name is None else "name = :name"
    folded = db.query(
        f"select start, queue, name, {COLUMNS} from lateshift_history"
        f" where span = :span and start >= :first and start < :last and {named}{among}",
        values,
    )
    if name:
        among += " and name = :name"
    fresh = db.query(
        f"select minute, queue, name, {COLUMNS} from lateshift_tallies"
        f" where minute >= :first and minute < :last{among}",
        values,
    )
    return [(row[0], row[1], row[2], row[3:]) for row in (*folded, *fresh)]


def _add(total: Sums, part: Sums) -> None:
    columns = part.columns()
    if part.count:
        total.add_row(tuple(columns[name.strip()] for name in COLUMNS.split(",")))


def _point(at: int, sums: Sums) -> Point:
    count = sums.count
    mean = (sums.wait_time / count / 1e6, sums.run_time / count / 1e6) if count else (None, None)
    return Point(at, sums.completed, sums.failed, sums.retried, sums.cancelled, _of(sums.waits), _of(sums.runs), *mean)


def _of(buckets: list[int]) -> Quantiles:
    return Quantiles(*(histogram.quantile(buckets, part) for part in (0.5, 0.95, 0.99)))


def _trend(counts: list[int]) -> tuple[tuple[int, ...], float | None]:
    before, after = sum(counts[: TREND // 2]), sum(counts[TREND // 2 :])
    return tuple(counts), (after - before) / before if before else None
