"""A machine that sleeps: `time.monotonic` stands still on Linux and macOS, while others go on and take its jobs."""

from __future__ import annotations

import sys
import time

import pytest
from project import until

from lateshift.runtime.terms import REPLACED
from lateshift.storage import workers

LEASE = 3.0
"""Seconds, in place of fifteen."""

JOBS = 300

ASLEEP = """
import faulthandler, pathlib, time

real, slept = time.monotonic, pathlib.Path("slept")
time.monotonic = lambda: real() - (float(slept.read_text()) if slept.exists() else 0)
faulthandler.dump_traceback_later = lambda *_, **__: None  # its clock is that of the kernel, which goes on in the test
"""
"""A `sitecustomize` for a process that is stopped, and finds when it goes on that its clock stood still meanwhile."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there every clock counts the machine's sleep")


def asleep_amid_jobs(project, meanwhile=lambda _: None):
    """A worker that slept with jobs in hand for as long as its lease, and how many lines they had written before."""
    (project.folder / "sitecustomize.py").write_text(ASLEEP)
    app = project.app()
    for number in range(JOBS):
        app.run_background_job("app.jobs.nap", parameters={"label": str(number)})
    worker = project.worker(lease=LEASE, env={"LATESHIFT_THREADS": "1"})
    until(lambda: len(project.journal()) >= 20)
    worker.suspend()
    began, written = time.monotonic(), len(project.journal())
    assert written < JOBS / 2
    meanwhile(worker)
    time.sleep(LEASE)
    (project.folder / "slept").write_text(str(time.monotonic() - began))
    worker.resume()
    return worker, written


def states(project):
    """How many jobs there are in each state."""
    return dict(project.app().database.query("select status, count(*) from lateshift_jobs group by status"))


def test_a_worker_that_slept_for_too_long_begins_no_job(postgres_url, project):
    """Workers of other hosts may have done them: ten jobs ran twice within five seconds of waking."""
    project.use(postgres_url)
    worker, written = asleep_amid_jobs(project, lambda slept: workers.remove_worker(project.app().database, slept.id))
    assert worker.ended() in (1, REPLACED["evicted"][0])  # the first if a job was running
    assert len(project.journal()) <= written + 1  # one was about to write
    (project.folder / "sitecustomize.py").unlink()
    project.worker()
    until(lambda: states(project) == {"completed": JOBS})


def test_with_a_file_everybody_slept(project):
    """Who could take its jobs is on the same machine: a laptop goes on where it was."""
    worker, _ = asleep_amid_jobs(project)
    until(lambda: states(project) == {"completed": JOBS})
    assert project.app().database.query("select sum(crashes), max(attempts) from lateshift_jobs") == [(0, 1)]
    worker.say("stop")
    assert worker.ended() == 0
