"""A worker that others have declared dead, and that could not know it, takes no more jobs when it can know it."""

from __future__ import annotations

import sqlite3
import sys
import time

import pytest
from project import finished, until

from lateshift import Call
from lateshift.runtime.process import _anything_waits
from lateshift.storage import workers

LEASE = 3.0
"""Seconds, in place of fifteen."""


def test_a_worker_that_was_declared_dead_meanwhile_claims_nothing(project):
    """Cut off for longer than its lease, it finds its row gone: what waits is not counted as crashed under it."""
    app = project.app()
    worker = project.worker(lease=LEASE, env={"LATESHIFT_BUSY_TIMEOUT": "0.2", "LATESHIFT_THREADS": "1"})
    app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"}, priority=10)
    until(project.journal)
    ids = app.enqueue_many(Call("app.jobs.add", parameters={"a": n}) for n in range(20))
    database = sqlite3.connect(app.database.path, isolation_level=None)
    database.execute("begin immediate")
    (project.folder / "go").touch()  # it ends, and there is room for the others
    time.sleep(LEASE + 0.5)
    database.execute("delete from lateshift_workers where id = ?", (worker.id,))
    database.execute("commit")
    database.close()
    assert worker.ended() == 84
    project.worker()
    jobs = [finished(app, job_id) for job_id in ids]
    assert {(job.status, job.attempts, job.crashes) for job in jobs} == {("completed", 1, 0)}


@pytest.mark.skipif(sys.platform == "win32", reason="there a folder in use cannot be renamed")
def test_a_runner_whose_folder_was_moved_ends_and_makes_no_new_database(project):
    """It was replaced, in an empty database at the old path; or, after `rm -r storage`, ran beside the next runner."""
    app = project.app()
    worker = project.worker(kind="runner", idle_exit=60.0, lease=4.0)
    until(lambda: workers.last_memory(app.database, worker.id), what="a heartbeat")
    (project.folder / "storage").rename(project.folder / "moved")
    assert worker.ended() == 0
    assert not _anything_waits(app, unknown=True)
    assert not (project.folder / "storage").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there a folder in use cannot be renamed")
def test_a_moved_folder_is_noticed_by_the_first_write_and_no_log_is_begun_in_its_old_place(project):
    """It told of an outage, in a new log folder, and went on until its next heartbeat."""
    app = project.app()
    worker = project.worker(kind="runner", idle_exit=60.0)
    app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    until(project.journal)
    (project.folder / "storage").rename(project.folder / "moved")
    (project.folder / "go").touch()
    assert worker.ended() == 0
    assert not (project.folder / "storage").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there a file in use can be neither deleted nor replaced")
def test_a_worker_whose_database_was_deleted_or_replaced_begins_anew(project):
    """It served a file that nobody sees any more, for as long as it lived."""
    app = project.app()
    worker = project.worker(lease=4.0)
    until(lambda: workers.last_memory(app.database, worker.id), what="a heartbeat")
    for path in (project.folder / "storage").glob("lateshift.db*"):
        path.unlink()
    app.run_background_job("app.jobs.add", parameters={"a": 1})
    assert worker.ended() == 84


@pytest.mark.skipif(sys.platform == "win32", reason="there a lock is its handle's, not the process's")
def test_a_worker_whose_job_has_read_the_database_begins_anew(project):
    """Its locks went with that, and then its -wal: it saw no job any more, and lived on."""
    (project.folder / "app/backup.py").write_text("def read(path):\n    open(path, 'rb').close()\n")
    app = project.app()
    worker = project.worker(lease=4.0)
    read = app.run_background_job("app.backup.read", parameters={"path": app.database.path})
    assert finished(app, read).status == "completed"
    app.close()  # as the last, it thinks
    waiting = app.run_background_job("app.jobs.add", parameters={"a": 1})
    assert worker.ended() == 84
    project.worker()
    assert finished(app, waiting).status == "completed"
