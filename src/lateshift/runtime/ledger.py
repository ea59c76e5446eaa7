"""A worker's dealings with the database: outcomes go in, claimed jobs come out, in one transaction if there are both.

What could not be written is kept and comes first the next time. What the database cannot take, whoever's fault that is,
becomes the failure of that job alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from lateshift.errors import StorageError
from lateshift.events import Event, Events
from lateshift.job import Claimed, ExecutorKind
from lateshift.outcome import returned
from lateshift.runtime.crew import Crew
from lateshift.runtime.rounds import Rounds
from lateshift.runtime.settling import TOGETHER, may_pass, settle, settle_one, told
from lateshift.storage import reads, workers, writes
from lateshift.storage.database import Database
from lateshift.storage.settlements import Batch, Settlement

SINGLY: Final = 500
"""Outcomes written at once that take statements of their own, as of jobs that failed or have logs: between two
heartbeats. When a thousand failed together, a worker whose MariaDB is 5 ms away was taken for dead."""


class Ledger:
    """Settles and claims for one worker, which serves `queues` (all, when empty) and ends after `max_jobs`.

    `look` is whether there may be something to claim, `due_at` when there will be, `due_now` whether there is, if only
    there were room. `unsettled` are outcomes that the database does not have yet; `ended` counts those it has. While
    `in_doubt`, the next exchange looks for claimed jobs that nobody here knows of.
    """

    def __init__(
        self, worker: str, queues: Sequence[str], max_jobs: int | None, db: Database, events: Events, crew: Crew
    ) -> None:
        self.due_at: int | None = None
        self.due_now = True
        self.unsettled: list[Settlement] = []
        self.ended = 0
        self.in_doubt = False
        self._worker, self._max_jobs = worker, max_jobs
        self._db, self._events, self._crew = db, events, crew
        self._look = True
        self._blocked = False
        self._rounds = Rounds(db, queues)

    @property
    def look(self) -> bool:
        """Whether there may be something to claim."""
        return self._look or self._rounds.underway

    @look.setter
    def look(self, look: bool) -> None:
        """In the midst of a round there always may be."""
        self._look = look

    def exchange(self, *, claim: bool = True) -> bool:
        """Write what has come in and hand on what there is room for; whether anything was claimed.

        Raises StorageError when the database is in trouble; nothing is forgotten then.
        """
        (batch, rest), claimed = _first(self.unsettled), list[Claimed]()
        repeats = self._db.repeats
        try:
            claimed = self._write_and_claim(batch, self.room(len(batch)) if claim and not rest else {})
            self.unsettled = rest
            self.in_doubt = self.in_doubt or self._db.repeats != repeats
        except Exception as error:
            if may_pass(error):
                self.look = self.in_doubt = True
                raise
            self._settle_singly(len(batch), error)
        if claimed:
            self._crew.submit(claimed)
        if self.in_doubt:
            self.give_back_strays()
        return bool(claimed)

    def settle(self, left: Sequence[Settlement]) -> None:
        """Write the last outcomes of a worker that ends."""
        self.unsettled += left
        while self.unsettled:
            self.exchange(claim=False)

    def release(self, jobs: Sequence[Claimed]) -> None:
        """Give back what has not begun. Raises StorageError; they are then settled as returned, which does the same."""
        self.look = True
        try:
            writes.release(self._db, jobs, self._db.reckon())
        except StorageError:
            now = self._db.reckon()
            self.unsettled += [Settlement(job, returned(now, now)) for job in jobs]
            raise

    def give_back_strays(self) -> None:
        """What is ours in the database only, by a claim whose answer got lost, goes back: nobody else would take it."""
        ours = self._crew.jobs | {(s.job.id, s.job.lease) for s in self.unsettled}
        if workers.held(self._db, self._worker) - ours:
            held = [job for job, _ in reads.running_jobs(self._db, self._worker)]
            self.release([job for job in held if (job.id, job.lease) not in ours])
        self.in_doubt = False

    def room(self, done: int = 0) -> dict[ExecutorKind, int]:
        """How many jobs of each kind may be claimed, when `done` more have ended."""
        left = self._left(done)
        return {} if left is not None and left <= 0 else self._crew.room()

    def _left(self, done: int) -> int | None:
        """How many jobs of all kinds may be claimed before the worker has had `max_jobs`."""
        return None if self._max_jobs is None else self._max_jobs - self.ended - done - self._crew.busy

    def _write_and_claim(self, done: list[Settlement], room: Mapping[ExecutorKind, int]) -> list[Claimed]:
        if (self._blocked and done) or any(s.outcome.run_at is not None for s in done):
            self._look = True
        batch, left = Batch(done), self._left(len(done))
        stands, refused = batch.settlements, list[Settlement]()
        taken: writes.Taken = ()
        if done and room and self.look:
            (stands, refused), taken = self._db.transact(lambda: (settle(self._db, batch), self._take(room, left)))
        elif done:
            stands, refused = settle(self._db, batch)
        elif room and self.look:
            taken = self._take(room, left)
        self.ended += len(done)
        self._tell(stands, refused)
        return writes.claimed(taken)

    def _take(self, room: Mapping[ExecutorKind, int], most: int | None) -> writes.Taken:
        """Claim; takes note of when to look again if there is nothing."""
        rounds, now = self._rounds, self._db.now()
        lanes = rounds.look(now, room, again=self._look)
        taken = writes.take(self._db, self._worker, now, lanes, room, most)
        seen, self._look = rounds.took(taken, room), False
        if seen:
            self._look = seen.taken or seen.again
            self._blocked = seen.blocked  # looked at again when something ends, not before
            self.due_now, self.due_at = seen.open or seen.blocked, seen.due_at
        return taken

    def _settle_singly(self, count: int, cause: Exception) -> None:
        """Write so many, one after the other: one that the database cannot hold must not keep its neighbours back."""
        if not count:
            raise cause
        self.look = True
        for _ in range(count):
            written, refused = settle_one(self._db, self.unsettled[0])
            del self.unsettled[0]
            self.ended += 1
            self._tell([written], [written] if refused else [])

    def _tell(self, done: Sequence[Settlement], refused: Sequence[Settlement]) -> None:
        events: list[Event] = self._crew.begun()
        thrown_away, now = {id(settlement) for settlement in refused}, self._db.reckon()
        events += [told(one, self._worker, now, refused=id(one) in thrown_away) for one in done]
        self._events.emit(events)


def _first(outcomes: list[Settlement]) -> tuple[list[Settlement], list[Settlement]]:
    """Those that are written now, and those that wait."""
    singly = size = 0
    for place, one in enumerate(outcomes):
        outcome = one.outcome
        size += len(outcome.result or "")
        if outcome.kind != "completed" or outcome.logs:
            singly += 1
            size += sum(map(len, outcome.logs)) + (len(outcome.error.traceback) if outcome.error is not None else 0)
        if place and (singly > SINGLY or size > TOGETHER):
            return outcomes[:place], outcomes[place:]
    return outcomes, []
