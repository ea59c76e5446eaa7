"""Isolated jobs whose process starts slowly, or not at all: that is not the job's doing, and harms no worker."""

from __future__ import annotations

import pytest
from project import finished, until

from lateshift.storage import reads

LEASE = 3.0
"""Seconds, in place of fifteen: the worker ends after two of them without a heartbeat."""

AT_START = """
import os, time
from pathlib import Path
if "_LATESHIFT_CHILD" in os.environ:
    Path("starting").touch()
    while Path("slow").exists():
        time.sleep(0.01)
    if Path("broken").exists():
        os._exit(1)
"""
"""Run by each Python of the project: its isolated jobs wait for as long as a file is there, or fail to start."""

SIZE = """
from lateshift import background

@background(isolation="process")
def size(text: str) -> int:
    return len(text)
"""


@pytest.fixture
def start(project):
    """Starts a worker of the project whose children do what the files say."""
    (project.folder / "sitecustomize.py").write_text(AT_START)
    (project.folder / "app/size.py").write_text(SIZE)
    return lambda: project.worker(lease=LEASE)


def test_a_child_that_starts_slowly_holds_nobody_up(project, start):
    """Its errand does not fit into the pipe; the heartbeat waited for it, and the worker ended with all its jobs."""
    app = project.app()
    (project.folder / "slow").touch()
    worker = start()
    beside = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    slow = app.run_background_job("app.size.size", parameters={"text": "x" * 200_000})
    until((project.folder / "starting").exists)
    (row,) = reads.workers(app.database)
    until(lambda: reads.workers(app.database)[0].heartbeat_at > row.heartbeat_at + 1_500_000)
    (project.folder / "slow").unlink()
    (project.folder / "go").touch()
    assert finished(app, slow).result == 200_000
    assert [app.get_job(job_id).crashes for job_id in (slow, beside)] == [0, 0]
    assert worker.process.poll() is None


def test_a_child_that_cannot_start_is_no_crash(project, start):
    """While the package is away, as during an upgrade, three crashes failed each isolated job within 0.1 seconds."""
    app = project.app()
    (project.folder / "broken").touch()
    start()
    job_id = app.run_background_job("app.jobs.isolated_add", parameters={"a": 1, "b": 2})
    until(lambda: app.get_job(job_id).status == "pending_retry")
    (project.folder / "broken").unlink()
    attempt = app.get_job(job_id).history[0]
    assert attempt.outcome == "returned"
    assert "ended with exit code 1" in attempt.error.message
    job = finished(app, job_id)
    assert (job.result, job.crashes, job.attempts) == (3, 0, 1)


def test_a_worker_that_is_killed_while_a_child_starts_has_crashed_no_job(project, start):
    """Nothing of the job had run, so it goes back as if it had not been claimed."""
    app = project.app()
    (project.folder / "slow").touch()
    worker = start()
    job_id = app.run_background_job("app.size.size", parameters={"text": "x"})
    until((project.folder / "starting").exists)
    worker.kill()
    (project.folder / "slow").unlink()
    project.worker()
    job = finished(app, job_id)
    assert (job.result, job.crashes, len(job.history)) == (1, 0, 1)
