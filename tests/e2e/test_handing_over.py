"""Whoever runs jobs goes, in good order or not, while others enqueue: what was enqueued is run by somebody else."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from project import finished, until

from lateshift import Call
from lateshift.host.presence import is_alive, runner_file, try_lock
from lateshift.host.spawn import start_runner
from lateshift.host.turn import take_turn
from lateshift.storage import reads

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals; test_families.py is for Windows")


def runners(app) -> list[reads.WorkerRow]:
    return [worker for worker in reads.workers(app.database) if worker.kind == "runner"]


@contextlib.contextmanager
def working(project, *options: str, **environment: str):
    """`lateshift work` with these options, until the block ends; its workers are there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lateshift", "work", "--processes", "1", *options],
        env=project.environment(**environment),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
    )
    app = project.app()
    until(lambda: reads.workers(app.database), what="a worker")
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(40)
        app.close()


def run_without_asking(app, number: int) -> None:
    """Enqueue and wait for the job's end, but not by `wait_for_job`, which would start a runner itself."""
    job_id = app.run_background_job("app.jobs.add", parameters={"a": number}, priority=10)
    until(lambda: reads.status(app.database, job_id) == "completed", what="the job to be run")


def busy(project, app) -> str:
    """A job that runs until the file `go` is there; its id, once it has begun."""
    job_id = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    until(project.journal)
    return job_id


def test_an_enqueue_just_after_the_runner_has_left_starts_another(project):
    """However short the time since the last start: the runner that left is no reason not to start one."""
    app = project.app(spawn="auto", idle_exit=0.1)
    for number in range(3):
        run_without_asking(app, number)
        until(lambda: not runners(app))


def test_an_enqueue_at_any_moment_of_the_runners_leaving_is_run(project):
    """Jobs are stored all the time that a runner takes to leave and go; not one of them is left without a runner."""
    app = project.app(spawn="auto", idle_exit=0.02)
    for number in range(25):
        run_without_asking(app, number)
        time.sleep(random.uniform(0.0, 0.15))


def test_a_runner_gives_up_the_turn_before_it_can_be_found(project):
    """Who kills it as soon as it is seen leaves nothing behind that keeps the next enqueue from starting another."""
    app = project.app(spawn="never", idle_exit=0.5)
    turn = runner_file(app.settings, "turn")
    app.run_background_job("app.jobs.add", parameters={"a": 1})
    assert take_turn(turn)
    with app.database.transaction():  # it cannot write its row meanwhile
        start_runner(app.settings)
        until(lambda: not turn.read_bytes(), what="the turn to be given up")
    until(lambda: runners(app))


def test_an_enqueue_at_any_moment_of_a_bursts_end_is_run(project):
    """A worker with `--burst` that is found alive takes the job, or somebody else does."""
    app = project.app(spawn="auto", idle_exit=0.05)
    for number in range(8):
        worker = project.worker(burst=True)
        time.sleep(random.uniform(0.0, 0.05))
        job_id = app.run_background_job("app.jobs.add", parameters={"a": number})
        if worker.ended() == 75:  # a supervisor would have replaced it
            assert project.worker(burst=True).ended() == 0
        until(lambda job_id=job_id: reads.status(app.database, job_id) == "completed", what="the job to be run")


def test_an_enqueue_while_a_worker_stops_starts_a_runner(project):
    """A worker that lets its last job finish takes no more, so it does not keep a runner from being started."""
    app = project.app(spawn="auto")
    with working(project, LATESHIFT_SPAWN="never", LATESHIFT_GRACE="30") as process:
        last = busy(project, app)
        process.send_signal(signal.SIGTERM)
        until(lambda: reads.workers(app.database)[0].queues)
        run_without_asking(app, 1)
        assert reads.status(app.database, last) == "running"
        (project.folder / "go").touch()
    assert finished(app, last).attempts == 1


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_an_enqueue_while_a_runner_stops_starts_another(project, how):
    """Its supervisor was told to stop, or was killed, during a job: the next job does not wait for the end of that."""
    app = project.app(spawn="auto", grace=30, idle_exit=1.0)
    last = busy(project, app)
    supervisor = psutil.Process(runners(app)[0].pid).parent()
    supervisor.send_signal(signal.Signals[how])
    until(lambda: runners(app)[0].queues)
    run_without_asking(app, 1)
    assert reads.status(app.database, last) == "running"
    (project.folder / "go").touch()
    assert finished(app, last).attempts == 1


