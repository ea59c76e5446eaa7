"""A piece of housekeeping that always fails harms neither the jobs nor the other housekeeping."""

from __future__ import annotations

from lateshift import Lateshift
from lateshift.enqueuing import new_id
from lateshift.host.presence import Presence
from lateshift.job import NewJob
from lateshift.runtime.process import _describe, _make_worker
from lateshift.runtime.wake import make_wake
from lateshift.runtime.worker import WorkerConfig
from lateshift.storage import reads, writes


class Broken:
    """A duty with a mistake in it."""

    ticks = 0

    def tick(self, _: int) -> float:
        self.ticks += 1
        raise ZeroDivisionError("on purpose")


def test_a_duty_that_always_fails_stops_nothing(tmp_path, capfd):
    """It is told, and tried again later; the worker claims, settles, writes its heartbeat, and signs off."""
    app = Lateshift(
        database_url=f"sqlite:///{tmp_path}/lateshift.db", storage_dir=tmp_path, allowed=["app"], spawn="never"
    )
    now = app.database.now()
    job = NewJob(new_id(now), "app.jobs.unknown", "default", "thread", 1, "{}", 0, now, now)
    writes.enqueue(app.database, [job])
    config = WorkerConfig(worker="mine", folder=str(tmp_path / "run"), burst=True)
    presence, wake = Presence(config.folder, config.worker), make_wake(app.database)
    presence.acquire()
    worker = _make_worker(config, app, app.database, presence, wake)
    broken = Broken()
    worker.duties.insert(0, broken)
    worker.register(_describe(config, app.settings, worker.crew))
    assert worker.run() == "done"
    assert reads.status(app.database, job.id) == "failed"
    assert reads.workers(app.database) == []
    assert broken.ticks == 2, "at first, and once more at the end"
    assert "ZeroDivisionError" in capfd.readouterr().err
    presence.release()
    wake.close()
    app.close()
