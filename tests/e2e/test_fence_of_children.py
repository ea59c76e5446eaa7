"""An isolated job's process ends when its worker stands still for as long as its lease, however well it runs itself."""

from __future__ import annotations

import time

from project import finished, gone, until

LEASE = 3.0
"""Seconds, in place of fifteen."""


def test_an_isolated_job_ends_with_the_lease_of_a_worker_that_was_stopped(project):
    """Others take the job then, so its process must not go on, though nobody stopped that one."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.wait_isolated", parameters={"name": "go"})
    worker = project.worker(lease=LEASE)
    until(project.journal)
    child = int(project.journal()[0].split()[2])
    worker.suspend()
    began = time.monotonic()
    until(lambda: gone(child), 2 * LEASE, "the job's process to end")
    assert time.monotonic() - began < LEASE
    worker.kill()  # woken, it might still write what became of the job, or not
    (project.folder / "go").touch()
    project.worker()
    assert finished(app, job_id).crashes == 1


def test_an_isolated_job_outlives_many_heartbeats_of_its_worker(project):
    """Its process goes on for as long as its worker renews the lease."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.wait_isolated", parameters={"name": "go"})
    project.worker(lease=LEASE)
    until(project.journal)
    time.sleep(1.5 * LEASE)
    (project.folder / "go").touch()
    job = finished(app, job_id)
    assert (job.status, job.attempts, job.crashes) == ("completed", 1, 0)
