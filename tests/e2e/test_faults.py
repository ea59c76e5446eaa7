"""Processes are killed at the worst moments: nothing is lost, nothing runs for ever, no two attempts overlap."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
import time

import psutil
import pytest
from project import finished, gone, until

from lateshift import Call
from lateshift.errors import SpawnError, StorageUnavailable
from lateshift.storage import reads

SIGNALS = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals; test_families.py is for it")


@pytest.fixture
def supervisor(project):
    """`lateshift work` with two worker processes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lateshift", "work", "--processes", "2"],
        env=project.environment(LATESHIFT_SPAWN="never"),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
    )
    app = project.app()
    until(lambda: len(reads.workers(app.database)) == 2, what="two workers")
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.wait(30)


def test_a_killed_worker_is_replaced_and_its_job_taken_back_within_a_second(project, supervisor):
    """Under a living supervisor the job of a worker that was killed waits again after about a second."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    until(project.journal)
    began = time.monotonic()
    psutil.Process(int(project.journal()[0].split()[2])).kill()
    until(lambda: app.get_job(job_id).crashes == 1, 5)
    assert time.monotonic() - began < 2.0
    (project.folder / "go").touch()
    job = finished(app, job_id)
    assert (job.status, job.attempts, [attempt.outcome for attempt in job.history]) == (
        "completed",
        1,
        ["lost", "completed"],
    )
    until(lambda: len(reads.workers(app.database)) == 2, what="the replacement")


@pytest.mark.parametrize("code", [0, 69, 75])
def test_a_job_that_ends_its_process_with_a_good_exit_code_has_killed_a_worker(project, code):
    """No exit code passes for a worker's own end: the job is taken back, tried again at once, and then with a pause."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.exit_hard", parameters={"code": code})
    command = [sys.executable, "-m", "lateshift", "work", "--processes", "1", "--burst"]
    assert subprocess.run(command, env=project.environment(), cwd=project.folder, check=False).returncode == 0
    job = app.get_job(job_id)
    assert (job.status, job.crashes) == ("pending_retry", 2)
    assert f"exit code {code}" in job.error.message


def test_without_a_place_for_its_lock_nobody_can_be_a_worker(project):
    """Whoever enqueues is told which folder it is, and so is who starts workers."""
    app = project.app(spawn="auto")
    (project.folder / "storage").mkdir()
    (project.folder / "storage/run").touch()
    with pytest.raises(SpawnError, match=r"storage/run cannot be written .* LATESHIFT_STORAGE_DIR") as caught:
        app.run_background_job("app.jobs.add", parameters={"a": 1})
    assert "lateshift work" not in str(caught.value)
    command = [sys.executable, "-m", "lateshift", "work", "--processes", "1"]
    work = subprocess.run(
        command, env=project.environment(), cwd=project.folder, capture_output=True, text=True, check=False
    )
    assert (work.returncode, work.stdout) == (5, "")
    assert re.fullmatch(r"error: The folder \S+storage/run/\S+ cannot be written .*STORAGE_DIR .*\n", work.stderr)
    (project.folder / "storage/run").unlink()


def test_jobs_that_had_not_begun_are_not_counted_as_crashed(project):
    """What a killed worker held and had not started goes back as if it had never been claimed."""
    app = project.app()
    blocker = app.run_background_job("app.jobs.sleep_in_c", parameters={"seconds": 60}, priority=10)
    ids = app.enqueue_many([Call("app.jobs.sleep_in_c", parameters={"seconds": 60}) for _ in range(3)])
    worker = project.worker(env={"LATESHIFT_THREADS": "2"})
    until(lambda: len(project.journal()) == 2)
    worker.process.kill()
    worker.ended()
    project.worker(env={"LATESHIFT_THREADS": "2"})
    until(lambda: app.get_job(blocker).crashes == 1)
    assert [app.get_job(job_id).crashes for job_id in ids] == [1, 0, 0]


