"""A worker of this process, which a test turns by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lateshift import Lateshift
from lateshift.enqueuing import new_id
from lateshift.host.presence import Presence
from lateshift.job import NewJob
from lateshift.runtime.process import _describe, _make_worker
from lateshift.runtime.terms import WorkerConfig
from lateshift.runtime.wake import make_wake
from lateshift.runtime.worker import Worker
from lateshift.storage import writes


@contextmanager
def worker_in(folder, url=None, *, allowed=("app",), **config) -> Iterator[Worker]:
    """One on an SQLite file in a folder, or on another database, registered."""
    url = url or f"sqlite:///{folder}/lateshift.db"
    app = Lateshift(database_url=url, storage_dir=folder, allowed=[*allowed], spawn="never")
    told = WorkerConfig(worker="mine", folder=str(folder / "run"), **config)
    presence, wake = Presence(told.folder, told.worker, 500), make_wake(app.database)
    presence.acquire()
    worker = _make_worker(told, app, app.database, presence, wake)
    worker.register(_describe(told, app.settings, worker.crew))
    yield worker
    worker._fence.lift()
    presence.release()
    wake.close()
    app.close()


def store(worker: Worker, name: str, **other) -> str:
    """Store a job for it; its id."""
    now = worker._db.now()
    parameters, run_at = other.get("parameters", "{}"), other.get("run_at", now)
    job = NewJob(new_id(now), name, "default", other.get("executor", "thread"), 1, parameters, 0, run_at, now)
    writes.enqueue(worker._db, [job])
    return job.id
