"""What workers do beside running jobs, in real processes: pruning, log files, statistics."""

from __future__ import annotations

import subprocess
import sys

import pytest
from project import finished, until

from lateshift.storage import failures, history


def counted(app, **chosen) -> history.Point:
    """What was counted in the last hour."""
    now = app.database.now()
    return history.series(app.database, now - 3_600_000_000, now + 60_000_000, 60, **chosen).total


def test_a_worker_deletes_what_has_become_too_old(project):
    """Finished jobs with their attempts and old log files go; what waits and today's log stay."""
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
    project.worker(env={"LATESHIFT_KEEP_DAYS": "0"})
    until(lambda: not any(path.exists() for path in old))
    assert [job.id for job in app.list_jobs()] == [waiting]
    assert {path.name for path in logs.iterdir()} == before
    assert app.database.query("select * from lateshift_attempts") == []


def test_a_worker_counts_what_it_finishes(project):
    """By queue and callable, with the time they ran and waited; written at the latest when it stops."""
    app = project.app()
    ids = [app.run_background_job("app.jobs.add", parameters={"a": n}, queue="sums") for n in range(3)]
    ids.append(app.run_background_job("app.jobs.FailTwice"))
    worker = project.worker()
    for job_id in ids:
        assert finished(app, job_id).status == "completed"
    worker.say("stop")
    assert worker.ended() == 0
    sums, others = counted(app, queue="sums"), counted(app, queue="default")
    assert (sums.completed, sums.retried, sums.failed, sums.cancelled) == (3, 0, 0, 0)
    assert (others.completed, others.retried, others.failed, others.cancelled) == (1, 2, 0, 0)
    assert counted(app, callable="app.jobs.add").count == 3
    assert 0 < sums.running.p50 < 1
    assert sums.waiting.p99 > 0
    [group] = failures.groups(app.database, app.database.now() - 3_600_000_000)
    assert (group.retried, group.failed, group.names) == (2, 0, ("app.jobs.FailTwice.handle",))
    assert group.place.startswith("app/jobs.py: ")


def test_a_job_that_crashed_too_often_is_counted_as_failed(project):
    """After the first crash, of a worker, it runs in a process of its own."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.exit_hard")
    assert project.worker().ended() == 3
    app.database.close()
    witness = project.worker()
    assert finished(app, job_id).crashes == 3
    witness.say("stop")
    assert witness.ended() == 0
    assert counted(app).failed == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_job_that_fails_by_its_supervisors_rescue_is_counted(project):
    """No worker hears of such an end: it is the supervisor that takes the job back for the last time."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.kill_worker")
    command = [sys.executable, "-m", "lateshift", "work", "--processes", "1", "--burst"]
    while app.get_job(job_id).status != "failed":  # before the third time it is not due for a second
        subprocess.run(command, env=project.environment(), cwd=project.folder, check=True)
    assert app.get_job(job_id).crashes == 3
    assert counted(app).failed == 1
    [group] = failures.groups(app.database, app.database.now() - 3_600_000_000)
    assert (group.failed, group.names) == (1, ("app.jobs.kill_worker",))
