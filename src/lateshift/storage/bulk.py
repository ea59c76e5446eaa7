"""One action on many jobs, step by step: on a list of ids, or on everything that a search matches.

A page runs `step` in the background until `finished`, and shows how far it is. Each step is one transaction over at
most 500 jobs, or on a few large ones to delete, so nobody waits for long; what has been done stays done when it is
stopped in between.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from lateshift.errors import InvalidOption
from lateshift.job import FINISHED, WAITING, NewJob
from lateshift.options import check_priority
from lateshift.query import Query, Term
from lateshift.storage import search, trash, writes
from lateshift.storage.counting import Count
from lateshift.storage.database import Database, Row, repeatable

BATCH: Final = 500

Action = Literal["retry", "cancel", "delete", "purge", "priority", "run_now"]

STATUSES: Final[dict[Action, tuple[str, ...]]] = {
    "retry": ("failed", "cancelled", "pending_retry"),
    "cancel": (*WAITING, "running"),
    "delete": FINISHED,
    "purge": WAITING,
    "priority": WAITING,
    "run_now": WAITING,
}
"""The jobs that each action applies to: others are passed over."""

TAKEN_BACK: Final = ("delete", "purge")
"""The actions that can be undone, for ten minutes, by `trash.restore`."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a bulk action is: `seen` jobs were looked at, `changed` of them changed. `total` is a count made before.

    `undo` is what `trash.restore` takes, for an action that can be taken back and has changed anything.
    """

    action: Action
    seen: int
    changed: int
    total: Count
    finished: bool
    undo: str | None = None


class BulkAction:
    """An action on jobs, as a value that is moved on by `step`. What it has done so far is `progress`.

    `id` names it, and the batch that `trash.restore` takes.
    """

    def __init__(
        self, db: Database, action: Action, target: Sequence[str] | Query, *, priority: int | None = None
    ) -> None:
        if action not in STATUSES:
            raise InvalidOption(f"There is no action {action!r}: known are {', '.join(STATUSES)}.")
        self._db, self._action = db, action
        self._priority = check_priority(priority) if action == "priority" else 0
        self._now = db.now()
        self.id = secrets.token_hex(8)
        self._pieces, total = self._plan(target)
        if action in TAKEN_BACK:
            self._pieces = trash.portions(db, self._pieces)
        self.progress = Progress(action, 0, 0, total, finished=False)

    def step(self) -> Progress:
        """Act on the next jobs, 500 at most; what there is to do is done when `finished`. Raises StorageError."""
        ids = next(self._pieces, None)
        if ids is None:
            self.progress = replace(self.progress, finished=True)
            return self.progress
        changed = self._act(ids) if ids else 0
        done = self.progress
        undo = self.id if self._action in TAKEN_BACK and (changed or done.undo) else None
        self.progress = replace(done, seen=done.seen + len(ids), changed=done.changed + changed, undo=undo)
        return self.progress

    def run(self) -> Progress:
        """Do all of it."""
        while not self.step().finished:
            pass
        return self.progress

    def _plan(self, target: Sequence[str] | Query) -> tuple[Iterator[list[str]], Count]:
        if isinstance(target, Query):
            narrowed = target.narrowed(STATUSES[self._action])
            if self._action == "priority":  # or those that it moves in their order would be met again
                other = Term("priority", (str(self._priority),), negated=True)
                narrowed = replace(narrowed, terms=(*narrowed.terms, other))
            return search.matching_ids(self._db, narrowed, self._now), search.count_matching(self._db, narrowed)
        ids = list(dict.fromkeys(target))
        return iter([ids[at : at + BATCH] for at in range(0, len(ids), BATCH)]), Count(len(ids))

    def _act(self, ids: list[str]) -> int:
        if self._action == "retry":
            return retry(self._db, ids, self._now)
        if self._action == "cancel":
            return cancel(self._db, ids, self._now)
        if self._action == "priority":
            return change_priority(self._db, ids, self._priority)
        if self._action == "run_now":
            return run_now(self._db, ids, self._now)
        return trash.throw_away(self._db, self.id, ids, STATUSES[self._action], self._db.now())


@repeatable(0)
def retry(db: Database, ids: Sequence[str], now: int) -> int:
    """Make failed and cancelled jobs wait again with all their attempts, and waiting retries due; returns how many."""
    finished, waiting = (
        writes.locked_of(db, ids, ("failed", "cancelled")),
        writes.locked_of(db, ids, ("pending_retry",)),
    )
    return db.execute_each(writes.RETRY, finished, now=now) + _make_due(db, waiting, now)


@repeatable(0)
def cancel(db: Database, ids: Sequence[str], now: int) -> int:
    """Cancel waiting jobs, and ask the workers of running ones to; returns how many."""
    waiting, running = writes.locked_of(db, ids, WAITING), writes.locked_of(db, ids, ("running",))
    db.execute_each(writes.CANCEL, waiting, now=now)
    db.execute_each(writes.ASK_TO_CANCEL, running)
    return len(waiting) + len(running)


@repeatable(0)
def change_priority(db: Database, ids: Sequence[str], priority: int) -> int:
    """Give waiting jobs another priority; returns how many had a different one."""
    other = "update lateshift_jobs set priority = :priority where id {among ids} and priority <> :priority"
    changed = db.execute_each(other, writes.locked_of(db, ids, WAITING), priority=priority)
    db.announce()
    return changed


@repeatable(0)
def run_now(db: Database, ids: Sequence[str], now: int) -> int:
    """Make delayed jobs and waiting retries due; returns how many were not."""
    return _make_due(db, writes.locked_of(db, ids, WAITING), now)


def callables(db: Database, ids: Sequence[str]) -> list[Row]:
    """(id, name, queue) of those of the jobs that are there."""
    return db.query_each("select id, name, queue from lateshift_jobs where id {among ids}", ids)


def original(db: Database, job_id: str) -> NewJob | None:
    """The row that a job was enqueued with, as far as it is still so; None when there is no such job.

    `enqueuing.Preparation.again` makes another one of it, with other parameters.
    """
    rows = db.query(
        "select id, name, queue, executor, priority, parameters, max_retries, run_at, enqueued_at, options"
        " from lateshift_jobs where id = :id",
        {"id": job_id},
    )
    return NewJob(*rows[0]) if rows else None


def _make_due(db: Database, ids: Sequence[str], now: int) -> int:
    changed = db.execute_each(writes.MAKE_DUE, ids, now=now)
    db.announce()
    return changed
