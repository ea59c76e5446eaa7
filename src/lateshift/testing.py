"""Jobs in your own tests: run them in line, drain the queue, see what was enqueued, move time.

    with isolated(allowed=["shop"], clock=FrozenClock()) as app:
        order_a_book()
        assert_enqueued(SendReceipt, parameters={"order_id": 1})
        drain()

Jobs run in the calling thread, so they see its database transactions, patches and breakpoints, by the same steps as in
a worker: claim, execute, settle. What needs a worker around it is left out: timeouts and `max_memory` are not enforced,
and a job with `isolation="process"` runs in this process. Importing this module starts nothing.
"""

from __future__ import annotations

import contextlib
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from lateshift import codec
from lateshift.allowlist import AllowList
from lateshift.app import Lateshift
from lateshift.clock import Clock
from lateshift.default import get_app, standing_in
from lateshift.errors import InvalidJob, InvalidOption, InvalidParameters
from lateshift.job import Job, moment, to_microseconds
from lateshift.options import check_limit, check_queue
from lateshift.settings import Settings
from lateshift.storage import migrations, open_database
from lateshift.target import path_of, resolve
from lateshift.testing_attempts import Attempts, Inline, refuse_endless_wait
from lateshift.testing_loop import job_loop
from lateshift.texts import shown

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
        try:
            step = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
            now = self._now + round(step * 1_000_000)
            if to_microseconds(moment(now)) != now:
                raise ValueError("it is beyond the calendar")
        except (TypeError, ValueError, OverflowError):  # no number, NaN, infinity
            raise InvalidOption(
                f"FrozenClock.move({shown(seconds)}): give seconds as a number or a timedelta, within the calendar."
            ) from None
        self._now = now

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
    what is not given is the project's own, from `configure`, also when that is called in the block, the environment,
    `.env` or `pyproject.toml`. With a `database_url` the jobs are in that database instead, and stay there; its tables
    are made if there are none. Raises SettingsError, StorageError, InvalidOption.
    """
    with tempfile.TemporaryDirectory(prefix="lateshift-", ignore_cleanup_errors=True) as folder:
        elsewhere = settings.get("database_url") is not None
        if "mode=memory" in str(settings.get("database_url")):  # which would be the name of a file
            raise InvalidOption(
                f"{settings['database_url']} is in the memory of Django's tests, where nobody else can come: give them "
                "a file, by DATABASES['default']['TEST'] = {'NAME': BASE_DIR / 'test.sqlite3'}."
            )
        own = {"database_url": f"sqlite:///{folder}/lateshift.db", "storage_dir": folder}
        own |= {"spawn": "never", "sqlite_durability": "normal"}
        settings |= {name: value for name, value in own.items() if settings.get(name) is None}
        with standing_in(clock, settings) as app, job_loop(app):
            if elsewhere:
                _make_tables(app.settings)
            else:  # nobody else knows of it
                app.on_long_wait = refuse_endless_wait
            yield app


@contextlib.contextmanager
def inline(app: Lateshift | None = None) -> Iterator[Lateshift]:
    """Inside the block a job runs at once when it is enqueued, or retried by hand; then the call returns its id.

    It runs as a worker would run it: its outcome is stored, what it raises is the job's `error`. Where jobs enqueue one
    another more than 20 deep, the rest runs when the outermost call has run its own. A job that is not due,
    that waits for its next attempt or whose queue is paused stays for `drain`, and so does one that was enqueued
    through `connection=`, which is not there before you commit.
    """
    app = app or get_app()
    if app in _inlined:  # a second subscriber would run the next attempt of what failed without a delay
        yield app
        return
    spawn = app.settings.spawn
    _inlined.add(app)
    app.settings = replace(app.settings, spawn="never")
    stop = app.events.subscribe(Inline(app))
    try:
        with job_loop(app):
            yield app
    finally:
        stop()
        app.settings = replace(app.settings, spawn=spawn)
        _inlined.discard(app)


def drain(queue: str | None = None, limit: int | None = None, *, app: Lateshift | None = None) -> list[Job]:
    """Run all jobs that are due, in this thread, and those that they enqueue; returns each as it stood after its run.

    The highest priority comes first, then what has been due the longest. A job that fails waits for its next attempt:
    move the clock and drain again. Paused queues stay. With `queue` only its jobs run, with `limit` at most so many.
    Raises InvalidOption for what is no queue or limit.
    """
    app = app or get_app()
    limit = None if limit is None else check_limit(limit)
    queue = None if queue is None else check_queue(queue)
    done: list[Job] = []
    with Attempts(app) as attempts:
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

    `job` and `method` are as for `run_background_job`; `parameters` are all of the job's, not some. Raises
    InvalidParameters for what no job can have been given.
    """
    names = None if job is None else _names(job, method)
    wanted = None if parameters is None else _as_stored(parameters)
    app = app or get_app()
    return [
        found
        for found in reversed(app.list_jobs(queue=queue, limit=1_000_000))
        if (names is None or found.name in names) and (wanted is None or _has(found, wanted, app))
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


def _make_tables(settings: Settings) -> None:
    """Nobody else makes them on a server, and on SQLite an open transaction of the test would be in their way."""
    with contextlib.closing(open_database(settings, as_is=True)) as database:
        if not database.has_tables():
            migrations.migrate(database)


def _names(job: object, method: str) -> tuple[str, ...]:
    """The callable paths that a job may have been stored under; a dotted name may be that of a class."""
    path = path_of(job, method)
    return (path, f"{path}.{method}") if isinstance(job, str) and method == "handle" else (path,)


def _as_stored(parameters: Mapping[str, Any]) -> Any:
    if not isinstance(parameters, Mapping):
        raise InvalidParameters(f"The parameters are {shown(parameters)}: give a dict, such as {{'order_id': 123}}.")
    try:
        return codec.decode(codec.to_json(dict(parameters)).decode())
    except codec.NotJson as error:
        raise InvalidParameters(f"No job has the parameters {shown(parameters)}: {error}.") from None


def _has(job: Job, parameters: Any, app: Lateshift) -> bool:
    """Whether a job has these parameters, as it is given them: equal sets may be stored in different orders."""
    if job.parameters == parameters:
        return True
    try:
        bind = resolve(job.name, AllowList(app.settings.allowed)).signature.bind
        stored, wanted = (bind(codec.to_json(one).decode()) for one in (job.parameters, parameters))
    except InvalidJob:  # they do not fit, or the code is not there any more
        return False
    return stored == wanted


def _shown(name: str, queue: str | None, parameters: Mapping[str, Any] | None) -> str:
    where = "" if queue is None else f" in queue {queue!r}"
    return f"{name}{where}" + ("" if parameters is None else f" with {dict(parameters)!r}")
