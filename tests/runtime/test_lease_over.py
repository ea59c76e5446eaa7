"""A worker whose lease has run out, and that does not know yet whether others took it for dead."""

from __future__ import annotations

import pytest

from lateshift import Lateshift
from lateshift.enqueuing import new_id
from lateshift.host.presence import Presence
from lateshift.job import NewJob
from lateshift.runtime.process import _describe, _make_worker
from lateshift.runtime.wake import make_wake
from lateshift.runtime.worker import WorkerConfig
from lateshift.storage import workers, writes


@pytest.fixture
def worker(tmp_path):
    """A worker of this process, registered, with a job that waits for it."""
    app = Lateshift(
        database_url=f"sqlite:///{tmp_path}/lateshift.db", storage_dir=tmp_path, allowed=["app"], spawn="never"
    )
    now = app.database.now()
    writes.enqueue(app.database, [NewJob(new_id(now), "app.jobs.add", "default", "thread", 1, "{}", 3, now, now)])
    config = WorkerConfig(worker="mine", folder=str(tmp_path / "run"), burst=True)
    presence, wake = Presence(config.folder, config.worker), make_wake(app.database)
    presence.acquire()
    worker = _make_worker(config, app, app.database, presence, wake)
    worker.register(_describe(config, app.settings, worker.crew))
    yield worker
    worker._fence.lift()
    presence.release()
    wake.close()
    app.close()


def jobs(worker):
    return worker._db.query("select status, attempts, lease from lateshift_jobs")


def test_who_was_taken_for_dead_claims_nothing(worker):
    """Its row is gone: a job that it claimed now would be held by nobody, and be counted as crashed without a crash."""
    workers.remove_worker(worker._db, "mine")
    worker.crew.lease_until = 0.0
    assert worker.run() == "evicted"
    assert jobs(worker) == [("pending", 0, 0)]


def test_who_was_not_goes_on_after_its_next_heartbeat(worker):
    """The database was away, and nobody took its jobs: with a heartbeat it has a lease again, and claims."""
    worker.crew.lease_until = 0.0
    worker.turn()
    assert jobs(worker) == [("pending", 0, 0)]
    worker._heartbeat.tick(worker._db.now())
    worker.turn()
    assert jobs(worker) == [("running", 1, 1)]
    worker.tell("now")
    assert worker.run() == "stopped"
