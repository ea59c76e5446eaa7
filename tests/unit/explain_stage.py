"""A database at a frozen moment, and what can happen to jobs in it: the scene of the tests of `explain`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lateshift import Lateshift
from lateshift.clock import Clock
from lateshift.explain import explain
from lateshift.job import Claimed, JobError
from lateshift.outcome import WORKER_DIED, Outcome, lost
from lateshift.storage import reads, workers, writes
from lateshift.storage.settlements import Batch, Settlement
from lateshift.storage.workers import NewWorker

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE
START = 1_795_000_000 * SECOND
WORKER = "host-1"
JOBS = """
def send(to: str = "") -> None: ...
"""


class Stopped(Clock):
    """A clock that only a test moves."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> int:
        return self.at


class Stage:
    """A database at a frozen moment, and what can happen to jobs in it."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.clock = Stopped()
        url = f"sqlite:///{folder}/lateshift.db"
        code = {"allowed": ["shop"], "database_url": url, "storage_dir": folder, "spawn": "never"} | settings
        self.app = Lateshift(clock=self.clock, **code)
        self.db = self.app.database

    def enqueue(self, name: str = "shop.send", **options: object) -> str:
        """A job of the shop."""
        return self.app.run_background_job(name, **options)

    def passes(self, microseconds: int) -> None:
        """Time goes by."""
        self.clock.at += microseconds

    def hire(
        self, worker: str = WORKER, queues: tuple[str, ...] = (), *, kind: str = "worker", host: str = "far"
    ) -> None:
        """A worker announces itself; of another host, so that its heartbeat alone tells whether it lives."""
        row = NewWorker(worker, kind, host, 4711, str(self.folder), queues, "1")
        workers.register_worker(self.db, row, self.clock.now())

    def beats(self, worker: str = WORKER) -> None:
        """A worker's heartbeat."""
        workers.heartbeat(self.db, worker, self.clock.now())

    def claim(self, job_id: str, worker: str = WORKER) -> Claimed:
        """A worker takes the job."""
        claimed = writes.claim_one(self.db, worker, self.clock.now(), job_id)
        assert claimed is not None
        return claimed

    def ends(self, job: Claimed, outcome: Outcome) -> None:
        """An attempt's outcome is written."""
        assert writes.settle(self.db, Batch([Settlement(job, outcome)])) == []

    def fails(self, job_id: str, *, retry_in: int | None = None, error: str = "no answer") -> None:
        """The job is claimed and fails two seconds later: finally, or until a retry."""
        job = self.claim(job_id)
        started = self.clock.now()
        self.passes(2 * SECOND)
        now = self.clock.now()
        told = JobError("ConnectionError", error, "Traceback ...")
        if retry_in is None:
            self.ends(job, Outcome("failed", "failed", started, now, error=told))
        else:
            self.ends(job, Outcome("retry", "pending_retry", started, now, run_at=now + retry_in, error=told))

    def dies(self, job: Claimed, *, shared: bool = False) -> None:
        """The worker dies under a job, and somebody takes it back; `shared`: others ran beside it."""
        now = self.clock.now()
        self.ends(job, lost(job, now, now, JobError(WORKER_DIED, "gone"), shared=shared))

    def explained(self, job_id: str) -> str:
        """The sentences about a job."""
        explanation = explain(self.app, job_id)
        assert explanation.job_id == job_id
        assert explanation.status == reads.status(self.db, job_id)
        assert all(sentence.strip() == sentence and "\n" not in sentence for sentence in explanation.sentences)
        return "\n".join(explanation.sentences)


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """A stage whose shop has jobs."""
    (folder / "shop.py").write_text(JOBS)
    sys.modules.pop("shop", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        stage = Stage(folder)
        yield stage
        stage.app.close()
    sys.modules.pop("shop", None)
