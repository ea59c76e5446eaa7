"""A worker's dealings with the database: outcomes go in, claimed jobs come out, in one transaction if there are both.

What could not be written is kept and comes first the next time. What the database cannot take, whoever's fault that is,
becomes the failure of that job alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lateshift.errors import StorageError
from lateshift.events import Event, Events
from lateshift.job import Claimed, ExecutorKind
from lateshift.outcome import returned
from lateshift.runtime.crew import Crew
from lateshift.runtime.settling import may_pass, settle, settle_one, told
from lateshift.storage import reads, workers, writes
from lateshift.storage.database import Database
from lateshift.storage.settlements import Batch, Settlement


class Ledger:
    """Settles and claims for one worker, which serves `queues` (all, when empty) and ends after `max_jobs`.

    `look` is whether there may be something to claim, `due_at` when there will be, `due_now` whether there is, if only
    there were room. `unsettled` are outcomes that the database does not have yet; `ended` counts those it has. While
    `in_doubt`, the next exchange looks for claimed jobs that nobody here knows of.
    """

    def __init__(
        self, worker: str, queues: Sequence[str], max_jobs: int | None, db: Database, events: Events, crew: Crew
    ) -> None:
        self.look = True
        self.due_at: int | None = None
        self.due_now = True
        self.unsettled: list[Settlement] = []
        self.ended = 0
        self.in_doubt = False
        self._worker, self._queues, self._max_jobs = worker, queues, max_jobs
        self._db, self._events, self._crew = db, events, crew
        self._blocked = False
        self._rotation = 0

    def exchange(self, done: list[Settlement], *, claim: bool = True) -> bool:
        """Write what has come in and hand on what there is room for; whether anything was claimed.

        Raises StorageError when the database is in trouble; nothing is forgotten then.
        """
        batch = self.unsettled = [*self.unsettled, *done]
        claimed: list[Claimed] = []
        repeats = self._db.repeats
        try:
            claimed = self._write_and_claim(batch, self.room(len(batch)) if claim else {})
            self.unsettled = []
            self.in_doubt = self.in_doubt or self._db.repeats != repeats
        except Exception as error:
            if may_pass(error):
                self.look = self.in_doubt = True
                raise
            self._settle_singly(error)
        if claimed:
            self._crew.submit(claimed)
        if self.in_doubt:
            self.give_back_strays()
        return bool(claimed)

    def settle(self, left: Sequence[Settlement]) -> None:
        """Write the last outcomes of a worker that ends."""
        self.exchange(list(left), claim=False)

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
        self.look = self.look or (self._blocked and bool(done)) or any(s.outcome.run_at is not None for s in done)
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
        return writes.take(self._db, self._worker, self._db.now(), self._due_lanes(room), room, most)

    def _due_lanes(self, room: Mapping[ExecutorKind, int]) -> list[reads.Lane]:
        """The lanes to claim from, in order; takes note of when to look again if there is none.

        Within a queue the highest priority comes first. Queues take turns, so that a long one starves no other.
        """
        now = self._db.now()
        lanes = reads.lanes(self._db)
        served = [lane for lane in lanes if not lane.paused and (not self._queues or lane.queue in self._queues)]
        due = [lane for lane in served if lane.run_at <= now]
        open_ = [lane for lane in due if room.get(lane.executor, 0) > 0]
        self.due_now = bool(due)
        self._blocked = len(open_) < len(due)  # looked at again when something ends, not before
        self.look = bool(open_)
        self.due_at = min((lane.run_at for lane in served if lane.run_at > now), default=None)
        names = sorted({lane.queue for lane in open_})
        self._rotation += 1
        turn = {name: (place - self._rotation) % len(names) for place, name in enumerate(names)}
        return sorted(open_, key=lambda lane: (turn[lane.queue], -lane.priority))

    def _settle_singly(self, cause: Exception) -> None:
        """Write one outcome after the other: one that the database cannot hold must not keep its neighbours back."""
        if not self.unsettled:
            raise cause
        self.look = True
        while self.unsettled:
            written, refused = settle_one(self._db, self.unsettled[0])
            del self.unsettled[0]
            self.ended += 1
            self._tell([written], [written] if refused else [])

    def _tell(self, done: Sequence[Settlement], refused: Sequence[Settlement]) -> None:
        events: list[Event] = self._crew.begun()
        thrown_away, now = {id(settlement) for settlement in refused}, self._db.reckon()
        events += [told(one, self._worker, now, refused=id(one) in thrown_away) for one in done]
        self._events.emit(events)