def test_what_waits_when_a_supervisor_is_killed_is_done_by_a_runner(project):
    """Nobody enqueues and nobody replaces the worker: it starts a runner for what waits and for what it gives back."""
    app = project.app(spawn="auto")
    with working(project, LATESHIFT_SPAWN="auto", LATESHIFT_THREADS="1", LATESHIFT_GRACE="0.2") as process:
        running = busy(project, app)
        waiting = app.run_background_job("app.jobs.add", parameters={"a": 1})
        assert reads.status(app.database, waiting) == "pending"
        process.kill()
        until(lambda: reads.status(app.database, waiting) == "completed")
        (project.folder / "go").touch()
        until(lambda: reads.status(app.database, running) == "completed")
    assert app.get_job(running).crashes == 0


def test_a_signal_to_a_worker_alone_replaces_it(project):
    """SIGTERM to the one worker process does not end `lateshift work`: another one takes the next job."""
    app = project.app()
    with working(project) as process:
        (first,) = reads.workers(app.database)
        os.kill(first.pid, signal.SIGTERM)
        until(lambda: [worker.id for worker in reads.workers(app.database)] not in ([], [first.id]))
        assert finished(app, app.run_background_job("app.jobs.add", parameters={"a": 1})).status == "completed"
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_signal_to_an_idle_runner_ends_it(project):
    """`kill` with the number that `lateshift workers` shows: nothing waits for which it would have to be replaced."""
    app = project.app(spawn="auto", idle_exit=600)
    run_without_asking(app, 1)
    (runner,) = runners(app)
    supervisor = psutil.Process(runner.pid).parent()
    os.kill(runner.pid, signal.SIGTERM)
    psutil.wait_procs([supervisor], 20)
    assert not supervisor.is_running()
    assert not runners(app)


def test_a_job_that_terminates_its_own_process_stops_nothing_else(project):
    """It is done, the runner's worker is replaced, and what waits behind it is done as well."""
    app = project.app(spawn="auto")
    first = app.run_background_job("app.jobs.terminate_own_process")
    second = app.run_background_job("app.jobs.add", parameters={"a": 1}, delay=0.3)
    until(lambda: reads.status(app.database, first) == reads.status(app.database, second) == "completed")


ALONE = "select 1 from lateshift_jobs where executor = 'process' and finished_at is null limit 1"


def is_free(file: Path) -> bool:
    """Whether nobody holds this lock."""
    lock = try_lock(file)
    if lock is not None:
        os.close(lock)
    return lock is not None


@pytest.mark.parametrize("who", ["worker", "supervisor", "both"])
def test_kill_9_of_a_runner_at_any_moment_loses_nothing(project, who):
    """Its worker, its supervisor or both are killed again and again while they claim, run and settle 900 jobs.

    What was running then runs alone, and is let end before the next time: at its third crash it would fail.
    """
    app = project.app(spawn="auto", threads=2, idle_exit=1.0)
    ids = app.enqueue_many([Call("app.jobs.nap", parameters={"label": str(n)}) for n in range(900)])
    for done in range(50, 850, 160):
        until(lambda done=done: len(set(project.journal())) > done)
        until(lambda: not app.database.query(ALONE))
        victims = []
        for worker in runners(app):
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(worker.pid)
                parent = process.parent()
                victims += {"worker": [process], "supervisor": [parent], "both": [parent, process]}[who]
        for act in (psutil.Process.suspend, psutil.Process.kill):  # so that they die at once: see `host.turn`
            for victim in victims:
                with contextlib.suppress(psutil.NoSuchProcess):
                    if victim is not None and "lateshift.runtime.process" in " ".join(victim.cmdline()):
                        act(victim)
        if who == "both":  # so nobody is left to do anything; a process that is being killed still looks alive
            until(lambda: not any(is_alive(row.folder, row.id) for row in runners(app)))
            until(lambda: is_free(runner_file(app.settings, "only")))  # or the next runner leaves it to the dying one
            run_without_asking(app, done)
    until(lambda: all(reads.status(app.database, job_id) == "completed" for job_id in ids), 60)
    assert {int(line) for line in project.journal()} == set(range(900))
    assert all(app.get_job(job_id).attempts == 1 for job_id in ids)
