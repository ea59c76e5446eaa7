"""Attempts that run in the calling thread, as `lateshift.testing` has it, by the same steps as in a worker."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar, copy_context
from typing import Final, Self

from lateshift.app import Lateshift
from lateshift.context import JobContext
from lateshift.errors import WaitTimeout
from lateshift.events import Event, JobChanged, JobEnqueued, JobStarted
from lateshift.host.fleet import host_name
from lateshift.host.job_logs import JobLogHandler
from lateshift.host.registration import worker_of_this_process
from lateshift.job import WAITING, Claimed, to_microseconds
from lateshift.loops import outside_of_loops
from lateshift.outcome import Outcome
from lateshift.runtime.execution import Execution
from lateshift.runtime.settling import settle_one, told
from lateshift.storage import reads, workers, writes
from lateshift.storage.settlements import Settlement
from lateshift.testing_loop import job_loop

DEEPEST: Final = 20
"""How deep jobs in line may enqueue one another for each to run at once."""

_numbers = itertools.count(1)


class _JobLogs:
    """Takes what jobs log while any run: they may overlap, so the first adds the handler and the last removes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running, self._level = 0, logging.NOTSET
        self._handler: JobLogHandler | None = None

    def begin(self, app: Lateshift) -> None:
        """An attempt begins."""
        root = logging.getLogger()
        with self._lock:
            self._running += 1
            if self._running == 1 and not any(isinstance(handler, JobLogHandler) for handler in root.handlers):
                self._handler, self._level = JobLogHandler(app.settings), root.level
                root.addHandler(self._handler)
                root.setLevel(min(self._level, self._handler.level))

    def end(self) -> None:
        """An attempt has ended."""
        root = logging.getLogger()
        with self._lock:
            self._running -= 1
            if self._running == 0 and self._handler is not None:
                root.removeHandler(self._handler)
                root.setLevel(self._level)
                self._handler.close()
                self._handler = None


_job_logs = _JobLogs()


class Attempts:
    """The worker of a test: has a row in the database while it lasts, so that no other takes its jobs for abandoned."""

    def __init__(self, app: Lateshift) -> None:
        self._app, self._db = app, app.database
        self._worker = f"{host_name()}-{os.getpid()}-test-{next(_numbers)}"
        self._loop = job_loop(app)
        self._execution = Execution(app.settings, self._db.reckon, self._report)
        self._execution.run_awaitable = self._loop.run
        self._progress: list[tuple[Claimed, float | None, str | None]] = []

    def __enter__(self) -> Self:
        row = worker_of_this_process(self._worker, self._app.settings.storage_dir, (workers.TESTS,))
        workers.register_worker(self._db, row, self._db.now())
        _job_logs.begin(self._app)
        self._loop.__enter__()
        _under_way.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        _under_way.discard(self)
        self._loop.__exit__()
        _job_logs.end()
        self._execution.close()
        workers.remove_worker(self._db, self._worker)

    def claim(self, queue: str | None) -> Claimed | None:
        """The next job that is due."""
        return self._db.transact(lambda: self._claim_next(queue))

    def _claim_next(self, queue: str | None) -> Claimed | None:
        now = self._db.now()
        lanes = [
            lane
            for lane in reads.lanes(self._db)
            if lane.run_at <= now and not lane.paused and queue in (None, lane.queue)
        ]
        first = min(lanes, key=lambda lane: (-lane.priority, lane.run_at), default=None)
        claimed = [] if first is None else writes.claim(self._db, self._worker, now, [first], {first.executor: 1})
        return claimed[0] if claimed else None

    def claim_one(self, job_id: str) -> Claimed | None:
        """One job, if it is there, due, and its queue is not paused."""
        now = self._db.now()
        job = reads.get(self._db, job_id)
        if job is None or to_microseconds(job.run_at) > now or reads.queue_paused(self._db, job.queue):
            return None
        return writes.claim_one(self._db, self._worker, now, job_id)

    def run(self, job: Claimed) -> None:
        """Run an attempt and store its outcome. A Ctrl-C that fell into it goes on when that is done."""
        context = copy_context()  # as in a worker: what a job sets there, no other sees
        context.run(_around.set, (*_around.get(), self))
        outcome = outside_of_loops(lambda: context.run(self._execute, job), "lateshift-test")
        writes.save_progress(self._db, self._progress)
        self._progress.clear()
        done, refused = settle_one(self._db, Settlement(job, outcome))
        self._app.events.emit([told(done, self._worker, self._db.now(), refused=refused)])
        error = done.outcome.error
        if error is not None and error.type == "KeyboardInterrupt":
            raise KeyboardInterrupt

    def _execute(self, job: Claimed) -> Outcome:
        run = self._execution.begin(job)
        if job.executor == "loop":
            run.context.loop_thread = threading.get_ident()
        started = JobStarted(run.started_at, job.id, job.name, job.queue, job.attempt, self._worker)
        stop = self._app.events.subscribe(lambda batch: _note_cancel(run.context, batch))
        try:
            self._app.events.emit([started])
            return self._execution.execute(run, lambda _: None)
        finally:
            stop()

    def _report(self, job: Claimed, fraction: float | None, message: str | None) -> None:
        self._progress.append((job, fraction, message))  # the job's own transaction may have locked the database