def test_workers_end_when_their_supervisor_is_killed(project, supervisor):
    """They notice, finish what they run, and go; the jobs are done by whoever comes next."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    until(project.journal)
    workers = [psutil.Process(worker.pid) for worker in reads.workers(app.database)]
    supervisor.kill()
    supervisor.wait()
    (project.folder / "go").touch()
    psutil.wait_procs(workers, timeout=20)
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in workers)
    assert app.get_job(job_id).status == "completed"


ALONE = "select 1 from lateshift_jobs where executor = 'process' and finished_at is null limit 1"


def test_kill_9_at_any_moment_loses_nothing(project):
    """Workers are killed again and again while 2,000 jobs run: each completes, none is reported twice.

    What was running then runs alone, and is let end before the next time: at its third crash it would fail.
    """
    app, ids = project.app(), []
    for first in range(0, 2000, 400):
        worker = project.worker()
        until(lambda: not app.database.query(ALONE))
        done = len(project.journal())
        labels = map(str, range(first, first + 400))
        ids += app.enqueue_many([Call("app.jobs.note", parameters={"label": label}) for label in labels])
        until(lambda done=done: len(project.journal()) > done + 50)
        worker.process.kill()
        worker.ended()
    assert project.worker(burst=True).ended(60) == 0
    statuses = {app.get_job(job_id).status for job_id in ids}
    assert statuses == {"completed"}
    assert {int(line) for line in project.journal()} == set(range(2000))


def test_no_two_attempts_overlap_when_a_worker_is_killed(project):
    """An isolated job's process ends with its worker, before the job runs again elsewhere."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.wait_isolated", parameters={"name": "go"})
    worker = project.worker()
    until(project.journal)
    first = int(project.journal()[0].split()[2])
    worker.process.kill()
    worker.ended()
    until(lambda: gone(first))
    project.worker()
    until(lambda: len(project.journal()) == 2)
    (project.folder / "go").touch()
    assert finished(app, job_id).crashes == 1


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_an_isolated_job_that_keeps_the_gil_ends_with_its_worker(project):
    """No thread of the child can run, so it is the kernel that ends it when the worker is killed."""
    app = project.app()
    app.run_background_job("app.jobs.isolated_busy_in_c")
    worker = project.worker()
    until(project.journal)
    child = int(project.journal()[0].split()[2])
    worker.process.kill()
    worker.ended()
    until(lambda: gone(child))


@SIGNALS
def test_a_crash_in_a_child_process_harms_nobody_else(project):
    """A child that dies of a segmentation fault is tried three times; the worker process lives through all of them."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.isolated_crash")
    worker = project.worker()
    job = finished(app, job_id)
    assert (job.status, job.crashes, [attempt.outcome for attempt in job.history]) == (
        "failed",
        3,
        ["lost", "lost", "failed"],
    )
    assert "SIGSEGV" in job.error.message
    assert worker.process.poll() is None


def test_a_locked_database_delays_and_loses_nothing(project):
    """Another process holds the write lock for three seconds while jobs finish: they are settled afterwards."""
    app = project.app()
    ids = app.enqueue_many([Call("app.jobs.note", parameters={"label": str(n)}) for n in range(50)])
    lock = sqlite3.connect(app.database.path, isolation_level=None)
    project.worker()
    until(lambda: len(project.journal()) > 0)
    lock.execute("begin immediate")
    time.sleep(3)
    lock.execute("commit")
    lock.close()
    for job_id in ids:
        assert finished(app, job_id).status == "completed"
    assert len(project.journal()) == 50


def test_a_callable_that_was_deleted_fails_with_the_reason(project):
    """Between enqueuing and running the function went away: the job fails and says so; nothing else suffers."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.add", parameters={"a": 1}, max_retries=0)
    path = project.folder / "app/jobs.py"
    path.write_text(path.read_text().replace("def add(", "def plus("))
    other = app.run_background_job("app.jobs.note", parameters={"label": "x"})
    project.worker()
    job = finished(app, job_id)
    assert (job.status, job.error.type) == ("failed", "lateshift.errors.CallableNotFound")
    assert finished(app, other).status == "completed"


