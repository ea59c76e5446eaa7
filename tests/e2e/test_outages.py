"""What a database server does to its users: it restarts, hangs, cuts connections, and stands behind a pooler."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from project import finished, until

from lateshift import Call
from lateshift.errors import StorageUnavailable
from lateshift.runtime.process import TakeBack, make_supervisor
from lateshift.runtime.terms import CUT_OFF
from lateshift.storage import reads
from lateshift.storage.workers import remove_worker

pytestmark = pytest.mark.slow


@pytest.fixture
def works():
    """Starts `lateshift work` with two worker processes in a project; it is stopped at the end, whatever happens."""
    processes = []
    yield lambda project, **environment: processes.append(work(project, **environment))
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(60)
        finally:
            process.kill()


@pytest.fixture
def supervised(served, works):
    """A project on the server, with `lateshift work` in it."""
    works(served)
    return served


def work(project, **environment):
    process = subprocess.Popen(
        [sys.executable, "-m", "lateshift", "work", "--processes", "2"],
        env=project.environment(LATESHIFT_SPAWN="never", **environment),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with contextlib.ExitStack() as undo, contextlib.closing(project.app()) as app:
        undo.callback(process.kill)
        until(lambda: len(reads.workers(app.database)) == 2 or process.poll() is not None, what="two workers")
        undo.pop_all()
    return process


def waits(project, count):
    """Jobs that run until a file is there; returns their ids once they have begun."""
    app = project.app()
    ids = app.enqueue_many(Call("app.jobs.wait_for_file", parameters={"name": "go"}) for _ in range(count))
    until(lambda: len(project.journal()) == count, what="the jobs to begin")
    return app, ids


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_running_jobs_outlive_a_restart_of_the_server(server, supervised, mode):
    """They go on meanwhile, end once, and are not counted as crashed; new jobs run as soon as the server is back."""
    app, ids = waits(supervised, 4)
    server.restart(mode)
    (supervised.folder / "go").touch()
    jobs = [finished(app, job_id) for job_id in ids]
    assert [(job.status, job.attempts, job.crashes) for job in jobs] == [("completed", 1, 0)] * 4
    assert finished(app, app.run_background_job("app.jobs.add", parameters={"a": 1})).result == 1
    assert len(supervised.journal()) == 4


def test_enqueuing_while_the_server_is_down(server, served):
    """The error comes within the time that was set, names the server without its password, and says what to do."""
    app = served.app(database_timeout=1.5)
    app.run_background_job("app.jobs.add", parameters={"a": 1})
    server.kill()
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="LATESHIFT_DATABASE_TIMEOUT") as error:
        app.run_background_job("app.jobs.add", parameters={"a": 2})
    assert time.monotonic() - began < 6.0
    assert ":pw@" not in str(error.value)
    server.start()
    app.run_background_job("app.jobs.add", parameters={"a": 3})
    assert [job.parameters["a"] for job in app.list_jobs()] == [3, 1]


def test_enqueuing_while_the_server_hangs(server, served):
    """A server that takes connections and never answers is given up after the same time."""
    app = served.app(database_timeout=1.5)
    app.run_background_job("app.jobs.add", parameters={"a": 1})
    server.pause()
    began = time.monotonic()
    with pytest.raises(StorageUnavailable):
        app.run_background_job("app.jobs.add", parameters={"a": 2})
    assert time.monotonic() - began < 6.0
    server.resume()
    assert app.list_jobs()


def test_enqueuing_goes_on_over_a_restart(server, served):
    """Connections that were cut while nobody used them are replaced without an error."""
    app = served.app()
    app.run_background_job("app.jobs.add", parameters={"a": 1})
    server.restart("immediate")
    app.run_background_job("app.jobs.add", parameters={"a": 2})
    assert len(app.list_jobs()) == 2


def test_an_idle_runner_gives_a_lost_database_up(server, served):
    """One that started by itself and has nothing in hand leaves in the end: nobody would ever stop it."""
    runner = served.worker(kind="runner", idle_exit=60.0, patience=1.0)
    server.kill()
    assert runner.process.wait(60) == CUT_OFF
    server.start()
    with contextlib.closing(served.app()) as app:
        assert remove_worker(app.database, runner.id)  # as the next worker would, in 15 seconds


def test_a_runner_whose_database_is_lost_when_it_starts(server, served):
    """It tries again for a while, and leaves."""
    said = []
    with contextlib.closing(served.app(database_timeout=0.3)) as app:
        server.kill()
        assert make_supervisor(app, TakeBack(app), 1, "runner", said.append, give_up_after=2).run() == 1
    server.start()
    assert "died at once, 2 times in a row" in " ".join(said)


@pytest.mark.slow
def test_a_server_that_hangs_for_longer_than_the_lease(server, supervised):
    """Nobody takes anybody's jobs when it is back: each worker first gets the time to write its heartbeat."""
    app, ids = waits(supervised, 4)
    app.run_background_job("app.jobs.add", parameters={"a": 1}, delay=600)  # which they look at the clock for
    alive = {worker.pid for worker in reads.workers(app.database)}
    server.pause()
    time.sleep(18)  # three heartbeats of 5 s, and a look
    server.resume()
    time.sleep(2)
    (supervised.folder / "go").touch()
    jobs = [finished(app, job_id) for job_id in ids]
    assert [(job.status, job.attempts, job.crashes) for job in jobs] == [("completed", 1, 0)] * 4
    assert {worker.pid for worker in reads.workers(app.database)} == alive
    logs = (supervised.folder / "storage" / "logs").glob("background-jobs-2*")
    told = re.findall("WARNING database (away|back) worker=", "".join(path.read_text() for path in logs))
    assert sorted(told) == ["away", "away", "back", "back"], "two workers"


