"""A worker's executors as one: what there is room for, what runs, and the outcomes that come back.

Executors answer from their own threads; what they say is put into queues that the control thread empties.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final

from lateshift.context import Report
from lateshift.events import Event, JobStarted
from lateshift.host.presence import Presence
from lateshift.job import EXECUTORS, Claimed, ExecutorKind
from lateshift.outcome import Outcome
from lateshift.runtime.execution import Execution
from lateshift.runtime.executors import Executor
from lateshift.runtime.executors.thread import ThreadExecutor
from lateshift.runtime.patching import threads_are_patched
from lateshift.runtime.run import Run
from lateshift.runtime.wake import Wake
from lateshift.settings import Settings
from lateshift.storage.settlements import Settlement

IN_HAND: Final = 0.1
"""Seconds of measured work that a worker holds: the delay that a job of a higher priority may meet."""

TURN: Final = 1.0
"""Seconds of what it gets through in all, claiming and writing included, that it holds at most. Of jobs that failed, on
a MariaDB 5 ms away, it held 1,500, which take 15 s to write: it was taken for dead, one worker after the other."""

MOST_IN_HAND: Final = 2000
"""Jobs in hand. With as many, SQLite's were drained 7 % faster than with 1,000: half of them can run while the outcomes
of the others are written. Of 3,000 there was nothing more to be had."""

GROWTH: Final = 4
"""How many times as many jobs it may hold from one measure to the next. By twos it took eight turns to get to 2,000
short jobs; each is a commit, 6 ms on PostgreSQL, and a drain of 50,000 took 4 % longer."""


def slots_of(settings: Settings) -> dict[ExecutorKind, int]:
    """How many jobs of each kind a worker process runs at once."""
    return {"thread": settings.threads, "loop": settings.coroutines, "process": settings.children}


class Crew:
    """The executors of one worker process, made when the first job for each comes."""

    def __init__(
        self, worker: str, settings: Settings, execution: Execution, presence: Presence, wake: Wake, report: Report
    ) -> None:
        self.slots = slots_of(settings)
        self.held: dict[ExecutorKind, int] = dict.fromkeys(self.slots, 0)
        self.jobs: set[tuple[str, int]] = set()
        self.inbox: deque[Settlement] = deque()
        self.notes: deque[Event] = deque()
        self.hand = settings.threads
        self.lease_until = math.inf
        self.lease_clock: Callable[[], float] = time.monotonic
        self._ends_at = math.inf
        self._worker = worker
        self._settings = settings
        self._execution = execution
        self._presence = presence
        self._wake = wake
        self._report = report
        self._executors: dict[ExecutorKind, Executor] = {}
        self._free_marks = deque(range(presence.slots))
        self._marks: dict[int, int] = {}
        self._begun: list[Event] = []
        self._measured_at = 0.0
        self._measured = 0
        self._starved = 0.0
        self._called = False
        self._patched = threads_are_patched()  # then no thread of ours is older

    @property
    def busy(self) -> int:
        """How many jobs it holds."""
        return sum(self.held.values())

    @property
    def unstarted(self) -> int:
        """How many of them have not begun."""
        return sum(executor.unstarted for executor in self._executors.values())

    @property
    def supplied(self) -> bool:
        """Whether it can do without the control thread for a while: there are jobs to begin, and little to write."""
        return len(self.inbox) * 2 < self.hand and self.unstarted > 0

    @property
    def used_up(self) -> bool:
        """Whether all that it holds has ended, and it could hold no more: nothing comes in before it claims again."""
        return len(self.inbox) == self.busy >= self.hand

    @property
    def overloaded(self) -> bool:
        """Whether it holds more than twice of what it has turned out to be fast enough for."""
        return self.held["thread"] > 2 * self.hand

    @property
    def held_up(self) -> list[ExecutorKind]:
        """Of which kinds it can begin no job for now."""
        return [kind for kind, executor in self._executors.items() if executor.held_up]

    @property
    def in_lease(self) -> bool:
        """Whether nobody can have taken the worker for dead. If not, it neither claims jobs nor begins them."""
        return self.lease_clock() <= self.lease_until

    def room(self) -> dict[ExecutorKind, int]:
        """How many jobs of each kind may be claimed now."""
        room = {kind: self.slots[kind] - held for kind, held in self.held.items()}
        # Fast jobs: refill when half is gone, so that claims stay large. But never leave a thread idle: with seven long
        # jobs in eight, and a hand of nine from short ones, the eighth stood still until a long one ended.
        if self.held["thread"] <= self.hand // 2:
            room["thread"] = self.hand - self.held["thread"]
        held_up = self.held_up
        return {kind: count for kind, count in room.items() if count > 0 and kind not in held_up}

    def submit(self, jobs: Sequence[Claimed]) -> None:
        """Hand claimed jobs to their executors."""
        for kind in EXECUTORS:
            chosen = [job for job in jobs if job.executor == kind]
            if chosen:
                self.held[kind] += len(chosen)
                self.jobs.update((job.id, job.lease) for job in chosen)
                try:
                    executor = self._executor(kind)
                except (OSError, ImportError, RuntimeError) as error:  # no file is left to open, or no thread to start
                    self.inbox.extend(Settlement(job, self._execution.postponed(job, error)) for job in chosen)
                else:
                    executor.submit(chosen)

    def collect(self, now: float) -> list[Settlement]:
        """The outcomes that have come in; measures by them how much to hold."""
        self._called = False
        ended = len(self.inbox)  # what comes from now on is for the next time: it may have begun after the notes
        self._begun += [self.notes.popleft() for _ in range(len(self.notes))]
        done, before = list[Settlement](), self.held["thread"]
        for _ in range(ended):
            settlement = self.inbox.popleft()
            job = settlement.job
            self.held[job.executor] -= 1
            self.jobs.discard((job.id, job.lease))
            done.append(settlement)
        self._measured += before - self.held["thread"]
        if self._measured:
            self._measure(now)
        elif not self.held["thread"]:
            self._measured_at, self._starved = now, self._slot_seconds_starved()  # nothing to do tells nothing
        return done

    def begun(self) -> list[Event]:
        """What had begun when outcomes were collected last, and has not been told since."""
        begun, self._begun = self._begun, []
        return begun

    def _measure(self, now: float) -> None:
        """How much to hold, by what came in since the last time; over some while, as jobs may end in a burst.

        Four jobs of 0.2 s that began together end within a millisecond: taken for the speed, that would be 4,000 a
        second, and this worker would hold what three others have room for. And only by the time in which there was
        something to begin: where a claim takes 20 ms, as among 20 workers on MariaDB, two threads with jobs of 10 ms
        wait for most of the time. Taken for all that they can do, they got two jobs with each claim, and ran half as
        many as they could.
        """
        starved = self._slot_seconds_starved()
        elapsed = now - self._measured_at - (starved - self._starved) / self.slots["thread"]
        if elapsed < IN_HAND / 2 and self._measured < self.hand:
            return
        able, got_through = self._measured / max(elapsed, 1e-6), self._measured / max(now - self._measured_at, 1e-6)
        wanted = min(int(able * IN_HAND), int(got_through * TURN), self.hand * GROWTH, MOST_IN_HAND)
        self.hand = max(self.slots["thread"], (self.hand + wanted) // 2 if wanted < self.hand else wanted)
        self._measured_at, self._measured, self._starved = now, 0, starved

    def _slot_seconds_starved(self) -> float:
        executor = self._executors.get("thread")
        return executor.starved if isinstance(executor, ThreadExecutor) else 0.0

    def withdraw(self, kinds: Collection[ExecutorKind] = EXECUTORS) -> list[Claimed]:
        """Take back what has not begun, to be released; of these kinds of jobs."""
        jobs = [job for kind, executor in self._executors.items() if kind in kinds for job in executor.withdraw()]
        for job in jobs:
            self.held[job.executor] -= 1
            self.jobs.discard((job.id, job.lease))
        if any(job.executor == "thread" for job in jobs):
            self.hand = self.slots["thread"]
        return jobs

    def stop_claiming(self) -> None:
        """Show the other processes of this host that this worker takes no more jobs."""
        self._presence.stop_claiming()

    def cancel(self, job_id: str, lease: int) -> None:
        """Ask a running job to stop."""
        for executor in self._executors.values():
            executor.cancel(job_id, lease)

    def renew(self, ends_at: float) -> None:
        """The process goes on at least until that monotonic time."""
        self._ends_at = ends_at
        for executor in self._executors.values():
            executor.renew(ends_at)

    def tick(self, now: float) -> float | None:
        """Let the executors look after timeouts; seconds until they want to look again."""
        waits = [wait for executor in self._executors.values() if (wait := executor.tick(now)) is not None]
        return min(waits, default=None)

    def running(self) -> list[Run]:
        """What runs now."""
        return [run for executor in self._executors.values() for run in executor.running()]

    def running_here(self) -> frozenset[str]:
        """The ids of those that run in this process itself."""
        return frozenset(run.job.id for run in self.running() if run.job.executor != "process")

    def stack(self, job_id: str) -> str | None:
        """Where a running job is at the moment; empty when it does not run here, None when it takes a moment more."""
        told = [executor.stack(job_id) for executor in self._executors.values()]
        return next((stack for stack in told if stack != ""), "")

    def stuck(self) -> list[Run]:
        """What nothing but the end of this process will stop."""
        return [run for executor in self._executors.values() for run in executor.stuck()]

    @property
    def broken(self) -> bool:
        """Whether only another process helps: something is stuck, or a thread of an executor has ended, or may."""
        return self._newly_patched or bool(self.stuck()) or any(one.broken for one in self._executors.values())

    @property
    def _newly_patched(self) -> bool:
        return threads_are_patched() and not self._patched

    def interrupt(self) -> None:
        """Interrupt everything that runs."""
        for executor in self._executors.values():
            executor.interrupt()

    def close(self) -> None:
        """End the executors' idle threads."""
        for executor in self._executors.values():
            executor.close()

    def started(self, run: Run) -> bool:
        """An executor begins a run: make it visible to the other processes of this host, and tell.

        False when the worker's lease has run out, as after a SIGSTOP: others may have the job, so it must not begin.
        Nor where it might hang.
        """
        if not self.in_lease or self._newly_patched:
            return False
        job = run.job
        mark = self._free_marks.popleft() if self._free_marks else None
        if mark is not None:
            self._marks[id(job)] = mark
            self._presence.mark(mark, job.id)
        self.notes.append(JobStarted(run.started_at, job.id, job.name, job.queue, job.attempt, self._worker))
        return True

    def finished(self, job: Claimed, outcome: Outcome) -> None:
        """An executor has an answer. Wakes the control thread when it is short of work or has much to write, once."""
        mark = self._marks.pop(id(job), None)
        if mark is not None:
            self._presence.ended(mark, job.id, job.lease)
            self._free_marks.append(mark)
        self.inbox.append(Settlement(job, outcome))
        if self._called:  # and what is in the inbox by then, it sees; half of all jobs woke it again, for 0.5 us each
            return
        if len(self.inbox) * 2 >= self.hand or not self._executors[job.executor].unstarted:
            self._called = True
            self._wake.set()

    def _executor(self, kind: ExecutorKind) -> Executor:
        if kind not in self._executors:
            self._executors[kind] = self._make(kind)
            self._executors[kind].renew(self._ends_at)
        return self._executors[kind]

    def _make(self, kind: ExecutorKind) -> Executor:
        slots, execution = self.slots[kind], self._execution
        if kind == "thread":
            return ThreadExecutor(slots, execution, self.started, self.finished)
        if kind == "loop":
            from lateshift.runtime.executors.loop import LoopExecutor

            return LoopExecutor(slots, execution, self.started, self.finished)
        from lateshift.runtime.executors.process import ProcessExecutor

        return ProcessExecutor(slots, execution, self.started, self.finished, self._report)
