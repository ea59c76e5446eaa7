"""A worker that has to wait for a row that others have locked goes on telling that it lives."""

from __future__ import annotations

import psycopg
from project import finished, until

from lateshift.storage import reads, writes


def test_a_locked_job_keeps_no_heartbeat_back(postgres_url, project):
    """To take a job back waits for its row, which somebody has locked; the heartbeat is written all the same."""
    project.use(postgres_url)
    app = project.app()
    job_id = app.run_background_job("app.jobs.add", parameters={"a": 1})
    writes.claim_one(app.database, "a worker that is gone", app.database.now(), job_id)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("select 1 from lateshift.jobs for update")
        worker = project.worker(lease=9.0)
        until(lambda: app.database.query("select 1 from pg_locks where not granted"), what="the wait for the row")
        beat = reads.workers(app.database)[0].heartbeat_at
        until(lambda: reads.workers(app.database)[0].heartbeat_at > beat, 12, "a heartbeat")
    assert worker.process.poll() is None
    assert finished(app, job_id).status == "completed"
    app.close()