_under_way: Final[set[Attempts]] = set()
_around: Final[ContextVar[tuple[Attempts, ...]]] = ContextVar("lateshift_attempts", default=())
"""Those that run the code which asks."""


def refuse_endless_wait(job_id: str, status: str) -> None:
    """Raise WaitTimeout where somebody waits for a job that nothing of a test is about to run."""
    if status in WAITING and _under_way.issubset(_around.get()):
        raise WaitTimeout(
            f"Job {job_id} is {status}, and nothing in this test runs it: call `drain()` before you wait, or enqueue "
            "under `inline()` (the fixture `lateshift_inline`).",
            job_id,
            status,
        )


class Inline:
    """A subscriber that runs what was just enqueued, in the order in which a worker would claim it.

    What is enqueued too deep within jobs is left to the outermost call: Python's stack would end at some 75 of them.
    """

    def __init__(self, app: Lateshift) -> None:
        self._app = app

    def __call__(self, batch: Sequence[Event]) -> None:
        """Run what a batch of events tells of."""
        enqueued = [event for event in batch if isinstance(event, JobEnqueued)]
        ids = [event.job_id for event in sorted(enqueued, key=lambda event: (-event.priority, event.run_at))]
        ids += [event.job_id for event in batch if isinstance(event, JobChanged) and event.action == "retried"]
        depth, left = _nesting.get((0, deque()))
        if depth == DEEPEST:
            left.extend((self, job_id) for job_id in ids)
            return
        token = _nesting.set((depth + 1, left))
        try:
            for job_id in ids:
                self.run(job_id)
            while depth == 0 and left:
                inline, job_id = left.popleft()
                inline.run(job_id)
        finally:
            _nesting.reset(token)

    def run(self, job_id: str) -> None:
        """Run a job, if it is there and due."""
        if reads.status(self._app.database, job_id) is None:
            return  # in an open transaction of its `connection`, and a write of ours would wait for its end
        with Attempts(self._app) as attempts:
            job = attempts.claim_one(job_id)
            if job is not None:
                attempts.run(job)


_nesting: ContextVar[tuple[int, deque[tuple[Inline, str]]]] = ContextVar("lateshift_inline")
"""How many calls of `Inline` are under way within one another, and the jobs that are left to the outermost."""


def _note_cancel(context: JobContext, batch: Sequence[Event]) -> None:
    """Tell a job that runs in line of its cancel, as a worker's duties do."""
    for event in batch:
        if isinstance(event, JobChanged) and event.action == "cancel_requested" and event.job_id == context.job.id:
            context.cancel_requested = True
