"""A piece of housekeeping that always fails harms neither the jobs nor the other housekeeping."""

from __future__ import annotations

from worker_here import store, worker_in

from lateshift.storage import reads


class Broken:
    """A duty with a mistake in it."""

    ticks = 0

    def tick(self, _: int) -> float:
        self.ticks += 1
        raise ZeroDivisionError("on purpose")


def test_a_duty_that_always_fails_stops_nothing(tmp_path, capfd):
    """It is told, and tried again later; the worker claims, settles, writes its heartbeat, and signs off."""
    with worker_in(tmp_path, burst=True) as worker:
        job_id, broken = store(worker, "app.jobs.unknown"), Broken()
        worker.rota.duties.insert(0, broken)
        assert worker.run() == "done"
        assert reads.status(worker._db, job_id) == "failed"
        assert reads.workers(worker._db) == []
    assert broken.ticks == 2, "at first, and once more at the end"
    assert "ZeroDivisionError" in capfd.readouterr().err
