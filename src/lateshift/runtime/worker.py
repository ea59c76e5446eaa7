"""The worker: one control thread that owns the database and turns round: settle, claim, submit, duties, wait.

Everything else only sends it messages. In one transaction it writes the outcomes that have come in and claims what
there is room for, so a job costs a share of a commit instead of two. How much it holds in hand adapts: about 100 ms of
measured work, so slow jobs are claimed one per free slot and fast ones by the hundred.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal

from lateshift.clock import Clock, elapsed
from lateshift.errors import StorageError
from lateshift.events import Events, WorkerStarted, WorkerStopped
from lateshift.job import EXECUTORS, Claimed, ExecutorKind
from lateshift.runtime import unstoppable
from lateshift.runtime.crew import Crew
from lateshift.runtime.duties import Heartbeat, Memory
from lateshift.runtime.execution import Execution
from lateshift.runtime.fence import Fence
from lateshift.runtime.gathering import gather
from lateshift.runtime.ledger import Ledger
from lateshift.runtime.outage import TROUBLE_PAUSE, Outage
from lateshift.runtime.output import complain
from lateshift.runtime.rota import Rota
from lateshift.runtime.terms import Reason, WorkerConfig
from lateshift.runtime.wake import Wake
from lateshift.storage import workers
from lateshift.storage.database import Database
from lateshift.storage.settlements import Settlement

STALLED: Final = 0.25
"""Seconds after which claimed jobs that no thread has begun go back: others may have room for them."""

STUCK_GRACE: Final = 5.0
"""Seconds that the other jobs of a process get when one of its threads cannot be stopped."""

LAST_WORDS: Final = 2.0
"""Seconds that interrupted jobs get to end."""

FULL_PAUSE: Final = 0.01
"""Seconds between two looks at what has come in, while there may be more to claim and is no room for it."""


class Worker:
    """Claims and runs jobs in this process until it is told to stop or has a reason to.

    `on_leave` is called when it has stopped claiming, before what still runs has ended; `on_end` with outcomes that
    are about to be written.
    """

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
        self.rota = Rota(db)  # its first duty looks for what operators ask
        self.on_leave: Callable[[], None] = lambda: None
        self.on_end: Callable[[Sequence[Settlement]], None] = lambda _: None
        self._db = db
        self._events = events
        self._outage = Outage(config.worker, db, events)
        self._execution = execution
        self._wake = wake
        self._clock = clock
        crew.lease_clock = time.monotonic if db.file else elapsed  # whoever shares a file sleeps with this machine
        self._fence = Fence(config.lease, crew.renew, crew.lease_clock)
        self._heartbeat = Heartbeat(db, config.worker, crew, self._fence)
        self._memory = Memory(config.max_memory) if config.max_memory else None
        self.ledger = Ledger(config.worker, config.queues, config.max_jobs, db, events, crew)
        self.dismissed = False
        self.vanished = False  # whether it ended without signing off, as the database was away
        self._told: Literal["", "drain", "stop", "now"] = ""
        self._idle_since = self._turned_at = self._moved_at = self._well_at = clock.monotonic()
        self._next_beat = self._trouble_until = 0.0
        self._held_up: list[ExecutorKind] = []

    def tell(self, what: Literal["stop", "now"]) -> None:
        """Ask the worker to stop: in good order, or now. Any thread and any signal handler may."""
        if self._told != "now":
            self._told = self._execution.told = what
        self._wake.set()

    def dismiss(self, how: Literal["drain", "stop"]) -> None:
        """Stop for good, as somebody asks on the dashboard: nobody replaces this worker.

        "stop" gives what runs the grace, "drain" all the time that it needs.
        """
        self.dismissed = True
        if how == "stop":
            self.tell("stop")
        elif not self._told:
            self._told = "drain"
            self._stop_claiming()

    def look_again(self) -> None:
        """There may be something to claim."""
        self.ledger.look = True

    def register(self, worker: workers.NewWorker) -> None:
        """Make the worker known to others: from now on it may be taken for dead."""
        self._db.while_locked, self._db.keeps_file = self._keep, True
        began = self.crew.lease_clock()
        if not self._fence.renew():
            raise RuntimeError("there is no thread for the watchdog that ends a worker which stands still")
        self._execution.began = self._db.now()
        workers.register_worker(self._db, worker, self._execution.began)
        self.crew.lease_until = began + self.config.lease
        self._events.emit([WorkerStarted(self._db.now(), worker.id, worker.pid)])

    def run(self) -> Reason:
        """Turn until there is a reason to end, and end in good order."""
        if self._memory:
            self.rota.duties.append(self._memory)
            self._memory.tick(0)
            if self._memory.exceeded:
                complain(f"lateshift: {self.config.worker}: it takes more than --max-memory before its first job.")
        while (reason := self._reason()) is None:
            self.turn()
            self._wait()
        self._end(reason)
        self._fence.lift()
        return reason

    def turn(self) -> None:
        """One round: write what came in, claim what there is room for, hand it on, and do the duties that are due."""
        now = self._clock.monotonic()
        done, held = self.crew.collect(now), self.crew.held["thread"]
        if any(settlement.job.executor == "thread" for settlement in done):
            self._moved_at = now
        self.ledger.unsettled += done
        if now >= self._trouble_until:
            try:
                self._beat(now)
                self.on_end(self.ledger.unsettled)
                no_more = self._told or self._heartbeat.evicted or self._execution.code.found
                self.ledger.exchange(claim=not no_more)
                if self.crew.held["thread"] > held:
                    self._moved_at = self._clock.monotonic()
                self.rota.do_due(now)
                self._well_at = now
                self._outage.over(now)
            except StorageError as error:
                self._trouble(error, now)
                with contextlib.suppress(StorageError):  # it may fail so for ever, and somebody ask it to stop
                    self.rota.do_due(now, 1)
        self._give_back_stalled(now)
        if self.crew.busy or self.ledger.unsettled:
            self._idle_since = now
        self._turned_at = self._clock.monotonic()  # a turn takes 20 ms where two workers write all the time

    def _beat(self, now: float) -> None:
        """Write a heartbeat if one is due: before all else, since anything may take long, or fail.

        A worker that was declared dead, because it was cut off, is told so here. What it claimed first would count as
        crashed, as nobody knows of it whether it had begun.
        """
        if now >= self._next_beat or self._fence.overdue:
            self._next_beat = now  # until it is answered
            self._next_beat = now + self.rota.do(self._heartbeat)
            # A claim that was given up may be committed at any time: a server that waits for its standby (PostgreSQL's
            # synchronous_standby_names, MariaDB's `backup stage block_commit`) tells of it only then.
            self.ledger.in_doubt = True

    def _give_back_stalled(self, now: float) -> None:
        stalled = self.crew.overloaded or (self.crew.unstarted and now - self._moved_at > STALLED)
        before, self._held_up = self._held_up, self.crew.held_up
        if jobs := self.crew.withdraw(EXECUTORS if stalled else self._held_up):
            self._release(jobs)
        if len(self._held_up) < len(before):  # there is room again, though nothing has ended
            self.look_again()

    def _release(self, jobs: Sequence[Claimed]) -> None:
        try:
            self.ledger.release(jobs)
        except StorageError as error:
            self._trouble(error, self._clock.monotonic())

    def _trouble(self, error: StorageError, now: float) -> None:
        """The database cannot be written: nothing is reported, nothing forgotten; try again soon."""
        if self._heartbeat.has_nothing():
            return
        self._outage.tell(error, now)
        self._fence.keep()
        self._trouble_until = now + TROUBLE_PAUSE

    def _keep(self) -> None:
        """While the database is locked: what it is locked by may be a job that runs here, and out of time."""
        self._fence.keep()
        self.crew.tick(self._clock.monotonic())

    def _wait(self) -> None:
        """Wait for something to do: an outcome, a change in the database, a due job or duty, a timeout."""
        start = self._clock.monotonic()
        if start < self._trouble_until:
            self.crew.tick(start)
            self._wake.wait(self._trouble_until - start)
            return
        start = gather(self.crew, self._clock, self._turned_at, start)
        tick = self.crew.tick(start)  # before the way out below: under load it is taken for seconds on end
        room = not self._told and bool(self.ledger.room())
        if self.crew.inbox or self.ledger.unsettled or (self.ledger.look and room):
            return
        until = min(self._next_beat, self.rota.due_at)
        if tick is not None:
            until = min(until, start + tick)
        if room and self.ledger.due_at is not None:
            until = min(until, start + max(0.0, (self.ledger.due_at - self._db.reckon()) / 1_000_000))
        while (now := self._clock.monotonic()) < until:
            self._wake.wait(min(self._pause(), until - now))
            if not self._told and not self.ledger.look and self._wake.written():
                self.ledger.look = True
            look = self.ledger.look and room and not self._told
            if look or self._told in ("stop", "now") or self.crew.inbox or self.crew.notes:
                return
        if self.ledger.due_at is not None and self.ledger.due_at <= self._db.reckon():
            self.ledger.look = True

    def _pause(self) -> float:
        """Seconds after which it looks round again if nobody wakes it."""
        if self._told:
            return math.inf
        return FULL_PAUSE if self.ledger.look else self._wake.pause()

    def _reason(self) -> Reason | None:
        if self._heartbeat.evicted:
            return "evicted"
        if self._told in ("stop", "now"):
            return "stopped"
        if self.crew.broken:
            return "stuck"
        rest = self._clock.monotonic() - self._idle_since if self.ledger.look else 0.0
        if not self._told and self._execution.code.look_after(rest):
            self._told = "drain"
            self._stop_claiming()
        if self._told == "drain":
            ended: Reason = "outdated" if self._execution.code.found else "stopped"
            return None if self.crew.busy or self.ledger.unsettled else ended
        limit = self.config.max_jobs
        if limit is not None and self.ledger.ended >= limit:
            return "max jobs"
        if self._too_large():
            return "max memory"
        return None if self.crew.busy or self.ledger.unsettled else self._reason_when_idle()

    def _too_large(self) -> bool:
        """One that has had no job is kept: its successor would be as large, and end as soon, one after the other."""
        exceeded = self._memory is not None and self._memory.exceeded
        return exceeded and bool(self.ledger.ended or self.crew.busy)

    def _reason_when_idle(self) -> Reason | None:
        now, runner = self._clock.monotonic(), self.config.kind == "runner"
        if runner and now - self._well_at >= self.config.patience:
            return "cut off"
        if self.ledger.due_now or self.ledger.look:
            return None
        if self.config.burst:
            return "done"
        if self._execution.outdated:
            return "outdated"
        if runner and now - self._idle_since >= self.config.idle_exit and self._sign_off():
            return "idle"
        return None

    def _sign_off(self) -> bool:
        self._idle_since = self._clock.monotonic()
        try:
            return workers.remove_idle_runner(self._db, self.config.worker, self.config.queues)
        except StorageError as error:  # somebody holds a long transaction, perhaps with a job in it
            self._trouble(error, self._clock.monotonic())
            return False

    def _end(self, reason: Reason) -> None:
        """Give back what has not begun, let the rest finish within the grace, return what is left, and sign off."""
        if reason in ("evicted", "cut off"):  # nothing is ours any more, or nobody can be told
            return
        self._stop_claiming()
        if jobs := self.crew.withdraw():
            self._release(jobs)
        self._told = self._told or "stop"
        grace = min(STUCK_GRACE, self.config.grace) if reason == "stuck" else self.config.grace
        self._finish_running(grace, until_now=True)
        if self.crew.busy:
            self._told = "now"
            if self._too_large():
                self._execution.overfull = self.crew.running_here()
            self.crew.interrupt()
            self._finish_running(LAST_WORDS, until_now=False)
        try:
            self._return_running()
            for duty in self.rota.duties:
                self.rota.do(duty)
            self.ledger.give_back_strays()
            workers.remove_worker(self._db, self.config.worker)
        except StorageError as error:
            self.vanished = True
            complain(f"lateshift: {self.config.worker}: {error} It ends all the same; others take back what it held.")
        self._events.emit([WorkerStopped(self._db.reckon(), self.config.worker, reason)])
        self.crew.close()

    def _stop_claiming(self) -> None:
        """Say so, before the last look at what waits: see `host.fleet`."""
        with contextlib.suppress(StorageError):
            workers.stop_claiming(self._db, self.config.worker)
        self.crew.stop_claiming()
        self.on_leave()

    def _finish_running(self, seconds: float, *, until_now: bool) -> None:
        deadline = self._clock.monotonic() + seconds
        while self.crew.busy or self.ledger.unsettled:
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
            self._beat(self._clock.monotonic())  # as each may take as long as its failed() hook
            left.append(unstoppable.leave(run, self._execution))
        if left or self.ledger.unsettled:
            self.ledger.settle(left)
