"""Jobs in threads: as many as there are slots, started when they are needed.

A thread that has nothing left takes the next job without a lock or a switch, so thousands of short jobs a second run in
one thread, and eight long ones in eight. Stopping code in a thread is asking: an exception is raised in it at its next
bytecode (PyThreadState_SetAsyncExc), which code inside a C call sees only afterwards. Python drops it where that
bytecode is one of a destructor or of a callback of a weak reference, which may run at any time; it is raised again
then. It is not raised where it would leave a lock or an open file behind: see `stacks.is_unready`. What does not end
by that is `stuck`, and its worker process is replaced.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import cache
from typing import Final

from lateshift import django
from lateshift.job import Claimed
from lateshift.outcome import JobTimeout, Outcome, returned
from lateshift.runtime import stacks
from lateshift.runtime.execution import Execution
from lateshift.runtime.executors import Finished, Started
from lateshift.runtime.run import Interruption, Run

STUCK_AFTER: Final = 5.0
"""Seconds that code gets to end after an exception was raised in its thread."""

FAST: Final = 0.001
"""Seconds: below this, waking a second thread for a job costs more than waiting for the first."""

STANDING: Final = 0.005
"""Seconds without an answer after which a second thread is woken all the same: the first may have met a long job. The
GIL goes round as slowly as that, so a thread that stood still for less may only have been waiting for it."""

SOON: Final = 0.005
"""Seconds until it is tried again to raise one where a thread was not ready for it."""

AGAIN: Final = 0.1
"""Seconds after which is looked whether an exception that was raised in a thread was dropped there."""


class ThreadExecutor:
    """Runs jobs in up to `slots` threads."""

    def __init__(self, slots: int, execution: Execution, started: Started, finished: Finished) -> None:
        self.slots = slots
        self._execution = execution
        self._started = started
        self._finished = finished
        self._todo: deque[Claimed] = deque()
        self._condition = threading.Condition()
        self._threads: list[_Slot] = []
        self._idle = 0
        self._hungry = True
        self._starved = 0.0
        self._starved_at = time.monotonic()
        self._answered_before = 0
        self._moved_at = 0.0
        self._closed = False
        self._mean = 1.0
        _watch_for_dropped()

    @property
    def unstarted(self) -> int:
        """How many jobs wait for a thread."""
        return len(self._todo)

    @property
    def starved(self) -> float:
        """Seconds in which slots had no job because there was none to begin, added up over the slots."""
        with self._condition:
            self._count_starved()
            return self._starved

    @property
    def held_up(self) -> bool:
        """Never: what has to wait for long is not begun, and the worker sees that by itself."""
        return False

    @property
    def broken(self) -> bool:
        """Whether a thread has ended, as by what a job has made of Python's locks."""
        return not all(slot.thread.is_alive() for slot in self._threads)

    def submit(self, jobs: Sequence[Claimed]) -> None:
        """Take jobs; they start in this order."""
        self._answered_before = -1  # so that the next look does not take them for having stood since the last one
        self._todo.extend(jobs)
        self._wake(1 if self._mean < FAST else len(jobs))

    def withdraw(self) -> list[Claimed]:
        """Give back what has not been started, and forget it."""
        jobs: list[Claimed] = []
        try:
            while True:
                jobs.append(self._todo.popleft())
        except IndexError:
            return jobs

    def cancel(self, job_id: str, lease: int) -> None:
        """Tell the job; its code has to look at `current_job().cancelled`."""
        for run in self.running():
            if run.job.id == job_id and run.job.lease == lease:
                run.context.cancel_requested = True

    def renew(self, ends_at: float) -> None:
        """Nothing: what runs here ends with the process."""

    def tick(self, now: float) -> float | None:
        """Raise in threads whose job ran out of time; wake one more thread where jobs wait and nothing moves."""
        waits = [wait for slot in self._threads if (wait := slot.look(now)) is not None]
        answered = sum(slot.answered for slot in self._threads)
        if answered != self._answered_before or not self._todo:
            self._answered_before, self._moved_at = answered, now
        elif now - self._moved_at >= STANDING:
            self._moved_at = now
            self._wake(1)
        if self._todo:
            waits.append(STANDING)
        return min(waits, default=None)

    def stuck(self) -> list[Run]:
        """Runs that went on for `STUCK_AFTER` seconds after they were interrupted."""
        return [slot.run for slot in self._threads if slot.stuck and slot.run is not None]

    def interrupt(self) -> None:
        """Raise in every thread that runs a job."""
        for slot in self._threads:
            slot.interrupt("stop")

    def running(self) -> list[Run]:
        """What runs now."""
        return [run for slot in self._threads if (run := slot.run) is not None]

    def stack(self, job_id: str) -> str | None:
        """Where a job that runs is at the moment."""
        found = [slot for slot in self._threads if (run := slot.run) is not None and run.job.id == job_id]
        return stacks.of_thread(found[0].thread_id) if found else ""

    def close(self) -> None:
        """Let the threads end."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _wake(self, count: int) -> None:
        with self._condition:
            self._count_starved()
            self._hungry = not self._todo  # a thread that was awake may have taken them all by now
            count = min(count, len(self._todo))
            fresh = min(count - self._idle, self.slots - len(self._threads))
            self._condition.notify(count)
        for _ in range(fresh):
            slot = _Slot(f"lateshift-{len(self._threads)}", self._serve)
            try:
                slot.thread.start()
            except RuntimeError:  # there is none to be had: what waits is for those there are, or goes back
                return
            self._threads.append(slot)

    def _serve(self, slot: _Slot) -> None:
        slot.thread_id = threading.get_ident()
        _here.slot = slot
        while True:
            try:
                job = self._todo.popleft()
            except IndexError:
                if not self._wait():
                    return
                continue
            self._run(slot, job)

    def _wait(self) -> bool:
        with self._condition:
            while not self._todo and not self._closed:
                self._count_starved()
                self._hungry = True
                self._idle += 1
                try:
                    self._condition.wait()
                finally:
                    self._idle -= 1
            return not self._closed

    def _count_starved(self) -> None:
        """Up to now; under the lock. Slots without a thread count as well, those that were not woken do not."""
        now = time.monotonic()
        if self._hungry:
            self._starved += (self.slots - len(self._threads) + self._idle) * (now - self._starved_at)
        self._starved_at = now

    def _run(self, slot: _Slot, job: Claimed) -> None:
        run = self._execution.begin(job)
        outcome: Outcome | None = None
        cause: BaseException | None = None
        try:
            slot.run = run
            if self._started(run):
                outcome = copy_context().run(self._execution.execute, run, slot.arm)
                django.close_old_connections()
            else:
                outcome = returned(run.started_at, run.started_at)
        except BaseException as error:  # JobTimeout, raised between two of our own lines: it counts as interrupted
            cause = error
        if outcome is None:
            try:  # not `suppress`: one may be raised as that is called, and nobody would catch it
                outcome = self._execution.interrupted_late(run, cause)
            except JobTimeout:  # of a run that was not interrupted yet
                pass
        while True:
            try:
                slot.end()
                break
            except JobTimeout:  # it came while we were closing the door; close it again
                continue
        run.roll_back()  # where the interruption came between two lines of doing so
        outcome = outcome or self._execution.interrupted(run, cause)
        self._mean += 0.1 * ((outcome.finished_at - outcome.started_at) / 1_000_000 - self._mean)
        slot.answered += 1
        self._finished(job, outcome)


class _Slot:
    """One thread, what it runs, and the door that an exception may be thrown through while it does."""

    def __init__(self, name: str, serve: Callable[[_Slot], None]) -> None:
        self.thread = threading.Thread(target=serve, args=(self,), name=name, daemon=True)
        self.thread_id = 0
        self.answered = 0
        self.run: Run | None = None
        self.stuck = False
        self.unraised = False
        self._door = threading.Lock()
        self._deadline: float | None = None
        self._raised_at: float | None = None

    def arm(self, run: Run) -> None:
        if run.timeout is not None:
            self._deadline = time.monotonic() + run.timeout
        django.close_old_connections()  # after the import that may bring Django along, and before the job's first query

    def end(self) -> None:
        with self._door:
            self.run = None
            self.stuck = self.unraised = False
            self._deadline = None
            if self._raised_at is not None:
                self._raised_at = None
                _raise_in(self.thread_id, None)

    def look(self, now: float) -> float | None:
        """Interrupt what is over time; the seconds until there is something to look at again."""
        if self._raised_at is not None:
            self.stuck = now - self._raised_at >= STUCK_AFTER
            if self.unraised:
                self._raise_again()
            return None if self.stuck else self._pause()
        deadline = self._deadline
        if deadline is None:
            return None
        if now < deadline:
            return deadline - now
        self.interrupt("timeout")
        return self._pause()

    def _pause(self) -> float:
        return SOON if self.unraised else AGAIN

    def interrupt(self, why: Interruption) -> None:
        with self._door:
            if self.run is not None and self._raised_at is None:
                self.run.interruption = why
                self._raised_at = time.monotonic()
                self._raise()

    def _raise_again(self) -> None:
        with self._door:
            if self.run is not None:
                self._raise()

    def _raise(self) -> None:
        self.unraised = stacks.is_unready(self.thread_id)
        if not self.unraised:
            _raise_in(self.thread_id, JobTimeout)


class _Here(threading.local):
    slot: _Slot | None = None


_here: Final = _Here()
"""The slot whose thread this is."""


@cache
def _watch_for_dropped() -> None:
    """Have Python tell of the exceptions that it drops, and keep ours from its report. Once for a process."""
    report = sys.unraisablehook

    def look(dropped: sys.UnraisableHookArgs) -> None:
        if _here.slot is not None and dropped.exc_type is JobTimeout:
            _here.slot.unraised = True  # raised from here, it would be dropped as well
        else:
            report(dropped)

    sys.unraisablehook = look


def _raise_in(thread_id: int, exception: type[BaseException] | None) -> None:
    """Raise in a thread at its next bytecode; None takes back what was not raised yet."""
    value = ctypes.py_object(exception) if exception is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), value)
