"""The worker: one control thread that owns the database and turns round: settle, claim, submit, duties, wait.

Everything else only sends it messages. In one transaction it writes the outcomes that have come in and claims what
there is room for, so a job costs a share of a commit instead of two. How much it holds in hand adapts: about 100 ms of
measured work, so slow jobs are claimed one per free slot and fast ones by the hundred (design.md 4).
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from lateshift.clock import Clock
from lateshift.errors import StorageError
from lateshift.events import Event, Events, JobFinished, LeaseLost, WorkerStarted, WorkerStopped
from lateshift.job import Claimed, ExecutorKind
from lateshift.outcome import Outcome, returned
from lateshift.runtime.crew import Crew
from lateshift.runtime.duties import Duty, Heartbeat, Memory
from lateshift.runtime.execution import OVERLAP_GUARD, Execution, describe
from lateshift.runtime.wake import Wake
from lateshift.storage import reads, workers, writes
from lateshift.storage.database import Database
from lateshift.storage.writes import Settlement

GATHER: Final = 0.002
"""Seconds that a turn under load lets outcomes come together: a commit costs as much for one as for fifty."""

STALLED: Final = 0.25
"""Seconds after which claimed jobs that no thread has begun go back: others may have room for them."""

STUCK_GRACE: Final = 5.0
"""Seconds that the other jobs of a process get when one of its threads cannot be stopped."""

LAST_WORDS: Final = 2.0
"""Seconds that interrupted jobs get to end."""

DUTY_PAUSE: Final = 5.0
"""Seconds before a duty that failed is tried again."""

TROUBLE_PAUSE: Final = 1.0
"""Seconds between two tries while the database cannot be written."""

Reason = Literal["stopped", "done", "idle", "recycle", "stuck", "evicted"]
"""Why a worker ends: told to; nothing left (burst); idle runner; limit reached; code that cannot be stopped; declared
dead by others."""


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker process does; the supervisor hands it over as JSON. Times are in seconds, memory in bytes."""

    worker: str
    folder: str
    kind: Literal["worker", "runner"] = "worker"
    queues: tuple[str, ...] = ()
    burst: bool = False
    max_jobs: int | None = None
    max_memory: int | None = None
    idle_exit: float = 30.0
    grace: float = 30.0


