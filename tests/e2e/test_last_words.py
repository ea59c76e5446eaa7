"""The failed() hook of jobs that could not call it themselves, because their process was ended."""

from __future__ import annotations

import re
import sys

import pytest
from project import finished, until

from lateshift.runtime.terms import UNFINISHED


def words(project) -> list[str]:
    return [line for line in project.journal() if line.startswith("failed")]


def test_an_isolated_job_that_ran_out_of_time_is_mourned(project):
    """Its process is killed, so the hook is called in another one, in which `current_job()` is the same."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.MournedIsolated", parameters={"seconds": 60}, timeout=0.5)
    project.worker()
    assert finished(app, job_id).status == "failed"
    (line,) = words(project)
    assert line.endswith(f": JobTimeout: ran longer than its timeout of 0.5 s {job_id}")
    assert line.split()[2].rstrip(":") != project.journal()[0].split()[2]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_isolated_job_whose_process_died_three_times_is_mourned_once(project):
    """The hook learns by a WorkerDied what became of the last one."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.MournedCrash")
    project.worker()
    assert finished(app, job_id).crashes == 3
    (line,) = words(project)
    assert re.search(
        f": WorkerDied: the child process was killed by SIGKILL; it last had [0-9]+M of memory {job_id}$", line
    )


def test_a_job_whose_thread_cannot_be_stopped_is_mourned_before_its_worker_ends(project):
    """The thread is stuck in C; the hook is called in another one of the same process."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.Mourned", parameters={"seconds": 60}, timeout=0.3)
    worker = project.worker()
    assert worker.ended(30) == 83 + UNFINISHED
    assert app.get_job(job_id).status == "failed"
    (line,) = words(project)
    assert line == f"failed in {worker.process.pid}: JobTimeout: ran longer than its timeout of 0.3 s {job_id}"


def test_a_hook_that_hangs_does_not_keep_the_worker(project):
    """When the worker stops, a hook in a process of its own is ended; the job has failed all the same."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.MournedForEver", parameters={"seconds": 60}, timeout=0.3)
    worker = project.worker(grace=0.1)
    until(lambda: "mourning" in project.journal())
    worker.say("stop")
    assert worker.ended() == 0
    job = app.get_job(job_id)
    assert (job.status, job.error.type) == ("failed", "lateshift.outcome.JobTimeout")
    assert "hook took too long" in job.history[-1].logs[-1]
