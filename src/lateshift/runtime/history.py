"""Counting for the dashboard: what this worker finished and what failed, and the housekeeping of what was counted.

A worker counts in memory and writes every ten seconds, rows that are its own; so it waits for nobody, and a job costs
it a few additions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from lateshift import histogram
from lateshift.events import Event, Events, JobFinished
from lateshift.fingerprint import fingerprint
from lateshift.job import JobError
from lateshift.storage import audit, failures, requests, tallies, trash
from lateshift.storage.database import Database
from lateshift.storage.failures import FailureCount
from lateshift.storage.settlements import FAILURES, UNCOUNTED
from lateshift.storage.tallies import NAME_LENGTH, Key, Sums

MOST_GROUPS: Final = 500
"""Error groups that a worker counts at once: a message that is never the same twice must not fill the memory."""


class _Counts:
    """One callable in one queue in one minute; the lists count by the bit length of microseconds."""

    __slots__ = ("kinds", "run_time", "runs", "wait_time", "waits")

    def __init__(self) -> None:
        self.kinds = dict.fromkeys(("completed", "failed", "retry", "lost", "cancelled"), 0)
        self.wait_time = self.run_time = 0
        self.waits, self.runs = [0] * histogram.LENGTHS, [0] * histogram.LENGTHS

    def sums(self) -> Sums:
        kinds = self.kinds
        return Sums(
            completed=kinds["completed"],
            failed=kinds["failed"],
            retried=kinds["retry"] + kinds["lost"],
            cancelled=kinds["cancelled"],
            wait_time=self.wait_time,
            run_time=self.run_time,
            waits=histogram.by_length(self.waits),
            runs=histogram.by_length(self.runs),
        )


class Statistics:
    """Counts what this worker finished, by minute, queue and callable, and what failed by error group."""

    INTERVAL: Final = 10.0

    def __init__(self, db: Database, events: Events, worker: str) -> None:
        self._db, self._worker = db, worker
        self._part = 0
        self._rows: dict[Key, _Counts] = {}
        self._unwritten: list[tuple[int, list[tuple[Key, Sums]]]] = []
        self._failures: dict[tuple[str, str, int], FailureCount] = {}
        self._sums: list[FailureCount] = []
        events.subscribe(self._count)

    def tick(self, _: int) -> float:
        """Write what has been counted since the last time, and what could not be written then."""
        if self._rows:
            taken, self._rows = self._rows, {}
            self._part += 1
            self._unwritten.append((self._part, [(key, row.sums()) for key, row in taken.items()]))
        while self._unwritten:
            tallies.add(self._db, self._worker, *self._unwritten[0])
            del self._unwritten[0]
        while self._sums or self._failures:
            if not self._sums:
                self._sums = failures.summed(self._db, self._worker, list(self._failures.values()))
                self._failures = {}
            failures.add(self._db, self._worker, self._sums)
            self._sums = []
        return self.INTERVAL

    def _count(self, events: Sequence[Event]) -> None:
        rows = self._rows
        for event in events:
            if type(event) is JobFinished:
                outcome = event.outcome
                if outcome.kind in UNCOUNTED:
                    continue
                began, ended = outcome.started_at, outcome.finished_at
                key = (ended // 60_000_000, event.queue, event.name[:NAME_LENGTH])
                row = rows.get(key)
                if row is None:
                    row = rows[key] = _Counts()
                row.kinds[outcome.kind] += 1
                took, waited = ended - began, began - event.due_at
                row.run_time += took
                row.runs[took.bit_length()] += 1
                if waited > 0:
                    row.wait_time += waited
                    row.waits[waited.bit_length()] += 1
                else:
                    row.waits[0] += 1
                if outcome.error is not None and outcome.kind in FAILURES:
                    self._count_failure(event, outcome.error)

    def _count_failure(self, event: JobFinished, error: JobError) -> None:
        outcome = event.outcome
        mark, at = fingerprint(error), outcome.finished_at
        key = (mark.key, event.name, at // failures.HOUR)
        known = self._failures.get(key)
        if known is None and len(self._failures) >= MOST_GROUPS:
            return
        failed = int(outcome.kind == "failed")
        self._failures[key] = FailureCount(
            fingerprint=mark,
            name=event.name,
            message=known.message if known else error.message,
            failed=failed + (known.failed if known else 0),
            retried=1 - failed + (known.retried if known else 0),
            first_at=min(known.first_at, at) if known else at,
            last_at=max(known.last_at, at) if known else at,
            job_id=event.job_id,
        )


class Compaction:
    """Folds what workers counted into the history, and deletes what is too old; one worker at a time does it."""

    INTERVAL: Final = 30.0

    def __init__(self, db: Database) -> None:
        self._db = db

    def tick(self, now: int) -> float:
        """Fold one batch and prune one, if nobody has in the last half minute; comes back soon while there is more."""
        more = self._db.transact(lambda: self._fold(now))
        return 0.5 if more else self.INTERVAL * random.uniform(0.5, 1.0)

    def _fold(self, now: int) -> bool:
        if not tallies.take_turn(self._db, now, round(self.INTERVAL * 500_000)):
            return False
        more = [
            tallies.fold(self._db) == tallies.BATCH,
            failures.fold_failures(self._db, now) == failures.BATCH,
            tallies.prune_history(self._db, now),
            trash.empty(self._db, now),
        ]
        failures.prune_failures(self._db, now)
        audit.prune_audit(self._db, now)
        requests.prune_requests(self._db, now)
        if any(more):
            tallies.give_turn_back(self._db)
        return any(more)
