"""What there is to see at one moment, read as the dashboard reads it: bounded, and by an index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from lateshift.job import WAITING, Job
from lateshift.judgement import Facts, Verdict, judge, observe
from lateshift.query import Query
from lateshift.storage import history, reads, search
from lateshift.storage.database import Database
from lateshift.storage.reads import QueueRow

Pane = Literal["queues", "running", "waiting", "failed"]
PANES: Final[tuple[Pane, ...]] = ("queues", "running", "waiting", "failed")

STATUSES: Final[Mapping[Pane, tuple[str, ...]]] = {"running": ("running",), "waiting": WAITING, "failed": ("failed",)}

ROWS: Final = 50
"""Jobs that a pane has at most; a filter finds others."""

MINUTES: Final = 60


@dataclass(frozen=True, slots=True)
class Picture:
    """A moment. `per_minute` is what finished in each minute of the last hour, `per_second` what did lately.

    `speeds` is the latter by queue. `jobs` are the rows of each pane of jobs, `counts` how many jobs have each status.
    """

    facts: Facts
    verdict: Verdict
    counts: Mapping[str, int]
    per_second: float
    per_minute: tuple[int, ...]
    speeds: Mapping[str, float]
    queues: tuple[QueueRow, ...]
    jobs: Mapping[Pane, tuple[Job, ...]]

    @property
    def now(self) -> int:
        """The moment, in microseconds by the database's clock."""
        return self.facts.now

    @property
    def failure_rate(self) -> float | None:
        """The share of what finished in the last hour that failed; None if nothing did."""
        return self.facts.failed / self.facts.finished if self.facts.finished else None

    def rows(self, pane: Pane) -> Sequence[QueueRow | Job]:
        """The rows of a pane."""
        return self.queues if pane == "queues" else self.jobs[pane]

    def keys(self, pane: Pane) -> list[str]:
        """What names each row of a pane: a queue's name, a job's id."""
        return [row.name if isinstance(row, QueueRow) else row.id for row in self.rows(pane)]


def look(db: Database, query: Query, *, spawns: bool) -> Picture:
    """The picture of this moment; jobs and queues are those that a search chooses."""
    now = db.now()
    minute = now // history.MINUTE
    counted = history.minutes(db, minute - MINUTES + 1)

    def read(function: Callable[..., Any], *args: Any) -> Any:
        return function(db, *args)

    facts = observe(read, now, counted, spawns=spawns)
    speeds = _speeds(counted, now)
    done = Counter[int]()
    for row in counted:
        done[row["minute"]] += _finished(row)
    return Picture(
        facts=facts,
        verdict=judge(facts),
        counts=reads.counts(db),
        per_second=sum(speeds.values()),
        per_minute=tuple(done[minute - back] for back in reversed(range(MINUTES))),
        speeds=speeds,
        queues=_queues(facts.queues, query),
        jobs={pane: _jobs(db, query, statuses) for pane, statuses in STATUSES.items()},
    )


def _speeds(counted: Sequence[Mapping[str, Any]], now: int) -> dict[str, float]:
    """Jobs a second that each queue finished, in the minute that goes on and the one before."""
    minute, into = divmod(now, history.MINUTE)
    seconds = 60 + into / 1_000_000
    done = Counter[str]()
    for row in counted:
        if row["minute"] >= minute - 1:
            done[row["queue"]] += _finished(row)
    return {queue: number / seconds for queue, number in done.items()}


def _finished(row: Mapping[str, Any]) -> int:
    return int(row["completed"]) + int(row["failed"])


def _queues(rows: Sequence[QueueRow], query: Query) -> tuple[QueueRow, ...]:
    """The queues that a search is about, those first that have most to do."""
    terms = query.of("queue")
    wanted = {value for term in terms if not term.negated for value in term.values}
    unwanted = {value for term in terms if term.negated for value in term.values}
    chosen = [row for row in rows if row.name not in unwanted and (not wanted or row.name in wanted)]
    return tuple(sorted(chosen, key=lambda row: (-row.waiting, -row.running, row.name)))


def _jobs(db: Database, query: Query, statuses: Sequence[str]) -> tuple[Job, ...]:
    if not set(statuses) & set(query.statuses):
        return ()
    return search.search(db, query.narrowed(statuses), limit=ROWS).jobs