def test_what_is_not_allowed_is_not_imported_whatever_the_database_says(project):
    """A row changed by hand to a callable outside the list fails at once, without an import."""
    (project.folder / "secret.py").write_text("open('imported', 'w').close()\ndef f(): ...\n")
    app = project.app()
    ids = [app.run_background_job("app.jobs.add", parameters={"a": 1}) for _ in range(4)]
    for job_id, name in zip(ids, ("secret.f", "os.system", "app.jobs.os.system", "app.jobs._private"), strict=True):
        app.database.execute("update lateshift_jobs set name = :name where id = :id", {"name": name, "id": job_id})
    project.worker()
    for job_id in ids:
        job = finished(app, job_id)
        assert (job.status, job.attempts, job.error.type) == ("failed", 1, "lateshift.errors.CallableNotAllowed")
    refused = "'secret.f' may not run: LATESHIFT_ALLOWED is app in this worker. If you have changed"
    assert app.get_job(ids[0]).error.message.startswith(refused)
    assert not (project.folder / "imported").exists()


@SIGNALS
def test_sigint_and_sigterm_stop_the_supervisor_in_good_order(project, supervisor):
    """The first signal waits for the running job, and exit code 0 says that all ended well."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    until(project.journal)
    supervisor.send_signal(signal.SIGINT)
    (project.folder / "go").touch()
    assert supervisor.wait(30) == 0
    assert app.get_job(job_id).status == "completed"
    assert reads.workers(app.database) == []


@SIGNALS
def test_a_second_signal_stops_now(project, supervisor):
    """With the second signal running jobs are interrupted and go back without using up an attempt."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.loop_for_ever")
    until(project.journal)
    supervisor.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    supervisor.send_signal(signal.SIGTERM)
    supervisor.wait(20)
    job = app.get_job(job_id)
    assert (job.status, job.attempts) == ("pending_retry", 0)


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit")
def test_a_full_disk_while_settling_reports_nothing_that_is_not_on_disk(project):
    """The worker cannot write: jobs that have run stay `running`, and are settled when there is room again."""
    import resource

    app = project.app()
    worker = project.worker()
    ids = app.enqueue_many([Call("app.jobs.wait_for_file", parameters={"name": "go"}) for _ in range(4)])
    until(lambda: len(project.journal()) == 4)
    # A limit on the size of files is to this process what a full disk is to all: its next write fails.
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    (project.folder / "go").touch()
    time.sleep(1.5)
    assert {app.get_job(job_id).status for job_id in ids} == {"running"}
    assert "completed" not in project.logs()
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for job_id in ids:
        job = finished(app, job_id)
        assert (job.status, job.attempts) == ("completed", 1)


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit")
def test_a_worker_that_has_to_stop_while_the_disk_is_full(project):
    """It has its grace for writing what its job has done; after that the job runs again, and its history tells so."""
    import resource

    app = project.app()
    worker = project.worker(grace=0.5)
    job_id = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    until(project.journal)
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    (project.folder / "go").touch()
    worker.say("stop")
    assert worker.ended(30) == 0
    assert "completed" not in project.logs()
    project.worker()
    job = finished(app, job_id)
    assert (job.status, job.attempts, job.crashes) == ("completed", 1, 0)
    assert [attempt.outcome for attempt in job.history] == ["lost", "completed"]
    assert len(project.journal()) == 2


def stopped_long_ago(project, worker) -> bool:
    """Stop a worker in its tracks, outside of a transaction, and make its heartbeat a minute older than it is."""
    worker.suspend()
    older = "update lateshift_workers set heartbeat_at = heartbeat_at - 60000000 where id = :id"
    try:
        return project.app(busy_timeout=0.1).database.execute(older, {"id": worker.id}) == 1
    except StorageUnavailable:
        worker.resume()
        return False


def test_a_stopped_worker_that_wakes_up_cannot_overwrite_a_newer_attempt(project):
    """SIGSTOP for longer than the lease: the job is rescued and done elsewhere; what the old worker did is void."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    old = project.worker()
    until(project.journal)
    until(lambda: stopped_long_ago(project, old), what="the old worker to be stopped while it holds no lock")
    project.worker()
    until(lambda: len(project.journal()) == 2)
    (project.folder / "go").touch()
    job = finished(app, job_id)
    old.resume()
    assert old.ended() != 0
    assert app.get_job(job_id) == job
