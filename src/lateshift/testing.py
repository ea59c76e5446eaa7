"""Jobs in your own tests: run them in line, drain the queue, see what was enqueued, move time.

    with isolated(allowed=["shop"], clock=FrozenClock()) as app:
        order_a_book()
        assert_enqueued(SendReceipt, parameters={"order_id": 1})
        drain()

Jobs run in the calling thread, so they see its database transactions, patches and breakpoints, by the same steps as in
a worker: claim, execute, settle. What needs a worker around it is left out: timeouts are not enforced, and a job with
`isolation="process"` runs in this process. Importing this module starts nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import copy_context
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar

from lateshift import codec
from lateshift.app import Lateshift
from lateshift.clock import Clock
from lateshift.context import JobContext
from lateshift.default import get_app, set_app
from lateshift.errors import InvalidOption
from lateshift.events import Event, JobChanged, JobEnqueued, JobFinished, JobStarted, LeaseLost
from lateshift.host.fleet import host_name
from lateshift.host.job_logs import JobLogHandler
from lateshift.job import Claimed, Job, moment, to_microseconds
from lateshift.outcome import Outcome
from lateshift.runtime.execution import Execution
from lateshift.runtime.settling import settle_one
from lateshift.storage import reads, workers, writes
from lateshift.target import path_of

T = TypeVar("T")

NO_QUEUE = " (tests)"
"""What the worker of a test says it serves: no queue can have that name, so it keeps no real runner from starting."""

_numbers = itertools.count(1)
_inlined: weakref.WeakSet[Lateshift] = weakref.WeakSet()


class FrozenClock(Clock):
    """A clock that stands still until it is moved, at an aware datetime or, by default, at the moment of its making."""

    def __init__(self, at: datetime | None = None) -> None:
        if at is not None and at.utcoffset() is None:
            raise InvalidOption(f"FrozenClock({at!r}) has no time zone: give an aware datetime, as datetime.now(UTC).")
        self._now = super().now() if at is None else to_microseconds(at)
        self._began = self._now

    @property
    def at(self) -> datetime:
        """The moment at which it stands, as an aware datetime in UTC."""
        return moment(self._now)

    def move(self, seconds: float | timedelta) -> None:
        """Let that much time pass at once; back with a negative number. What became due runs at the next `drain`."""
        seconds = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        self._now += round(seconds * 1_000_000)

    def now(self) -> int:
        """Microseconds since 1970 in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that it was moved since it was made."""
        return (self._now - self._began) / 1_000_000

    def sleep(self, seconds: float) -> None:
        """Move instead of waiting."""
        self.move(seconds)


@contextlib.contextmanager
def isolated(*, clock: Clock | None = None, **settings: Any) -> Iterator[Lateshift]:
    """An empty database in a temporary folder, as the default application object until the block ends.

    Nothing is started by itself. `settings` are those of `Settings`, such as `allowed=["shop"]` and `max_retries=0`;
    what is not given is the project's own, from the environment, `.env` or `pyproject.toml`. Raises SettingsError.
    """
    with tempfile.TemporaryDirectory(prefix="lateshift-", ignore_cleanup_errors=True) as folder:
        own = {"database_url": f"sqlite:///{folder}/lateshift.db", "storage_dir": folder}
        own |= {"spawn": "never", "sqlite_durability": "normal"}
        settings |= {name: value for name, value in own.items() if settings.get(name) is None}
        app = Lateshift(clock=clock, **settings)
        before = set_app(app)
        try:
            yield app
        finally:
            set_app(before)
            app.close()


@contextlib.contextmanager
def inline(app: Lateshift | None = None) -> Iterator[Lateshift]:
    """Inside the block a job runs at once when it is enqueued, or retried by hand; then the call returns its id.

    It runs as a worker would run it: its outcome is stored, what it raises is the job's `error`. A job that is not due,
    that waits for its next attempt or whose queue is paused stays for `drain`, and so does one that was enqueued
    through `connection=`, which is not there before you commit.
    """
    app = app or get_app()
    if app in _inlined:  # a second subscriber would run the next attempt of what failed without a delay
        yield app
        return
    settings = app.settings
    _inlined.add(app)
    app.settings = replace(settings, spawn="never")
    stop = app.events.subscribe(_Inline(app))
    try:
        yield app
    finally:
        stop()
        app.settings = settings
        _inlined.discard(app)


def drain(app: Lateshift | None = None, queue: str | None = None, limit: int | None = None) -> list[Job]:
    """Run all jobs that are due, in this thread, and those that they enqueue; returns each as it stood after its run.

    The highest priority comes first, then what has been due the longest. A job that fails waits for its next attempt:
    move the clock and drain again. Paused queues stay. With `queue` only its jobs run, with `limit` at most so many.
    """
    app = app or get_app()
    done: list[Job] = []
    with _Attempts(app) as attempts:
        while limit is None or len(done) < limit:
            job = attempts.claim(queue)
            if job is None:
                break
            attempts.run(job)
            done.append(app.get_job(job.id))
    return done


def enqueued_jobs(
    job: object | None = None,
    method: str = "handle",
    parameters: Mapping[str, Any] | None = None,
    *,
    queue: str | None = None,
    app: Lateshift | None = None,
) -> list[Job]:
    """The jobs that were enqueued, oldest first, whatever became of them: all, or those that fit what is given.

    `job` and `method` are as for `run_background_job`; `parameters` are all of the job's, not some.
    """
    names = None if job is None else _names(job, method)
    wanted = None if parameters is None else codec.decode(codec.to_json(dict(parameters)).decode())
    return [
        found
        for found in reversed((app or get_app()).list_jobs(queue=queue, limit=1_000_000))
        if (names is None or found.name in names) and (wanted is None or found.parameters == wanted)
    ]


def assert_enqueued(
    job: object,
    method: str = "handle",
    parameters: Mapping[str, Any] | None = None,
    *,
    queue: str | None = None,
    times: int | None = 1,
    app: Lateshift | None = None,
) -> list[Job]:
    """Fail unless the job was enqueued so many times (None: at least once); returns the jobs, oldest first.

    The arguments are those of `enqueued_jobs`; the message of the AssertionError shows what was enqueued instead.
    """
    __tracebackhide__ = True
    found = enqueued_jobs(job, method, parameters, queue=queue, app=app)
    if len(found) == times or (times is None and found):
        return found
    wanted = _shown(_names(job, method)[0], queue, parameters)
    others = [_shown(other.name, other.queue, other.parameters) for other in enqueued_jobs(app=app)]
    lines = "".join(f"\n    {line}" for line in others[-20:]) or " nothing"
    raise AssertionError(
        f"Expected {'at least 1' if times is None else times} enqueued, found {len(found)}: {wanted}\n"
        f"Enqueued were{' (the last 20)' if len(others) > 20 else ''}:{lines}"
    )


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


class _Attempts:
    """The worker of a test: has a row in the database while it lasts, so that no other takes its jobs for abandoned."""

    def __init__(self, app: Lateshift) -> None:
        self._app, self._db = app, app.database
        self._worker = f"{host_name()}-{os.getpid()}-test-{next(_numbers)}"
        self._execution = Execution(app.settings, self._db.reckon, self._report)
        self._progress: list[tuple[Claimed, float | None, str | None]] = []

    def __enter__(self) -> Self:
        version = sys.modules["lateshift"].__version__
        folder = str(self._app.settings.storage_dir)
        row = workers.NewWorker(self._worker, "worker", host_name(), os.getpid(), folder, (NO_QUEUE,), version)
        workers.register_worker(self._db, row, self._db.now())
        _job_logs.begin(self._app)
        return self

    def __exit__(self, *_: object) -> None:
        _job_logs.end()
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
        outcome = _outside_of_loops(lambda: self._execute(job))
        writes.save_progress(self._db, self._progress)
        self._progress.clear()
        done, refused = settle_one(self._db, writes.Settlement(job, outcome))
        outcome = done.outcome
        told: Event = (
            LeaseLost(self._db.now(), job.id, job.name, job.queue, job.attempt, self._worker)
            if refused
            else JobFinished(
                outcome.finished_at, job.id, job.name, job.queue, job.attempt, self._worker, outcome, job.run_at
            )
        )
        self._app.events.emit([told])
        if outcome.error is not None and outcome.error.type == "KeyboardInterrupt":
            raise KeyboardInterrupt

    def _execute(self, job: Claimed) -> Outcome:
        run = self._execution.begin(job)
        started = JobStarted(run.started_at, job.id, job.name, job.queue, job.attempt, self._worker)
        stop = self._app.events.subscribe(lambda batch: _note_cancel(run.context, batch))
        try:
            self._app.events.emit([started])
            return self._execution.execute(run, lambda _: None)
        finally:
            stop()

    def _report(self, job: Claimed, fraction: float | None, message: str | None) -> None:
        self._progress.append((job, fraction, message))  # the job's own transaction may have locked the database


class _Inline:
    """A subscriber that runs what was just enqueued, in the order in which a worker would claim it."""

    def __init__(self, app: Lateshift) -> None:
        self._app = app

    def __call__(self, batch: Sequence[Event]) -> None:
        enqueued = [event for event in batch if isinstance(event, JobEnqueued)]
        ids = [event.job_id for event in sorted(enqueued, key=lambda event: (-event.priority, event.run_at))]
        ids += [event.job_id for event in batch if isinstance(event, JobChanged) and event.action == "retried"]
        for job_id in ids:
            if reads.status(self._app.database, job_id) is None:
                continue  # in an open transaction of its `connection`, and a write of ours would wait for its end
            with _Attempts(self._app) as attempts:
                job = attempts.claim_one(job_id)
                if job is not None:
                    attempts.run(job)


def _note_cancel(context: JobContext, batch: Sequence[Event]) -> None:
    """Tell a job that runs in line of its cancel, as a worker's duties do."""
    for event in batch:
        if isinstance(event, JobChanged) and event.action == "cancel_requested" and event.job_id == context.id:
            context.cancel_requested = True


def _outside_of_loops(work: Callable[[], T]) -> T:
    """Run `work` here; in a thread of its own if this one runs an event loop, where a coroutine job could have none."""
    if not _in_loop():
        return work()
    answers: list[T] = []
    context = copy_context()
    thread = threading.Thread(target=lambda: answers.append(context.run(work)), name="lateshift-test")
    thread.start()
    thread.join()
    return answers[0]


def _in_loop() -> bool:
    asyncio = sys.modules.get("asyncio")  # where nobody has imported it, no loop runs, and it costs 58 ms
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _names(job: object, method: str) -> tuple[str, ...]:
    """The callable paths that a job may have been stored under; a dotted name may be that of a class."""
    path = path_of(job, method)
    return (path, f"{path}.{method}") if isinstance(job, str) and method == "handle" else (path,)


def _shown(name: str, queue: str | None, parameters: Mapping[str, Any] | None) -> str:
    where = "" if queue is None else f" in queue {queue!r}"
    return f"{name}{where}" + ("" if parameters is None else f" with {dict(parameters)!r}")
