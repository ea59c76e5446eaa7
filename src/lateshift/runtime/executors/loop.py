"""Jobs that are coroutines: hundreds at once on one event loop, in one thread.

Stopping is cancellation. A coroutine that blocks the loop, or that swallows its cancellation, is `stuck`. Nothing that
a job does ends the loop: it is run again. In a child that a job forked off, it ends with its next turn.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from lateshift.job import Claimed
from lateshift.outcome import Outcome, returned
from lateshift.runtime import stacks
from lateshift.runtime.execution import Execution
from lateshift.runtime.executors import Finished, Started
from lateshift.runtime.run import Interruption, Run

STUCK_AFTER: Final = 5.0
"""Seconds that a coroutine gets to end after it was cancelled, and that the loop gets to answer."""

HELD_UP: Final = 1.0
"""Seconds that the loop gets to begin what it was given: others may have room for it."""


class LoopExecutor:
    """Runs up to `slots` coroutines on an event loop in a thread of its own."""

    def __init__(self, slots: int, execution: Execution, started: Started, finished: Finished) -> None:
        self.slots = slots
        self._execution = execution
        self._started = started
        self._finished = finished
        self._todo: deque[Claimed] = deque()
        self._active: dict[Claimed, _Active] = {}
        self._closed = False
        self._copied = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="lateshift-loop", daemon=True)
        self._pinged_at: float | None = None
        self._asked_at: deque[float] = deque()  # a time for each submission whose jobs have not all begun
        _executors.add(self)
        try:
            self._thread.start()
        except RuntimeError:
            self._loop.close()
            raise

    @property
    def unstarted(self) -> int:
        """None that should go to others soon: the loop begins all at once, unless it is held up."""
        return 0

    @property
    def held_up(self) -> bool:
        """Whether the loop did not take its turn when there was something to begin: a coroutine blocks it."""
        asked_at = tuple(self._asked_at)
        return bool(asked_at) and time.monotonic() - asked_at[0] > HELD_UP

    @property
    def broken(self) -> bool:
        """Whether its thread has ended."""
        return not self._thread.is_alive()

    def submit(self, jobs: Sequence[Claimed]) -> None:
        """Take jobs; they start in this order."""
        self._todo.extend(jobs)
        self._asked_at.append(time.monotonic())
        self._loop.call_soon_threadsafe(self._start)

    def withdraw(self) -> list[Claimed]:
        """Give back what stands behind a coroutine that blocks the loop."""
        jobs: list[Claimed] = []
        for active in list(self._active.values()):
            if active.take():
                del self._active[active.run.job]
                jobs.append(active.run.job)
        while self._todo:
            with suppress(IndexError):  # the loop was faster
                jobs.append(self._todo.popleft())
        return jobs

    def cancel(self, job_id: str, lease: int) -> None:
        """Tell the job and cancel its coroutine."""
        self._loop.call_soon_threadsafe(self._interrupt_one, job_id, lease)

    def renew(self, ends_at: float) -> None:
        """Nothing: what runs here ends with the process."""

    def tick(self, now: float) -> float | None:
        """Ask the loop for a sign of life while it has work; timeouts are its own timers, and fire only if it lives."""
        if not self._active:
            self._pinged_at = None
            return None
        if self._pinged_at is None:
            self._pinged_at = now
            self._loop.call_soon_threadsafe(self._answer)
        elif now - self._pinged_at > STUCK_AFTER:
            for active in list(self._active.values()):
                active.give_up(now)
        return 1.0

    def stuck(self) -> list[Run]:
        """Runs out of time, or to be stopped, that did not end, or could not since the loop does not answer."""
        now = time.monotonic()
        return [active.run for active in list(self._active.values()) if active.stuck(now)]

    def interrupt(self) -> None:
        """Cancel everything."""
        self._loop.call_soon_threadsafe(self._interrupt_all)

    def running(self) -> list[Run]:
        """What runs now."""
        return [active.run for active in list(self._active.values())]

    def stack(self, job_id: str) -> str | None:
        """Where a job that runs is at the moment: what it waits for, or where it holds the loop up."""
        for active in list(self._active.values()):
            if active.run.job.id == job_id and active.task is not None:
                coroutine = active.task.get_coro()
                if getattr(coroutine, "cr_running", False):
                    return stacks.of_thread(self._thread.ident)
                return stacks.of_coroutine(coroutine)
        return ""

    def close(self) -> None:
        """End the loop."""
        self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)

    def leave(self) -> None:
        """This process was forked off the worker's: end it when the loop takes its turn, before it runs jobs twice."""
        self._copied = True
        self._loop.stop()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._closed:
            how = "stop()"
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:  # of a task that a job has made: asyncio lets it through
                how = repr(error)
            if self._copied:
                os._exit(0)
            if not self._closed:
                logging.getLogger("lateshift").warning("A job ended the worker's event loop by %s; it goes on.", how)
        self._loop.close()

    def _answer(self) -> None:
        self._pinged_at = None

    def _start(self) -> None:
        while self._todo:
            try:
                job = self._todo.popleft()
            except IndexError:  # withdrawn
                break
            active = _Active(self._execution.begin(job))
            self._active[job] = active
            active.task = self._loop.create_task(self._run(active))
        self._loop.call_soon(self._asked_at.popleft)  # after the first steps of all these

    async def _run(self, active: _Active) -> None:
        run = active.run
        if not active.take():
            return
        run.context.loop_thread = threading.get_ident()
        outcome: Outcome | None = None
        cause: BaseException | None = None
        try:
            if run.interruption is None and self._started(run):
                outcome = await self._execution.execute_async(run, lambda _: self._arm(active))
            elif run.interruption is None:
                outcome = returned(run.started_at, run.started_at)
        except BaseException as error:  # a fault of ours, or cancelled a second time while it was concluding
            cause = error
        if active.timer is not None:
            active.timer.cancel()
        del self._active[run.job]
        self._finished(run.job, outcome or self._execution.interrupted(run, cause))

    def _arm(self, active: _Active) -> None:
        if active.run.timeout is not None:
            active.deadline = time.monotonic() + active.run.timeout
            active.timer = self._loop.call_later(active.run.timeout, self._interrupt, active, "timeout")

    def _interrupt(self, active: _Active, why: Interruption) -> None:
        if active.task is None or active.interrupted_at is not None or (why == "cancel" and active.cancelled):
            return
        if why == "cancel":  # it may tidy up for as long as it likes, or take no notice: that is no fault
            active.cancelled = True
        else:
            active.interrupted_at = time.monotonic()
        active.run.interruption = active.run.interruption or why
        if active.begun:  # else it sees for itself; asyncio would not even begin what is cancelled before
            active.task.cancel("cancelled on request" if why == "cancel" else None)

    def _interrupt_one(self, job_id: str, lease: int) -> None:
        for active in list(self._active.values()):
            if active.run.job.id == job_id and active.run.job.lease == lease:
                active.run.context.cancel_requested = True
                self._interrupt(active, "cancel")

    def _interrupt_all(self) -> None:
        for active in list(self._active.values()):
            self._interrupt(active, "stop")


class _Active:
    """A coroutine on the loop."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.deadline: float | None = None
        self.interrupted_at: float | None = None
        self.cancelled = False
        self.given_up = False
        self._taken = threading.Lock()

    @property
    def begun(self) -> bool:
        return self._taken.locked()

    def take(self) -> bool:
        """True once: for its first step, or for who gives it back before."""
        return self._taken.acquire(blocking=False)

    def give_up(self, now: float) -> None:
        """The loop does not answer: its timer will not end what is over time, only the end of the process will."""
        if self.deadline is not None and now > self.deadline + STUCK_AFTER:
            self.run.interruption = self.run.interruption or "timeout"
            self.given_up = True

    def stuck(self, now: float) -> bool:
        return self.given_up or (self.interrupted_at is not None and now - self.interrupted_at > STUCK_AFTER)


_executors: Final[weakref.WeakSet[LoopExecutor]] = weakref.WeakSet()


def _leave_all() -> None:
    for executor in list(_executors):
        executor.leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)