def test_killed_connections_are_replaced_and_heard_again(postgres_server, request):
    """After its connections were terminated a worker listens again: the next job starts at once, not at a look."""
    url, project = request.getfixturevalue("postgres_url"), request.getfixturevalue("project")
    project.use(url)
    worker = project.worker()
    app = project.app()
    name = url.rpartition("/")[2]
    terminate = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
    listening = "select 1 from pg_stat_activity where datname = current_database() and query like 'listen%'"
    for _ in range(2):
        postgres_server.execute(f"{terminate} and datname = '{name}'")
        until(lambda: app.database.query(listening), what="the worker to listen again")
    assert worker.process.poll() is None
    starts = []
    for _ in range(7):
        time.sleep(0.2)  # so that the worker is idle, and between two of its looks a second apart
        job = finished(app, app.run_background_job("app.jobs.add", parameters={"a": 1}))
        starts.append((job.started_at - job.enqueued_at).total_seconds())
    assert statistics.median(starts) < 0.1


def test_everything_works_through_a_pooler(pgbouncer, postgres_url, works, request):
    """In PgBouncer's transaction mode nothing is prepared and nobody listens, and jobs run all the same."""
    project = request.getfixturevalue("project")
    project.use(pgbouncer.through(postgres_url))
    app = project.app()
    works(project)
    ids = app.enqueue_many(Call("app.jobs.add", parameters={"a": number}) for number in range(500))
    ids.append(app.run_background_job("app.jobs.fail", max_retries=1))
    ids.append(app.run_background_job("app.jobs.add_later", parameters={"a": 1}))
    jobs = [finished(app, job_id) for job_id in ids]
    assert [job.status for job in jobs] == ["completed"] * 500 + ["failed", "completed"]
    assert app.database.pooled


SHIFTED = """
import time

time_of_day, nanoseconds = time.time, time.time_ns
time.time = lambda: time_of_day() + {shift}
time.time_ns = lambda: nanoseconds() + {shift} * 10**9
"""


@pytest.mark.parametrize("shift", [600, -600])
def test_clocks_that_are_ten_minutes_off(served, works, shift):
    """A worker whose host's clock is wrong runs what is due by the server's clock, and nobody takes it for dead."""
    wrong = served.folder / "wrong"  # libfaketime would do it from outside, but makes sleep() fail at random
    wrong.mkdir()
    (wrong / "sitecustomize.py").write_text(SHIFTED.format(shift=shift))
    works(served, PYTHONPATH=f"{wrong}{os.pathsep}{served.folder}")
    right = served.worker()
    app = served.app()
    soon = app.run_background_job("app.jobs.add", parameters={"a": 1}, delay=1.0)
    later = app.run_background_job("app.jobs.add", parameters={"a": 2}, run_at=datetime.now(UTC) + timedelta(minutes=9))
    now = [app.run_background_job("app.jobs.add", parameters={"a": number}) for number in range(20)]
    isolated = [app.run_background_job("app.jobs.isolated_fail_once") for _ in range(4)]
    for job_id in now:
        job = finished(app, job_id)
        assert abs((job.finished_at - job.enqueued_at).total_seconds()) < 30
    for job_id in isolated:
        job = finished(app, job_id)
        assert (job.status, job.attempts) == ("completed", 2)
        assert abs((job.finished_at - job.enqueued_at).total_seconds()) < 30
    waited = finished(app, soon)
    assert waited.started_at >= waited.run_at
    assert app.get_job(later).status == "pending"
    time.sleep(2.5)  # two looks of everyone's rescue duty
    assert len(reads.workers(app.database)) == 3
    assert right.process.poll() is None
