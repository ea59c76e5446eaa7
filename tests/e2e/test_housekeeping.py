"""What workers do beside running jobs, in real processes: pruning, log files, statistics."""

from __future__ import annotations

import time

from project import finished, until

from lateshift.storage import reads


def minute() -> int:
    return int(time.time()) // 60


def test_a_worker_deletes_what_has_become_too_old(project):
    """Finished jobs with their attempts, old counts and old log files go; what waits and today's log stay."""
    app = project.app()
    done = app.run_background_job("app.jobs.add", parameters={"a": 1})
    failed = app.run_background_job("app.jobs.fail", max_retries=0)
    waiting = app.run_background_job("app.jobs.add", parameters={"a": 1}, delay=3600)
    assert project.worker(burst=True).ended() == 0
    assert [app.get_job(job_id).status for job_id in (done, failed, waiting)] == ["completed", "failed", "pending"]
    logs = project.folder / "storage/logs"
    old = [logs / f"background-jobs{kind}-2020-01-01.log" for kind in ("", "-errors")]
    for path in [*old, logs / "of-somebody-else-2020-01-01.log"]:
        path.write_text("old\n")
    before = {path.name for path in logs.iterdir()} - {path.name for path in old}
    time.sleep(60 - time.time() % 60 if time.time() % 60 > 58 else 0.0)
    app.database.execute("update lateshift_statistics set minute = minute - 2")
    project.worker(env={"LATESHIFT_KEEP_DAYS": "0"})
    until(lambda: not any(path.exists() for path in old))
    assert [job.id for job in app.list_jobs()] == [waiting]
    assert {path.name for path in logs.iterdir()} == before
    assert app.database.query("select * from lateshift_attempts") == []
    assert reads.statistics(app.database, 0) == []


def test_a_worker_counts_what_it_finishes(project):
    """By minute and queue, with the time they ran and waited; written at the latest when it stops."""
    app, began = project.app(), minute()
    ids = [app.run_background_job("app.jobs.add", parameters={"a": n}, queue="sums") for n in range(3)]
    ids.append(app.run_background_job("app.jobs.FailTwice"))
    worker = project.worker()
    for job_id in ids:
        assert finished(app, job_id).status == "completed"
    worker.say("stop")
    assert worker.ended() == 0
    rows = reads.statistics(app.database, began)
    counts = {
        queue: {
            name: sum(row[name] for row in rows if row["queue"] == queue)
            for name in ("completed", "retried", "failed", "cancelled")
        }
        for queue in ("sums", "default")
    }
    assert counts["sums"] == {"completed": 3, "retried": 0, "failed": 0, "cancelled": 0}
    assert counts["default"] == {"completed": 1, "retried": 2, "failed": 0, "cancelled": 0}
    assert all(row["run_time"] > 0 for row in rows)
    assert sum(row["wait_time"] for row in rows) > 0


def test_a_job_that_crashed_too_often_is_counted_as_failed(project):
    """The supervisor that takes it back says so in the log; the worker beside it counts it."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.exit_hard")
    for _ in range(3):
        assert project.worker().ended() == 3
        app.database.close()
    witness = project.worker()
    assert finished(app, job_id).crashes == 3
    witness.say("stop")
    assert witness.ended() == 0
    assert sum(row["failed"] for row in reads.statistics(app.database, 0)) == 1