class Worker:
    """Claims and runs jobs in this process until it is told to stop or has a reason to."""

    def __init__(
        self,
        config: WorkerConfig,
        db: Database,
        events: Events,
        crew: Crew,
        execution: Execution,
        wake: Wake,
        clock: Clock,
    ) -> None:
        self.config = config
        self.crew = crew
        self.duties: list[Duty] = []
        self._db = db
        self._events = events
        self._execution = execution
        self._wake = wake
        self._clock = clock
        self._heartbeat = Heartbeat(db, config.worker, crew)
        self._memory = Memory(config.max_memory) if config.max_memory else None
        self._next_duty: dict[int, float] = {}
        self._unsettled: list[Settlement] = []
        self._told: Literal["", "stop", "now"] = ""
        self._ended = 0
        self._rotation = 0
        self._look = True
        self._due_at: int | None = None
        self._due_now = True
        self._blocked = False
        self._in_doubt = False
        self._idle_since = self._turned_at = self._moved_at = clock.monotonic()
        self._trouble_until = 0.0

    def tell(self, what: Literal["stop", "now"]) -> None:
        """Ask the worker to stop: in good order, or now. Any thread and any signal handler may."""
        if self._told != "now":
            self._told = what
        self._wake.set()

    def run(self, worker: workers.NewWorker) -> Reason:
        """Register, turn until there is a reason to end, and end in good order."""
        workers.register_worker(self._db, worker, self._db.now())
        self._events.emit([WorkerStarted(self._db.now(), worker.id, worker.pid)])
        self.duties += [self._heartbeat, *([self._memory] if self._memory else [])]
        while (reason := self._reason()) is None:
            self.turn()
            self._wait()
        self._end(reason)
        return reason

    def turn(self) -> None:
        """One round: write what came in, claim what there is room for, hand it on, and do the duties that are due."""
        now = self._clock.monotonic()
        done = self.crew.collect(now)
        if done:
            self._moved_at = now
        if now >= self._trouble_until:
            try:
                self._settle_and_claim(self._unsettled + done)
                self._unsettled = []
                self._do_duties(now)
            except Exception as error:
                if _may_pass(error):
                    self._unsettled += done
                    self._trouble(error, now)
                else:
                    self._unsettled = self._settle_singly(self._unsettled + done, error)
        else:
            self._unsettled += done
        self._give_back_stalled(now)
        if self.crew.busy or self._unsettled:
            self._idle_since = now
        self._turned_at = now

    def _settle_and_claim(self, done: list[Settlement]) -> None:
        room = {} if self._told else self._room(len(done))
        self._look = self._look or (self._blocked and bool(done)) or any(s.outcome.run_at is not None for s in done)
        refused: list[Settlement] = []
        claimed: list[Claimed] = []
        if done and room and self._look:
            refused, claimed = self._db.transact(lambda: (writes.settle(self._db, done), self._claim(room)))
        elif done:
            refused = writes.settle(self._db, done)
        elif room and self._look:
            claimed = self._claim(room)
        self._ended += len(done)
        self._tell(done, refused)
        if claimed:
            self._moved_at = self._clock.monotonic()
            self.crew.submit(claimed)
        if self._in_doubt:
            self._give_back_strays()

    def _claim(self, room: Mapping[ExecutorKind, int]) -> list[Claimed]:
        return writes.claim(self._db, self.config.worker, self._db.now(), self._due_lanes(room), room)

    def _give_back_strays(self) -> None:
        """After trouble: what is ours in the database only, by a claim whose answer got lost, goes back."""
        ours = self.crew.jobs | {(s.job.id, s.job.lease) for s in self._unsettled}
        held = [job for job, _ in reads.running_jobs(self._db, self.config.worker)]
        if strays := [job for job in held if (job.id, job.lease) not in ours]:
            self._release(strays)
        self._in_doubt = False

    def _settle_singly(self, batch: list[Settlement], cause: Exception) -> list[Settlement]:
        """Something in a batch could not be stored: write each by itself, the culprit as failed; returns the rest."""
        if not batch:
            raise cause
        left = []
        for settlement in batch:
            try:
                self._settle_and_tell(settlement)
            except Exception as error:
                if _may_pass(error):
                    left.append(settlement)
                    continue
                began, now = settlement.outcome.started_at, self._db.now()
                refused = Outcome("failed", "failed", began, now, error=describe(error))
                self._settle_and_tell(Settlement(settlement.job, refused))
        return left

    def _settle_and_tell(self, settlement: Settlement) -> None:
        refused = writes.settle(self._db, [settlement])
        self._ended += 1
        self._tell([settlement], refused)

    def _room(self, done: int) -> dict[ExecutorKind, int]:
        room = dict(self.crew.room())
        if self.config.max_jobs is not None:
            left = self.config.max_jobs - self._ended - done - self.crew.busy
            room = {kind: min(count, left) for kind, count in room.items() if left > 0}
        return room

    def _due_lanes(self, room: Mapping[ExecutorKind, int]) -> list[reads.Lane]:
        """The lanes to claim from, in order; takes note of when to look again if there is none.

        Within a queue the highest priority comes first. Queues take turns, so that a long one starves no other.
        """
        now = self._db.now()
        lanes = reads.lanes(self._db)
        served = [lane for lane in lanes if not lane.paused and self._serves(lane.queue)]
        due = [lane for lane in served if lane.run_at <= now]
        open_ = [lane for lane in due if room.get(lane.executor, 0) > 0]
        self._due_now = bool(due)
        self._blocked = len(open_) < len(due)  # looked at again when something ends, not before
        self._look = bool(open_)
        self._due_at = min((lane.run_at for lane in served if lane.run_at > now), default=None)
        names = sorted({lane.queue for lane in open_})
        self._rotation += 1
        turn = {name: (place - self._rotation) % len(names) for place, name in enumerate(names)}
        return sorted(open_, key=lambda lane: (turn[lane.queue], -lane.priority))

    def _serves(self, queue: str) -> bool:
        return not self.config.queues or queue in self.config.queues

    def _tell(self, done: Sequence[Settlement], refused: Sequence[Settlement]) -> None:
        notes, told = self.crew.notes, list[Event]()
        while notes:
            told.append(notes.popleft())
        thrown_away = {id(settlement) for settlement in refused}
        worker = self.config.worker
        for settlement in done:
            job, outcome = settlement.job, settlement.outcome
            if id(settlement) in thrown_away:
                told.append(LeaseLost(self._db.reckon(), job.id, job.name, job.queue, job.attempt, worker))
            else:
                at = outcome.finished_at
                told.append(JobFinished(at, job.id, job.name, job.queue, job.attempt, worker, outcome, job.run_at))
        self._events.emit(told)

    def _do_duties(self, now: float) -> None:
        for place, duty in enumerate(self.duties):
            if now >= self._next_duty.get(place, 0.0):
                self._next_duty[place] = now + self._do(duty)

    def _do(self, duty: Duty) -> float:
        try:
            return duty.tick(self._db.now())
        except Exception as error:
            if _may_pass(error):
                raise
            traceback.print_exc()  # a duty that fails is no reason to leave the jobs alone
            return DUTY_PAUSE

    def _give_back_stalled(self, now: float) -> None:
        if self.crew.unstarted and now - self._moved_at > STALLED:
            jobs = self.crew.withdraw()
            if jobs:
                self._release(jobs)

    def _release(self, jobs: Sequence[Claimed]) -> None:
        self._look = True
        try:
            writes.release(self._db, jobs, self._db.now())
        except StorageError as error:  # settled as returned later, which also gives them back
            now = self._db.now()
            self._unsettled += [Settlement(job, returned(now, now)) for job in jobs]
            self._trouble(error, self._clock.monotonic())

    def _trouble(self, error: Exception, now: float) -> None:
        """The database cannot be written: nothing is reported, nothing forgotten; try again soon."""
        with contextlib.suppress(OSError):  # standard error may be a file on the same full disk
            sys.stderr.write(f"lateshift: {self.config.worker}: {error} Trying again.\n")
        self._trouble_until = now + TROUBLE_PAUSE
        self._look = self._in_doubt = True

    def _wait(self) -> None:
        """Wait for something to do: an outcome, a change in the database, a due job or duty, a timeout."""
        start = self._clock.monotonic()
        if start < self._trouble_until:
            self._wake.wait(self._trouble_until - start)
            return
        if self.crew.busy > 1 and start - self._turned_at < GATHER:
            self._clock.sleep(GATHER - (start - self._turned_at))
        if self.crew.inbox or (self._look and not self._told and self._room(0)):
            return
        until = min(self._next_duty.values(), default=start + 1.0)
        tick = self.crew.tick(start)
        if tick is not None:
            until = min(until, start + tick)
        if self._due_at is not None:
            until = min(until, start + max(0.0, (self._due_at - self._db.now()) / 1_000_000))
        while (now := self._clock.monotonic()) < until:
            self._wake.wait(min(self._wake.interval, until - now))
            if not self._look and self._wake.written():
                self._look = True
            if self._look or self._told or self.crew.inbox or self.crew.notes:
                return
        if self._due_at is not None and self._due_at <= self._db.now():
            self._look = True

    def _reason(self) -> Reason | None:
        if self._heartbeat.evicted:
            return "evicted"
        if self._told:
            return "stopped"
        if self.crew.stuck():
            return "stuck"
        limit = self.config.max_jobs
        if (limit is not None and self._ended >= limit) or (self._memory and self._memory.exceeded):
            return "recycle"
        if self.crew.busy or self._unsettled or self._due_now or self._look:
            return None
        if self.config.burst:
            return "done"
        idle = self._clock.monotonic() - self._idle_since
        if self.config.kind == "runner" and idle >= self.config.idle_exit and self._sign_off():
            return "idle"
        return None

    def _sign_off(self) -> bool:
        self._idle_since = self._clock.monotonic()
        return workers.remove_idle_runner(self._db, self.config.worker, self.config.queues)

    def _end(self, reason: Reason) -> None:
        """Give back what has not begun, let the rest finish within the grace, return what is left, and sign off."""
        if reason == "evicted":  # others have our jobs: whatever we still do is thrown away
            return
        if jobs := self.crew.withdraw():
            self._release(jobs)
        self._told = self._told or "stop"
        grace = min(STUCK_GRACE, self.config.grace) if reason == "stuck" else self.config.grace
        self._finish_running(grace, until_now=True)
        if self.crew.busy and self._told != "now":
            self._told = "now"
        if self.crew.busy:
            self.crew.interrupt()
            self._finish_running(LAST_WORDS, until_now=False)
        self._return_running()
        for duty in self.duties:
            if duty is not self._heartbeat:
                duty.tick(self._db.now())
        workers.remove_worker(self._db, self.config.worker)
        self._events.emit([WorkerStopped(self._db.now(), self.config.worker, reason)])
        self.crew.close()

    def _finish_running(self, seconds: float, *, until_now: bool) -> None:
        deadline = self._clock.monotonic() + seconds
        while self.crew.busy or self._unsettled:
            now = self._clock.monotonic()
            if now >= deadline or (until_now and self._told == "now"):
                return
            if self.crew.busy and len(self.crew.stuck()) >= self.crew.busy:
                return
            self._wake.wait(min(0.05, deadline - now))
            self.turn()
            self.crew.tick(self._clock.monotonic())

    def _return_running(self) -> None:
        """What runs still goes back. Its code ends with this process, so it may be claimed only after that."""
        left = []
        for run in self.crew.running():
            now = self._db.now()
            outcome: Outcome = returned(run.started_at, now, OVERLAP_GUARD)
            if run.interruption == "timeout":
                outcome = self._execution.interrupted(run)
                if outcome.run_at is not None:
                    after = max(outcome.run_at, now + round(OVERLAP_GUARD * 1_000_000))
                    outcome = msgspec.structs.replace(outcome, run_at=after)
            left.append(Settlement(run.job, outcome))
        if left or self._unsettled:
            done = self._unsettled + left
            refused = writes.settle(self._db, done)
            self._tell(done, refused)


def _may_pass(error: Exception) -> bool:
    """Whether the database as a whole is in trouble, so that the same may succeed later; else it is about one value."""
    return isinstance(error, StorageError) and type(error) is not StorageError
