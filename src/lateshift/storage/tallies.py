"""What workers count, and how it becomes the history: rows that are only added, folded together every half minute.

A worker writes its counts as new rows of its own (`add`), so nobody waits for anybody. `fold` moves them, under a lock
that only folders take, to the history: once for each of `SPANS`, and there as the callable's, as the queue's (with an
empty name) and as one of all (with an empty queue as well). So every count is either in a tally or in all spans, and a
reader that adds the two, of one statement, is always right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from lateshift import histogram
from lateshift.storage.database import Database, Row, transactional
from lateshift.storage.soundness import LARGEST

SPANS: Final = (1, 10, 60, 1440)
"""Minutes that a row of the history covers."""

KEPT: Final = {1: 7, 10: 14, 60: 90, 1440: 730}
"""Days for which the rows of each span are kept."""

NAME_LENGTH: Final = 255
"""Characters of a callable path that are kept here: MySQL has no longer keys."""

COUNTS: Final = ("completed", "failed", "retried", "cancelled", "wait_time", "run_time")
_KEYS: Final = ("span", "start", "queue", "name")
_COLUMNS: Final = (*COUNTS, "waits", "runs")

BATCH: Final = 200
"""Tallies that are folded in one transaction: some 5 ms, for which nobody else writes to an SQLite file."""

_PRUNED: Final = 5
"""Rows of a callable that are deleted in one transaction."""


@dataclass(slots=True)
class Sums:
    """Counts of one callable in one queue over some time; times in microseconds, histograms in buckets."""

    completed: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0
    wait_time: int = 0
    run_time: int = 0
    waits: list[int] = field(default_factory=lambda: [0] * histogram.BUCKETS)
    runs: list[int] = field(default_factory=lambda: [0] * histogram.BUCKETS)

    @property
    def count(self) -> int:
        """How many attempts these are."""
        return self.completed + self.failed + self.retried + self.cancelled

    def add_row(self, row: Row) -> None:
        """Add a row with the columns of `COLUMNS`."""
        completed, failed, retried, cancelled, wait_time, run_time, waits, runs = row
        self.completed += completed
        self.failed += failed
        self.retried += retried
        self.cancelled += cancelled
        self.wait_time += wait_time
        self.run_time += run_time
        histogram.add(self.waits, waits)
        histogram.add(self.runs, runs)

    def columns(self) -> dict[str, object]:
        """The values as they are stored; no more than there is room for, when a row by other hands was due ages ago."""
        counts = {name: max(-LARGEST, min(getattr(self, name), LARGEST)) for name in COUNTS}
        return {**counts, "waits": histogram.encode(self.waits), "runs": histogram.encode(self.runs)}


COLUMNS: Final = ", ".join(_COLUMNS)
"""What `Sums.add_row` takes, as a list for SQL."""

Key = tuple[int, str, str]
"""(minute since 1970, queue, callable path)"""


@transactional
def add(db: Database, worker: str, part: int, rows: Sequence[tuple[Key, Sums]]) -> None:
    """Store what a worker has counted since it wrote last; `part` is a number that it has not used before."""
    values = ", ".join(f":{name}" for name in _COLUMNS)
    db.execute_many(
        f"insert into lateshift_tallies (worker, part, minute, queue, name, {COLUMNS})"
        f" values (:worker, :part, :minute, :queue, :name, {values})"
        " {on_conflict(worker, part, minute, queue, name)} completed = {new(completed)}",  # if an answer got lost
        [
            {"worker": worker, "part": part, "minute": minute, "queue": queue, "name": name, **sums.columns()}
            for (minute, queue, name), sums in rows
        ],
    )


@transactional
def take_turn(db: Database, now: int, pause: int) -> bool:
    """Whether it is this caller's turn to fold, for the rest of its transaction: once in `pause` microseconds."""
    return bool(
        db.execute(
            "update lateshift_meta set value = :now where name = 'folded_at'"
            " and (value <= :now - :pause or value > :now + :pause)",
            {"now": now, "pause": pause},
        )
    )


@transactional
def give_turn_back(db: Database) -> None:
    """Let whoever comes next fold at once, because there is more."""
    db.execute("update lateshift_meta set value = 0 where name = 'folded_at'")


@transactional
def fold(db: Database) -> int:
    """Move a batch of tallies to the history; returns how many. For who has the turn (`take_turn`)."""
    rows = db.query(
        f"select worker, part, minute, queue, name, {COLUMNS} from lateshift_tallies"
        " order by worker, part, minute, queue, name limit :limit{skip_locked}",
        {"limit": BATCH},
    )
    if not rows:
        return 0
    sums: dict[tuple[int, int, str, str], Sums] = {}
    for row in rows:
        minute, queue, name = row[2:5]
        for span in SPANS:
            for parts in ((queue, name), (queue, ""), ("", "")):
                sums.setdefault((span, minute - minute % span, *parts), Sums()).add_row(row[5:])
    _add_history(db, sums)
    db.execute_many(
        "delete from lateshift_tallies where worker = :worker and part = :part and minute = :minute"
        " and queue = :queue and name = :name",
        [dict(zip(("worker", "part", "minute", "queue", "name"), row, strict=False)) for row in rows],
    )
    return len(rows)


@transactional
def prune_history(db: Database, now: int) -> bool:
    """Delete a batch of what is older than `KEPT`; whether there may be more."""
    more = False
    for span, days in KEPT.items():
        values = {"span": span, "before": now // 60_000_000 - days * 1440}
        oldest = db.query("select min(start) from lateshift_history where span = :span", {"span": span})[0][0]
        if oldest is None or oldest >= values["before"]:
            continue
        values["before"] = min(values["before"], oldest + _PRUNED * span)
        db.execute("delete from lateshift_history where span = :span and start < :before", values)
        more = True
    return more


def _add_history(db: Database, sums: dict[tuple[int, int, str, str], Sums]) -> None:
    for span, start in sorted({key[:2] for key in sums}):
        found = db.query(
            f"select queue, name, {COLUMNS} from lateshift_history where span = :span and start = :start",
            {"span": span, "start": start},
        )
        for row in found:
            key = (span, start, row[0], row[1])
            if key in sums:
                sums[key].add_row(row[2:])
    keys = sorted(sums)
    columns = (*_KEYS, *_COLUMNS)
    db.execute_many(
        f"insert into lateshift_history ({', '.join(columns)}) values ({', '.join(f':{name}' for name in columns)})"
        " {on_conflict(span, start, queue, name)} " + ", ".join(f"{name} = {{new({name})}}" for name in _COLUMNS),
        [{**dict(zip(_KEYS, key, strict=True)), **sums[key].columns()} for key in keys],
    )
