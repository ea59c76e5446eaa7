"""What happened, for charts and tables: throughput, waiting and running times, by time, queue and callable.

Everything comes from the history that workers write (`tallies`), never from the jobs. A read takes some thousand small
rows at most, as it chooses the longest span that its steps allow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from lateshift import histogram
from lateshift.storage import reads
from lateshift.storage.counting import Count
from lateshift.storage.database import Database, Row
from lateshift.storage.tallies import COLUMNS, COUNTS, KEPT, NAME_LENGTH, SPANS, Sums

MINUTE: Final = 60_000_000
MOST_CALLABLES: Final = 500
TREND: Final = 24
"""Parts of a period that `Callable.trend` counts."""

RATE_MINUTES: Final = 5
SAMPLE: Final = 5_000
"""The newest jobs from which the speed of enqueuing is told."""

Counted = tuple[int, str, str, Row]
"""(start, queue, name, counts) of a row of the history, or of what is not folded into it yet."""

Piece = tuple[int, int, int]
"""(span, first, last) of rows of the history."""


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
    last = max(first, (until - 1) // MINUTE // minutes * minutes) + minutes
    sums = {start: Sums() for start in range(first, last, minutes)}
    total, which = Sums(), _Which(queue, None if callable is None else callable[:NAME_LENGTH])
    for start, _, _, row in _rows(db, [(span, first, last)], first, last, which):
        sums[start // minutes * minutes].add_row(row)
        total.add_row(row)
    points = tuple(_point(start * MINUTE, part) for start, part in sums.items())
    return Series(minutes * 60, points, _point(first * MINUTE, total))


def callables(db: Database, since: int, until: int | None = None, queue: str | None = None) -> list[CallableRow]:
    """Each callable that ran in the period, of all queues or of one, the busiest first; at most 500."""
    end = db.now() if until is None else until
    first, last, which = since // MINUTE, (end - 1) // MINUTE + 1, _Which(queue, every_name=True)
    sums: dict[str, Sums] = defaultdict(Sums)
    queues: dict[str, set[str]] = defaultdict(set)
    for _, found, name, row in _rows(db, _cover(first, last, db.now() // MINUTE), first, last, which):
        sums[name].add_row(row)
        queues[name].add(found)
    trends = _trends(db, first, last, which)
    names = sorted(sums, key=lambda name: (-sums[name].count, name))[:MOST_CALLABLES]
    return [
        CallableRow(
            name,
            tuple(sorted(queues[name])),
            _point(first * MINUTE, sums[name]),
            tuple(trends[name]),
            _change(trends[name]),
        )
        for name in names
    ]


def minutes(db: Database, since_minute: int) -> list[dict[str, Any]]:
    """Counts by minute and queue since a minute (minutes since 1970); times in microseconds."""
    sums: dict[tuple[int, str], Sums] = defaultdict(Sums)
    for start, queue, _, row in _minutes(db, since_minute, db.now()):
        sums[start, queue].add_row(row)
    return [
        {"minute": minute, "queue": queue, **{name: getattr(counted, name) for name in COUNTS}}
        for (minute, queue), counted in sorted(sums.items())
    ]


def names(db: Database, since: int) -> list[str]:
    """The callables that ran since then, to the day; at most 500."""
    return _distinct(db, "name", since)


def queue_names(db: Database, since: int) -> list[str]:
    """The queues of which jobs ran since then, to the day; at most 500."""
    return _distinct(db, "queue", since)


def queue_rates(db: Database, now: int) -> list[QueueRate]:
    """How fast each queue fills and empties: of those that have waiting jobs, or had any in the last minutes."""
    first = now // MINUTE - RATE_MINUTES
    done: dict[str, int] = defaultdict(int)
    for _, queue, _, row in _minutes(db, first, now):
        done[queue] += row[0] + row[1] + row[3]
    elapsed = (now - first * MINUTE) / 1_000_000
    came = _speeds_in(db, now)
    waiting = {queue: reads.first_waiting(db, queue, now)[0] for queue in {lane.queue for lane in reads.lanes(db)}}
    rates = []
    for queue in sorted({*done, *came, *waiting}):
        speed_in = came.get(queue, 0.0)
        speed_out, left = done[queue] / elapsed, waiting.get(queue, 0)
        net = speed_out - speed_in
        empty_in = 0.0 if not left else left / net if net > 0 else None
        rates.append(QueueRate(queue, speed_in, speed_out, Count.of(left), empty_in))
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
    least = _least(since // MINUTE, now // MINUTE)
    minutes = max(minutes, least)
    if minutes % least:
        minutes += least - minutes % least
    return max(span for span in SPANS if minutes % span == 0 and span >= least), minutes


@dataclass(frozen=True, slots=True)
class _Which:
    """Which rows of the history: of a queue or of all, of a callable, of all as one, or of each."""

    queue: str | None = None
    name: str | None = None
    every_name: bool = False
    every_queue: bool = False

    @property
    def folded(self) -> str:
        """The condition on the history, where sums stand beside what they are the sums of."""
        if self.every_name or self.name is not None:
            named = "name <> ''" if self.every_name else "name = :name"
            return named if self.queue is None else f"{named} and queue = :queue"
        return "name = '' and queue <> ''" if self.every_queue else "name = '' and queue = :queue"

    @property
    def fresh(self) -> str:
        """The condition on tallies, which begins with `and`."""
        return ("" if self.queue is None else " and queue = :queue") + (
            "" if self.name is None else " and name = :name"
        )

    @property
    def values(self) -> dict[str, str]:
        """The parameters of both."""
        return {"queue": self.queue or "", "name": self.name or ""}


def _minutes(db: Database, first: int, now: int) -> list[Counted]:
    """The rows of each minute and queue since a minute."""
    last = now // MINUTE + 1
    return _rows(db, [(1, first, last)], first, last, _Which(every_queue=True))


def _rows(db: Database, pieces: Sequence[Piece], first: int, last: int, which: _Which) -> list[Counted]:
    """The rows of these pieces of the history, and of all that is not folded yet.

    One statement reads both: between two, a fold would hide what it moves.
    """
    fresh = f"minute >= :first and minute < :last{which.fresh}"
    selects = [f"select minute, queue, name, {COLUMNS} from lateshift_tallies where {fresh}"]
    values: dict[str, int | str] = {"first": first, "last": last, **which.values}
    for number, (span, begin, end) in enumerate(pieces):
        selects.append(
            f"select start, queue, name, {COLUMNS} from lateshift_history"
            f" where span = :span{number} and start >= :begin{number} and start < :end{number} and {which.folded}"
        )
        values |= {f"span{number}": span, f"begin{number}": begin, f"end{number}": end}
    return [(row[0], row[1], row[2], row[3:]) for row in db.query(" union all ".join(selects), values)]


def _cover(first: int, last: int, now: int) -> list[Piece]:
    """As few rows as cover the period: days within it, hours at its ends, and so on.

    What ends now is covered by rows that go on, as nothing stands in what is still to come. A period that begins or
    ends before the minutes that are kept does so at the next coarser step.
    """
    levels = [span for span in SPANS if span >= _least(first, now)]
    shortest = _least(max(first, last - SPANS[-1]), now)  # the end is covered by what is kept of the day before it
    first -= first % levels[0]
    pieces: list[Piece] = []

    def cover(span: int, edge: int) -> int:
        if edge > first:
            pieces.append((span, first, edge))
        return max(first, edge)

    level = 0
    while level + 1 < len(levels) and (edge := first + -first % levels[level + 1]) <= last:
        first = cover(levels[level], edge)
        level += 1
    for span in (span for span in reversed(SPANS) if shortest <= span <= levels[level]):
        first = cover(span, last if last > now or span == shortest else last - last % span)
    return pieces


def _least(first: int, now: int) -> int:
    """The shortest span that is kept from so long ago."""
    return next((span for span in SPANS if KEPT[span] * 1440 >= now - first), SPANS[-1])


def _trends(db: Database, first: int, last: int, which: _Which) -> dict[str, list[int]]:
    """Attempts of each callable in `TREND` equal parts of the period."""
    length = last - first
    least = _least(first, db.now() // MINUTE)
    span = max(span for span in SPANS if span * TREND <= length or span <= least)
    trends: dict[str, list[int]] = defaultdict(lambda: [0] * TREND)
    selects = [
        f"select name, ({start} - :first) * {TREND} {{div}} :length, sum(completed + failed + retried + cancelled)"
        f" from {table} where {start} >= :first and {start} < :last and {condition} group by 1, 2"
        for table, start, condition in (
            ("lateshift_history", "start", f"span = :span and {which.folded}"),
            ("lateshift_tallies", "minute", f"1 = 1{which.fresh}"),
        )
    ]
    values = {"span": span, "first": first, "last": last, "length": length, **which.values}
    for name, part, count in db.query(" union all ".join(selects), values):
        trends[name][min(TREND - 1, int(part))] += int(count)
    return trends


def _distinct(db: Database, column: str, since: int) -> list[str]:
    rows = db.query(
        f"select distinct {column} from lateshift_history where span = 1440 and start >= :first and name <> ''"
        f" order by {column} limit :limit",
        {"first": since // MINUTE // 1440 * 1440, "limit": MOST_CALLABLES},
    )
    fresh = db.query(f"select distinct {column} from lateshift_tallies limit :limit", {"limit": MOST_CALLABLES})
    return sorted({row[0] for row in (*rows, *fresh)})


def _point(at: int, sums: Sums) -> Point:
    count = sums.count
    mean = (sums.wait_time / count / 1e6, sums.run_time / count / 1e6) if count else (None, None)
    return Point(at, sums.completed, sums.failed, sums.retried, sums.cancelled, _of(sums.waits), _of(sums.runs), *mean)


def _of(buckets: list[int]) -> Quantiles:
    return Quantiles(*(histogram.quantile(buckets, part) for part in (0.5, 0.95, 0.99)))


def _change(counts: list[int]) -> float | None:
    before, after = sum(counts[: TREND // 2]), sum(counts[TREND // 2 :])
    return (after - before) / before if before else None
