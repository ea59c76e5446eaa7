"""A worker process that stands still ends itself before others may take its jobs; one that only waits does not."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from project import finished, until

LEASE = 3.0
"""Seconds, in place of fifteen: the process ends after two of them without a heartbeat."""


@pytest.mark.skipif(sys.platform == "win32", reason="the C library by its name")
def test_a_job_that_keeps_the_gil_ends_its_process(project):
    """No thread of Python can run, the heartbeat stops, and the process with it: no two attempts overlap."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.keep_the_gil", parameters={"unless": "go"})
    worker = project.worker(lease=LEASE)
    until(project.journal)
    began = time.monotonic()
    assert worker.ended() == 1
    assert time.monotonic() - began < LEASE
    (project.folder / "go").touch()
    project.worker()
    job = finished(app, job_id)
    assert (job.status, job.crashes, job.attempts) == ("completed", 1, 1)


def test_waiting_for_a_job_or_for_the_database_is_no_standing_still(project):
    """A long job beside it, a database that is locked for longer than the lease, and a long stop do it no harm."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.sleep_in_c", parameters={"seconds": 2 * LEASE})
    worker = project.worker(lease=LEASE, grace=30.0)
    until(project.journal)
    lock = sqlite3.connect(app.database.path, isolation_level=None)
    lock.execute("begin immediate")
    time.sleep(LEASE + 0.5)
    lock.execute("commit")
    lock.close()
    worker.say("stop")
    assert worker.ended() == 0
    assert (app.get_job(job_id).status, app.get_job(job_id).crashes) == ("completed", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_process_that_was_stopped_for_too_long_ends_when_it_goes_on(project):
    """Others may have its jobs: after SIGCONT it does nothing more about them."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    worker = project.worker(lease=LEASE)
    until(project.journal)
    worker.suspend()
    time.sleep(LEASE)
    worker.resume()
    assert worker.ended() in (1, -signal.SIGSEGV)  # the watchdog writes where threads stand that have begun to move
    (project.folder / "go").touch()
    project.worker()
    assert finished(app, job_id).crashes == 1


def test_a_worker_is_fenced_from_the_moment_when_it_is_known(project):
    """Others judge it from its registration on; so what holds it up before its first heartbeat ends it as well."""
    code = f"""
import time
from lateshift.default import get_app
from lateshift.runtime.process import run_worker
from lateshift.runtime.terms import WorkerConfig
from lateshift.runtime.worker import Worker
Worker.run = lambda worker: time.sleep(60)
run_worker(WorkerConfig(worker="held-up", folder={str(project.folder / "run")!r}, lease=1.5), get_app())
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=project.environment(), capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "Timeout" in done.stderr) == (1, True), done.stderr
    app = project.app()
    assert app.database.query("select id from lateshift_workers") == [("held-up",)]
    app.database.execute("delete from lateshift_workers")


def test_who_is_late_does_not_put_the_end_off():
    """After a stop, the thread that renews may come before the watchdog, which it would call off."""
    late = """
import time
from lateshift.runtime.fence import Fence
late = 0.0
fence = Fence(60.0, clock=lambda: time.monotonic() + late)
fence.renew()
late = 59.5
fence.{put_off}()
print("goes on")
"""
    for put_off in ("renew", "keep"):
        process = subprocess.run(
            [sys.executable, "-c", late.format(put_off=put_off)], capture_output=True, text=True, check=False
        )
        assert (process.returncode, process.stdout) == (1, "")
        assert "most recent call first" in process.stderr
