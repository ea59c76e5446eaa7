"""What jobs do to the process that they share with its worker, or leave behind when they have one of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta

import psutil
import pytest
from project import finished, until

from lateshift import Call
from lateshift.runtime.terms import UNFINISHED
from lateshift.storage import requests

LEASE = 3.0


def test_a_job_that_catches_standard_error_harms_nobody(project):
    """The watchdog was put off on `sys.stderr`, which had no descriptor for so long: the process was ended by it."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.hush", parameters={"seconds": 2 * LEASE})
    worker = project.worker(lease=LEASE)
    job = finished(app, job_id)
    assert (job.status, job.crashes, worker.process.poll()) == ("completed", 0, None)


def test_a_job_that_closes_standard_output_does_not_change_how_its_worker_ends(project):
    """Its last flush raised: the supervisor called it a death, and took the jobs of a worker back that had none."""
    app = project.app()
    worker = project.worker()
    assert finished(app, app.run_background_job("app.jobs.close_output")).status == "completed"
    worker.say("stop")
    assert worker.ended() == 0


def test_what_an_isolated_job_prints_is_not_lost(project, capfd):
    """It stood in a buffer that went with the process."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.isolated_add", parameters={"a": 1, "b": 2})
    project.worker()
    assert finished(app, job_id).result == 3
    assert "printed by the job" in capfd.readouterr().err


def test_a_job_may_print_what_the_encoding_lacks(project, capfd):
    """On Windows standard output is cp1252 in the background only, where a check mark failed the job."""
    app = project.app()
    job_ids = [app.run_background_job(f"app.jobs.{name}") for name in ("print_check_mark", "print_check_mark_isolated")]
    project.worker(env={"PYTHONIOENCODING": "cp1252"})
    assert [finished(app, job_id).status for job_id in job_ids] == ["completed"] * 2
    said = capfd.readouterr()
    assert "done \\u2713" in said.out
    assert "done \\u2713" in said.err


def test_more_jobs_than_five_hundred_have_their_slots(project):
    """The 513th that a worker began had no slot in its file: it was running for ever, and its thread was gone."""
    app = project.app()
    ids = app.enqueue_many([Call("app.jobs.add_later", parameters={"a": n}) for n in range(600)])
    ids += app.enqueue_many([Call("app.jobs.add", parameters={"a": n}) for n in range(600)])
    project.worker(env={"LATESHIFT_COROUTINES": "600"})
    assert {finished(app, job_id).status for job_id in ids} == {"completed"}


@pytest.mark.parametrize(
    ("name", "status", "wait"),
    [("isolated_too_long", "pending_retry", 600), ("isolated_too_long_once", "failed", None)],
)
def test_a_timeout_of_an_isolated_job_follows_its_own_policy(project, name, status, wait):
    """The worker does not know the job's code; it decided by the settings."""
    app = project.app()
    job_id = app.run_background_job(f"app.jobs.{name}")
    project.worker()
    job = until(lambda: (job := app.get_job(job_id)).history and job.status == status and job)
    assert job.error.type == "lateshift.outcome.JobTimeout"
    if wait is not None:
        ended = job.history[0].finished_at
        assert abs(job.run_at - ended - timedelta(seconds=wait)) < timedelta(seconds=5)


def test_a_worker_that_drains_keeps_timeouts(project):
    """Code that cannot be interrupted held up its end for as long as it ran. Nobody takes the worker's place."""
    app = project.app()
    parameters = {"seconds": 60}
    job_id = app.run_background_job("app.jobs.sleep_in_c", parameters=parameters, timeout=0.3, max_retries=0)
    worker = project.worker()
    until(project.journal)
    requests.ask(app.database, worker.id, "drain", app.database.now())
    assert worker.ended() == UNFINISHED
    job = app.get_job(job_id)
    assert (job.status, job.error.type) == ("failed", "lateshift.outcome.JobTimeout")


def test_a_worker_that_cannot_sign_off_leaves_word_of_what_had_begun(project):
    """Its files went with it: after fifteen seconds all that it had held counted as crashed, begun or not."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    worker = project.worker(grace=0.1, env={"LATESHIFT_BUSY_TIMEOUT": "0.3"})
    until(project.journal)
    with contextlib.closing(sqlite3.connect(app.database.path, isolation_level=None)) as lock:
        lock.execute("begin immediate")
        worker.say("stop")
        assert worker.ended(60) == 0
        lock.execute("commit")
    (project.folder / "go").touch()
    project.worker()
    job = finished(app, job_id, 10)
    assert (job.status, job.crashes) == ("completed", 0)


@pytest.mark.skipif(sys.platform != "linux", reason="containers of Linux")
def test_the_first_process_of_a_container_collects_what_jobs_leave(project):
    """Orphans come to it; as zombies they filled its table of processes, until no job got one any more."""
    inside = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces here")
    app = project.app()
    command = [*inside, "--kill-child", sys.executable, "-m", "lateshift", "work", "--processes", "1"]
    with subprocess.Popen(command, env=project.environment(), cwd=project.folder) as unshare:
        try:
            [first] = until(lambda: psutil.Process(unshare.pid).children())
            ids = [app.run_background_job("app.jobs.isolated_leave_orphan") for _ in range(3)]
            assert {finished(app, job_id).status for job_id in ids} == {"completed"}
            until(lambda: not zombies(first))
            first.terminate()
            assert unshare.wait(20) == 0
        finally:
            unshare.kill()


def zombies(process: psutil.Process) -> list[int]:
    """The children of a process that have ended and that nobody has collected."""
    found = []
    for child in process.children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it was just now
            if child.status() == psutil.STATUS_ZOMBIE:
                found.append(child.pid)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_isolated_job_that_is_ended_with_its_worker_has_not_crashed(project):
    """Heroku and systemd send SIGTERM to all processes: three deploys failed the job. To it alone is a crash."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.wait_isolated", parameters={"name": "go"})
    worker = project.worker()

    def terminate() -> None:
        began = until(project.journal)
        (project.folder / "journal").unlink()
        os.kill(int(began[0].split()[-1]), signal.SIGTERM)

    terminate()
    terminate()
    os.kill(worker.process.pid, signal.SIGTERM)
    worker.ended()
    job = app.get_job(job_id)
    assert (job.status, job.attempts, job.crashes) == ("pending_retry", 0, 1)
