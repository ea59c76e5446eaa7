"""What the storage tests say in sentences: enqueue, claim, settle; and other processes that do the same."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence

import msgspec

from lateshift.clock import Clock
from lateshift.enqueuing import new_id
from lateshift.job import Claimed, Job, JobError, NewJob
from lateshift.outcome import Outcome, lost, returned
from lateshift.settings import load_settings
from lateshift.storage import open_database, reads, workers, writes
from lateshift.storage.migrations import migrate
from lateshift.storage.settlements import Batch, Settlement
from lateshift.testing import FrozenClock

SECOND = 1_000_000
ERROR = JobError("ValueError", "no such order", "Traceback ...")
EVERY_KIND = {"thread": 1000, "loop": 1000, "process": 1000}


class Place:
    """A database of a test; every `open` is a connection of its own, as another process would have it."""

    def __init__(self, kind: str, url: str, clock: FrozenClock) -> None:
        self.kind, self.url, self.clock = kind, url, clock
        self._opened: list = []
        self._processes: list[subprocess.Popen[str]] = []

    def open(
        self, clock: Clock | None = None, *, as_is: bool = False, patience: float | None = None, **settings: object
    ):
        """Connect, at the first use of what it returns."""
        wait = settings.pop("timeout", None)
        found = load_settings(database_url=self.url, **settings)
        database = open_database(found, clock or self.clock, timeout=wait, patience=patience, as_is=as_is)
        self._opened.append(database)
        return database

    def make_tables(self) -> None:
        """What `lateshift migrate` does; an SQLite file is left to be made at its first use."""
        if self.kind != "sqlite":
            with contextlib.closing(open_database(load_settings(database_url=self.url), as_is=True)) as database:
                migrate(database)

    def process(self, code: str) -> subprocess.Popen[str]:
        """Another Python that runs `code`, where `db` is the database under the real clock."""
        start = (
            "import sys\n"
            "from lateshift.settings import load_settings\n"
            "from lateshift.storage import migrations, open_database, reads, workers, writes\n"
            f"db = open_database(load_settings(database_url={self.url!r}))\n"
        )
        command = [sys.executable, "-c", start + code]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._processes.append(process)
        return process

    def close(self) -> None:
        """Close what was opened, and end what a failed test has left."""
        for process in self._processes:
            with process:
                process.kill()
        for database in self._opened:
            database.close()


def new_job(now: int, **fields: object) -> NewJob:
    """A row to be stored."""
    values = {
        "id": new_id(now),
        "name": "app.jobs.send",
        "queue": "default",
        "executor": "thread",
        "priority": 1,
        "parameters": "{}",
        "max_retries": 3,
        "run_at": now,
        "enqueued_at": now,
        **fields,
    }
    return NewJob(**values)


class Steps:
    """Steps on one connection. Outcomes begin and end at the clock's moment."""

    def __init__(self, db, clock: FrozenClock) -> None:
        self.db = db
        self.clock = clock

    @property
    def now(self) -> int:
        return self.clock.now()

    def new(self, *, delay: float = 0, **fields: object) -> NewJob:
        """A row, due in `delay` seconds."""
        return new_job(self.now, run_at=self.now + round(delay * SECOND), **fields)

    def enqueue(self, *, delay: float = 0, **fields: object) -> str:
        """Store a job; its id."""
        job = self.new(delay=delay, **fields)
        writes.enqueue(self.db, [job])
        return job.id

    def enqueue_many(self, count: int, **fields: object) -> list[str]:
        """Store many alike, in one transaction; their ids."""
        jobs = [self.new(**fields) for _ in range(count)]
        writes.enqueue(self.db, jobs)
        return [job.id for job in jobs]

    def lanes(self) -> list[reads.Lane]:
        """The lanes as a worker claims from them: none that is paused, the highest priority first."""
        return sorted((lane for lane in reads.lanes(self.db) if not lane.paused), key=lambda lane: -lane.priority)

    def claim(self, worker: str = "worker-1", **room: int) -> list[Claimed]:
        """Claim as a worker does; with `thread=2` at most two of that kind, and none of the others."""
        with self.db.transaction():
            return writes.claim(self.db, worker, self.now, self.lanes(), room or EVERY_KIND)

    def claim_ids(self, worker: str = "worker-1", **room: int) -> list[str]:
        return [job.id for job in self.claim(worker, **room)]

    def running(self, worker: str = "worker-1", **fields: object) -> Claimed:
        """Enqueue a job and claim it."""
        job_id = self.enqueue(**fields)
        claimed = writes.claim_one(self.db, worker, self.now, job_id)
        assert claimed is not None
        return claimed

    def settle(self, job: Claimed, outcome: Outcome) -> bool:
        """Write one outcome; whether it was accepted."""
        settlement = Settlement(job, outcome)
        refused = writes.settle(self.db, Batch([settlement]))
        assert refused in ([], [settlement])
        return not refused

    def complete(self, job: Claimed, result: str = "null", logs: Sequence[str] = ()) -> bool:
        return self.settle(job, self.completed(result, logs))

    def completed(self, result: str = "null", logs: Sequence[str] = ()) -> Outcome:
        return Outcome("completed", "completed", self.now, self.now, result=result, logs=tuple(logs))

    def failed(self) -> Outcome:
        return Outcome("failed", "failed", self.now, self.now, error=ERROR)

    def cancelled(self) -> Outcome:
        return Outcome("cancelled", "cancelled", self.now, self.now)

    def retry_in(self, seconds: float) -> Outcome:
        due = self.now + round(seconds * SECOND)
        return Outcome("retry", "pending_retry", self.now, self.now, run_at=due, error=ERROR)

    def snoozed(self, seconds: float) -> Outcome:
        due = self.now + round(seconds * SECOND)
        return Outcome("snoozed", "pending_retry", self.now, self.now, run_at=due, counts=False)

    def returned(self, seconds: float = 0) -> Outcome:
        return returned(self.now, self.now, seconds)

    def lose(self, job: Claimed) -> bool:
        """What a rescue writes about a job whose worker died."""
        return self.settle(job, lost(job, self.now, self.now, ERROR))

    def get(self, job: str | Claimed) -> Job:
        """The job as it stands, with its history."""
        found = reads.get(self.db, job if isinstance(job, str) else job.id, history=True)
        assert found is not None
        return found

    def status(self, job: str | Claimed) -> str | None:
        return reads.status(self.db, job if isinstance(job, str) else job.id)

    def finished(self, status: str) -> str:
        """A job that ended with that status; its id."""
        job = self.running()
        outcome = {"completed": self.completed(), "failed": self.failed(), "cancelled": self.cancelled()}[status]
        assert self.settle(job, outcome)
        return job.id

    def in_status(self, status: str) -> str:
        """A job of any status; its id."""
        if status in ("completed", "failed", "cancelled"):
            return self.finished(status)
        if status == "pending":
            return self.enqueue()
        job = self.running()
        if status == "pending_retry":
            self.settle(job, self.retry_in(60))
        return job.id

    def register(self, worker: str = "worker-1", kind: str = "worker", queues: tuple[str, ...] = ()) -> None:
        row = workers.NewWorker(worker, kind, "host-1", 4711, "/run/lateshift", queues, "1.0")
        workers.register_worker(self.db, row, self.now)


def everything(db) -> list[tuple]:
    """All that is stored about jobs, to see that nothing has changed."""
    tables = ("lateshift_jobs", "lateshift_attempts", "lateshift_logs")
    return [tuple(db.query(f"select * from {table} order by 1, 2")) for table in tables]


def renamed(job: Claimed, **fields: object) -> Claimed:
    """A claimed job with other fields."""
    return msgspec.structs.replace(job, **fields)


def unnumbered(jobs: Iterable[Claimed]) -> list[Claimed]:
    """Claimed jobs as on any database: each numbers its rows by itself."""
    return [renamed(job, seq=0) for job in jobs]


def in_child(work: Callable[[], str]) -> str:
    """Fork; the child's answer, or the type and text of what it raised."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = work()
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer
