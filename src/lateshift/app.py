"""The application object: everything that a program asks of Lateshift, sync, with async twins for request handlers.

The functions at the top of the package (`lateshift.run_background_job`, ...) are this object's methods on a default
one; see `default`. An `a` twin runs the same code in a thread, so that the event loop is not held up by a commit.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Unpack

from lateshift.cache import Cache
from lateshift.clock import Clock
from lateshift.context import refuse_to_hold_up_the_loop, refuse_to_wait_for_itself, warn_of_waiting
from lateshift.durations import check_seconds
from lateshift.enqueuing import Call, Preparation, calls_of, tell_trouble
from lateshift.errors import JobNotFound, JobStateError, SpawnError, StorageError
from lateshift.events import Event, Events, JobChanged, JobEnqueued, JobsPruned, QueueChanged
from lateshift.host.fleet import Neighbours
from lateshift.host.logs import FileLog
from lateshift.host.permits import runner_permits
from lateshift.job import FINISHED, Job, JobFilters, NewJob
from lateshift.keywords import guiding
from lateshift.lookup import found, job_of, known, status_of
from lateshift.loops import in_thread
from lateshift.options import check_limit, check_name, check_queue, check_status
from lateshift.retry import RetryLike
from lateshift.settings import Settings, settings_of
from lateshift.storage import foreign, open_database, reads, writes
from lateshift.storage.database import Database
from lateshift.waiting import checked, pauses


class Lateshift:
    """One set of settings, one database, and what can be done with its jobs. Safe to share between threads.

    Give `Settings`, or single settings by name (`Lateshift(allowed=["app.jobs"])`), which win over the environment.
    `clock` is for tests: without one it is the database's, which on SQLite is this host's and on a server that one's.
    """

    def __init__(self, settings: Settings | None = None, *, clock: Clock | None = None, **code: Any) -> None:
        self.adopt(settings_of(settings, code))
        self.clock = clock
        self.database: Database = open_database(self.settings, clock)
        self.events = Events()
        self.log = FileLog(self.settings)
        self.events.subscribe(self.log)
        self.cache = Cache(self.database)
        self.on_long_wait = warn_of_waiting  # called each second; a test refuses there to wait for what nobody runs
        self._neighbours = Neighbours(self.database)

    def adopt(self, settings: Settings) -> None:
        """Go by other settings from now on; the database and the log files stay."""
        self.settings = settings
        self._preparation = Preparation(settings)

    @guiding
    def run_background_job(
        self,
        job: object,
        method: str = "handle",
        parameters: Mapping[str, Any] | None = None,
        priority: int | None = None,
        delay: float | timedelta = 0,
        *,
        queue: str | None = None,
        run_at: datetime | None = None,
        max_retries: int | None = None,
        retry_delay: RetryLike | None = None,
        timeout: float | timedelta | None = None,
        max_memory: int | str | None = None,
        connection: object | None = None,
    ) -> str:
        """Store a job, see to it that something runs it, and return its id. It is on disk when this returns.

        `job` is a class, a function, or a dotted name of either; `method` counts for classes. `parameters` are keyword
        arguments, checked against the signature. `priority` is 1 to 10, 10 first (default: the class's own, else 1).
        `delay` is in seconds or a timedelta; `run_at` an aware datetime instead. `retry_delay` is seconds, a list
        of seconds, or a RetryPolicy; `timeout` in seconds; `max_memory` of an isolated job bytes, or text as "500M".

        With `connection` the row is inserted there, in the transaction that you have open: the job exists when you
        commit. It is a Connection or Session of SQLAlchemy, or a connection of Django, psycopg, sqlite3, PyMySQL or
        mysqlclient, to the database of the jobs.

        Raises InvalidJob or a subclass when it cannot be enqueued as written, StorageError when it could not be stored,
        SpawnError when it is stored but no runner could be started; with `connection` that is an error in the log.
        """
        options = (queue, run_at, max_retries, retry_delay, timeout, max_memory)
        call = Call(job, method, parameters, priority, delay, *options)
        return self._enqueue([call], connection)[0]

    def enqueue_many(self, calls: Iterable[Call], *, connection: object | None = None) -> list[str]:
        """Store many jobs in one transaction, all or none; returns their ids in order. Raises as run_background_job.

        With `connection` that transaction is the one you have open there; where none is open, each row may be on its
        own.
        """
        return self._enqueue(calls_of(calls), connection)

    def run_again(self, job_id: str, parameters: Mapping[str, Any] | None = None) -> str:
        """Enqueue one more job like an old one, due at once, with other parameters if given; returns its id.

        It has the same queue, priority, retries and timeout. Parameters are as JSON has them, where a date is text;
        they are checked against the signature of today. Raises JobNotFound, and what `run_background_job` raises.
        """
        from lateshift.storage import bulk  # 15 ms that a program which only enqueues need not pay

        refuse_to_wait_for_itself(self.database.place)
        old = bulk.original(self.database, known(self.database, job_id))
        if old is None:
            raise JobNotFound(job_id)
        new = self._preparation.again(old, self.database.now(), parameters)
        self._neighbours.grant(self.settings)
        writes.enqueue(self.database, [new])
        return self._stored([new])[0]

    def get_job(self, job_id: str) -> Job:
        """The job as it stands now, with the history of its attempts. Raises JobNotFound."""
        return job_of(self.database, job_id)

    def list_jobs(
        self,
        *,
        status: str | None = None,
        queue: str | None = None,
        name: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Job]:
        """Jobs, newest first. `name` is a callable path or a part of one; `before` is the last id seen.

        Raises InvalidOption, and JobNotFound when there is no job `before` any more.
        """
        if before is not None:
            status_of(self.database, before)
        asked = {
            "status": None if status is None else check_status(status),
            "queue": None if queue is None else check_queue(queue),
            "name": None if name is None else check_name(name),
        }
        limit = check_limit(limit)
        if not self.database.exists():
            return []
        return reads.list_jobs(self.database, **asked, limit=limit, before=before)

    def wait_for_job(self, job_id: str, timeout: float | timedelta | None = None, *, check: bool = False) -> Job:
        """Wait until the job is finished, at most `timeout` seconds, and return it. Raises JobNotFound, WaitTimeout.

        With `check` a job that has failed or was cancelled raises JobFailed, as in `subprocess.run(check=True)`. While
        it waits it sees to it that a runner is there, so a job whose runner was killed goes on. Raises InvalidOption in
        a job that is a coroutine, which it would hold up together with all others: use `await_for_job` there.
        """
        refuse_to_hold_up_the_loop()
        for pause in pauses(self.database, job_id, timeout, self._nudge):
            time.sleep(pause)
        return checked(self.get_job(job_id), check=check)

    def cancel_job(self, job_id: str) -> None:
        """Cancel a waiting job, or ask a running one to stop. Raises JobNotFound, JobStateError when it has finished.

        A running coroutine is cancelled and a child process killed; code in a thread has to look at
        `current_job().cancelled`.
        """
        refuse_to_wait_for_itself(self.database.place)
        status = writes.cancel(self.database, known(self.database, job_id), self.database.now())
        if found(job_id, status) in FINISHED:
            raise JobStateError(f"Job {job_id} is {status} already, it cannot be cancelled.", job_id, str(status))
        self._changed(job_id, "cancel_requested" if status == "running" else "cancelled")

    def retry_job(self, job_id: str) -> None:
        """Run a failed or cancelled job again with all its attempts, or a waiting retry at once.

        Raises JobNotFound, and JobStateError for a job that runs, waits for its first attempt or has completed.
        """
        refuse_to_wait_for_itself(self.database.place)
        known(self.database, job_id)
        self._neighbours.grant(self.settings)
        status = writes.retry(self.database, job_id, self.database.now())
        if found(job_id, status) not in ("failed", "cancelled", "pending_retry"):
            advice = "wait for it, or cancel it first" if status in ("pending", "running") else "enqueue it anew"
            raise JobStateError(f"Job {job_id} is {status}, it cannot be retried: {advice}.", job_id, str(status))
        self._changed(job_id, "retried")
        self._neighbours.see_to(self.settings, {self.get_job(job_id).queue}, (job_id,))

    def delete_job(self, job_id: str) -> None:
        """Delete a finished job with its attempts and logs. Raises JobNotFound; JobStateError if unfinished."""
        refuse_to_wait_for_itself(self.database.place)
        job = self.get_job(job_id)
        status = writes.delete(self.database, job_id)
        if found(job_id, status) not in FINISHED:
            raise JobStateError(
                f"Job {job_id} is {status}, only finished jobs can be deleted: cancel it first.", job_id, str(status)
            )
        self._changed(job_id, "deleted", job)

    def prune(self, older_than: float | timedelta | None = None) -> int:
        """Delete finished jobs older than that many seconds (default: LATESHIFT_KEEP_DAYS); returns how many.

        Raises InvalidOption for an age that is negative or more than ten years.
        """
        refuse_to_wait_for_itself(self.database.place)
        age = self.settings.keep_days * 86_400 if older_than is None else check_seconds(older_than, "The age")
        now, total = self.database.now(), 0
        while self.database.exists() and (pruned := writes.prune(self.database, now - round(age * 1_000_000))):
            total += pruned
        if total:
            self.events.emit([JobsPruned(now, total, age)])
        return total

    def pause_queue(self, name: str) -> bool:
        """Let the jobs of a queue wait until it is resumed; running ones finish. False if it was paused already."""
        return self._pause(name, paused=True)

    def resume_queue(self, name: str) -> bool:
        """Let the jobs of a paused queue run again. False if it was not paused."""
        changed = self._pause(name, paused=False)
        if any(lane.queue == name for lane in reads.lanes(self.database)):
            self._neighbours.see_to(self.settings, {name})
        return changed

    def close(self) -> None:
        """Close the database connection; the next use opens it again."""
        self.database.close()

    @guiding
    async def arun_background_job(
        self,
        job: object,
        method: str = "handle",
        parameters: Mapping[str, Any] | None = None,
        priority: int | None = None,
        delay: float | timedelta = 0,
        *,
        queue: str | None = None,
        run_at: datetime | None = None,
        max_retries: int | None = None,
        retry_delay: RetryLike | None = None,
        timeout: float | timedelta | None = None,
        max_memory: int | str | None = None,
        connection: object | None = None,
    ) -> str:
        """As `run_background_job`, for async code.

        `connection` is an AsyncConnection or AsyncSession of SQLAlchemy, an AsyncConnection of psycopg, or a connection
        of asyncpg.
        """
        options = (queue, run_at, max_retries, retry_delay, timeout, max_memory)
        call = Call(job, method, parameters, priority, delay, *options)
        return (await self.aenqueue_many([call], connection=connection))[0]

    async def aenqueue_many(self, calls: Iterable[Call], *, connection: object | None = None) -> list[str]:
        """As `enqueue_many`, for async code; `connection` as for `arun_background_job`."""
        if connection is None:
            return await in_thread(self._enqueue, calls_of(calls), None)
        jobs = await in_thread(self._prepare, calls_of(calls))
        if jobs:
            await foreign.ainsert(self.database, connection, jobs)
        return await in_thread(self._stored, jobs, connection)

    async def aget_job(self, job_id: str) -> Job:
        """As `get_job`, for async code."""
        return await in_thread(self.get_job, job_id)

    async def await_for_job(self, job_id: str, timeout: float | timedelta | None = None, *, check: bool = False) -> Job:
        """As `wait_for_job`, for async code; it takes no thread while it waits, and can be cancelled."""
        import asyncio

        looks = pauses(self.database, job_id, timeout, self._nudge)
        while (pause := await in_thread(next, looks, None)) is not None:  # noqa: ASYNC110 - no event tells of it here
            await asyncio.sleep(pause)
        return checked(await self.aget_job(job_id), check=check)

    async def alist_jobs(self, **filters: Unpack[JobFilters]) -> list[Job]:
        """As `list_jobs`, for async code."""
        return await in_thread(self.list_jobs, **filters)

    async def acancel_job(self, job_id: str) -> None:
        """As `cancel_job`, for async code."""
        await in_thread(self.cancel_job, job_id)

    async def aretry_job(self, job_id: str) -> None:
        """As `retry_job`, for async code."""
        await in_thread(self.retry_job, job_id)

    async def adelete_job(self, job_id: str) -> None:
        """As `delete_job`, for async code."""
        await in_thread(self.delete_job, job_id)

    async def apause_queue(self, name: str) -> bool:
        """As `pause_queue`, for async code."""
        return await in_thread(self.pause_queue, name)

    async def aresume_queue(self, name: str) -> bool:
        """As `resume_queue`, for async code."""
        return await in_thread(self.resume_queue, name)

    def _nudge(self, job_id: str, status: str) -> None:
        """See to it that something runs a job that is waited for."""
        self.on_long_wait(job_id, status)
        job = self.get_job(job_id)
        if runner_permits(self.settings, job.name):  # else ours would fail it, as it may not run it
            self._neighbours.see_to(self.settings, {job.queue}, (job_id,))

    def _enqueue(self, calls: Sequence[Call], connection: object | None) -> list[str]:
        jobs = self._prepare(calls)
        if jobs and connection is None:
            refuse_to_wait_for_itself(self.database.place)
            writes.enqueue(self.database, jobs)
        elif jobs:
            foreign.insert(self.database, connection, jobs)
        return self._stored(jobs, connection)

    def _prepare(self, calls: Sequence[Call]) -> list[NewJob]:
        now = self.database.now()
        jobs = [self._preparation.prepare(call, now) for call in calls]
        if jobs:
            self._neighbours.grant(self.settings)
        return jobs

    def _stored(self, jobs: Sequence[NewJob], connection: object | None = None) -> list[str]:
        ids = [job.id for job in jobs]
        if jobs:
            self.events.emit([_enqueued(job) for job in jobs])
            try:
                self._neighbours.see_to(self.settings, {job.queue for job in jobs}, ids if connection is None else ())
            except (SpawnError, StorageError) as error:
                tell_trouble(error, ids, in_transaction=connection is not None)
        return ids

    def _pause(self, name: str, *, paused: bool) -> bool:
        refuse_to_wait_for_itself(self.database.place)
        now = self.database.now()
        changed = writes.pause_queue(self.database, check_queue(name), now if paused else None)
        if changed:
            self.events.emit([QueueChanged(now, name, paused)])
        return changed

    def _changed(self, job_id: str, action: str, job: Job | None = None) -> None:
        job = job or self.get_job(job_id)
        self.events.emit([JobChanged(self.database.now(), job.id, job.name, job.queue, job.attempts, action)])


def _enqueued(job: NewJob) -> Event:
    return JobEnqueued(job.enqueued_at, job.id, job.name, job.queue, 0, job.priority, job.run_at)
