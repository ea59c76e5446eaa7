"""What operators ask of a running worker: where a job is, to stop, to drain; and what it tells of itself."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest
from project import finished, gone, until

from lateshift.host.presence import runner_file
from lateshift.storage import audit, reads, requests
from lateshift.storage.workers import NO_QUEUE, WorkerDetail, worker_details

NO_SIGNALS = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def begun(app, job_id: str):
    """Wait until a job runs; where."""
    return until(lambda: (job := app.get_job(job_id)).status == "running" and job.worker)


def ask(app, worker: str, kind: str, **about) -> str:
    """What the worker answers."""
    asked = requests.ask(app.database, worker, kind, app.database.now(), **about)

    def answer() -> str | None:
        request = requests.answer_to(app.database, worker, asked)
        assert request is not None
        return request.answer

    return until(answer)


@pytest.mark.parametrize(
    ("job", "line"),
    [("wait_for_file", "time.sleep("), ("wait_async", "await asyncio.sleep("), ("wait_isolated", "time.sleep(")],
)
def test_the_stack_of_a_running_job(project, job, line):
    """In a thread, on the loop and in a process of its own: the function, the file and the line where it is."""
    app = project.app()
    project.worker()
    job_id = app.run_background_job(f"app.jobs.{job}", parameters={"name": "go"})
    worker = begun(app, job_id)
    until(lambda: f"in {job}" in (stack := ask(app, worker, "stack", job_id=job_id)) and line in stack)
    assert "app/jobs.py" in ask(app, worker, "stack", job_id=job_id)
    assert "not run here" in ask(app, worker, "stack", job_id="another")
    (project.folder / "go").touch()
    assert finished(app, job_id).status == "completed"


def test_a_worker_that_drains_finishes_what_it_has(project):
    """It takes nothing more, however long that goes on, ends in good order, and is not replaced."""
    app, worker = project.app(), project.worker(grace=0.1)
    job_id = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    begun(app, job_id)
    ask(app, worker.id, "drain")
    later = app.run_background_job("app.jobs.add", parameters={"a": 1})
    with pytest.raises(AssertionError):
        until(lambda: app.get_job(later).status != "pending" or worker.process.poll() is not None, 1.0)
    (project.folder / "go").touch()
    assert worker.ended() == 0
    assert (app.get_job(job_id).status, app.get_job(later).status) == ("completed", "pending")
    assert reads.workers(app.database) == []


def test_a_worker_that_is_told_to_stop(project):
    """It gives what runs the grace, as with a signal, and ends for good."""
    app, worker = project.app(), project.worker(grace=0.2)
    job_id = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "never"})
    begun(app, job_id)
    requests.ask(app.database, worker.id, "stop", app.database.now())
    assert worker.ended() == 0
    assert app.get_job(job_id).status in ("pending", "pending_retry")


def a_runner(app):
    """The worker that runs the first job that is enqueued, and the pid of its supervisor."""
    job_id = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    worker = begun(app, job_id)
    [row] = [row for row in reads.workers(app.database) if row.id == worker]
    assert row.kind == "runner"
    return job_id, worker, psutil.Process(row.pid).ppid()


@pytest.mark.parametrize("how", ["stop", "drain"])
def test_a_runner_that_is_told_to_stop_ends_though_jobs_wait(project, how):
    """Nobody takes its place, until the next job is enqueued."""
    app = project.app(spawn="auto", grace=10.0)
    app.run_background_job("app.jobs.add", parameters={"a": 1}, delay=9999)
    job_id, worker, supervisor = a_runner(app)
    ask(app, worker, how)
    (project.folder / "go").touch()
    until(lambda: gone(supervisor), what="the supervisor to end, with nobody in the worker's place")
    assert app.get_job(job_id).status == "completed"
    assert reads.workers(app.database) == []
    assert finished(app, app.run_background_job("app.jobs.add", parameters={"a": 1})).status == "completed"
    cancel_all(app)


@pytest.mark.parametrize("how", ["drain", pytest.param("SIGTERM", marks=NO_SIGNALS)])
def test_a_job_that_is_enqueued_while_a_runner_is_stopping_is_run(project, how):
    """Another runner does that at once, however long the last job of this one takes."""
    app = project.app(spawn="auto")
    last, worker, _ = a_runner(app)
    if how == "drain":
        ask(app, worker, how)
    else:
        psutil.Process(next(row.pid for row in reads.workers(app.database) if row.id == worker)).terminate()
    until(lambda: [row.queues for row in reads.workers(app.database)] == [(NO_QUEUE,)], what="it to stop claiming")
    later = app.run_background_job("app.jobs.add", parameters={"a": 1})
    until(lambda: reads.status(app.database, later) == "completed", what="another runner to do it")
    assert app.get_job(last).status == "running"
    (project.folder / "go").touch()
    assert finished(app, last).status == "completed"


@NO_SIGNALS
@pytest.mark.parametrize("kind", ["runner", "worker"])
def test_a_worker_that_drains_and_dies_is_not_replaced(project, kind):
    """Its last job has killed it: that goes back, and waits like all that a stop leaves."""
    app = project.app(spawn="auto" if kind == "runner" else "never")
    if kind == "worker":
        command = [sys.executable, "-m", "lateshift", "work", "--processes", "1"]
        work = subprocess.Popen(command, env=project.environment(), cwd=project.folder)
        until(lambda: reads.workers(app.database), what="a worker")
    job_id = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    worker = begun(app, job_id)
    process = psutil.Process(next(row.pid for row in reads.workers(app.database) if row.id == worker))
    supervisor = process.ppid()
    ask(app, worker, "drain")
    process.kill()
    if kind == "worker":
        assert work.wait(20) == 1
    until(lambda: gone(supervisor), what="the supervisor to end")
    assert reads.workers(app.database) == []
    assert (app.get_job(job_id).status, app.get_job(job_id).crashes) == ("pending_retry", 1)


def test_a_runner_that_came_in_vain_before_the_stop_is_not_waited_for(project):
    """It found the place taken, perhaps long ago, while the worker was being replaced."""
    app = project.app(spawn="auto", idle_exit=60.0)
    _, worker, supervisor = a_runner(app)
    runner_file(app.settings, "wanted").touch()
    ask(app, worker, "drain")
    (project.folder / "go").touch()
    until(lambda: gone(supervisor), what="the supervisor to end")


def cancel_all(app) -> None:
    for job in app.list_jobs(status="pending"):
        app.cancel_job(job.id)


def test_what_a_worker_tells_of_itself(project):
    """Its memory, how busy it is, its slots, and the version of the program, which charts mark."""
    app = project.app()
    worker = project.worker(env={"LATESHIFT_RELEASE": "v41"}, lease=6.0)

    def told() -> WorkerDetail | None:
        return next((row for row in worker_details(app.database) if row.id == worker.id and row.cpu is not None), None)

    detail = until(told)
    assert detail.memory > 10_000_000
    assert 0 <= detail.cpu < 2
    assert (detail.revision, detail.slots["thread"]) == ("v41", 8)
    now = app.database.now()
    [mark] = audit.marks(app.database, now - 60_000_000, now)
    assert (mark.kind, mark.label) == ("deploy", "v41")


def test_the_death_of_a_worker_is_marked(project):
    """With what became of its jobs."""
    app = project.app()
    first = project.worker()
    job_id = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    begun(app, job_id)
    project.worker()
    first.kill()
    now = app.database.now()
    mark = until(lambda: next(iter(audit.marks(app.database, now - 60_000_000, now * 2, kind="death")), None))
    assert (mark.label, mark.details) == (first.id, "1 jobs taken back, 0 of them failed for good")
    (project.folder / "go").touch()
    assert finished(app, job_id).status == "completed"
