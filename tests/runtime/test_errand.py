"""What an isolated job's process is told: the job, the time, how long it may go on; and what if there is no process."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from lateshift import Lateshift
from lateshift.host.spawn import command_of
from lateshift.job import Claimed
from lateshift.runtime.execution import Execution
from lateshift.runtime.executors.process import ProcessExecutor

HOUR = 3_600_000_000


@pytest.fixture
def app(tmp_path):
    url = f"sqlite:///{tmp_path}/lateshift.db"
    app = Lateshift(database_url=url, storage_dir=tmp_path, allowed=["app", "asyncio"], spawn="never")
    yield app
    app.close()


def isolated(app, now, finished=lambda *_: None, lease=1):
    """An executor, and a job for it."""
    execution = Execution(app.settings, lambda: now, lambda *_: None)
    executor = ProcessExecutor(1, execution, lambda _: True, finished, lambda *_: None)
    return executor, Claimed("1", lease, "asyncio.sleep", '{"delay": 60}', 1, 0, 3, 0, 0, None, "default", "process", 1)


@pytest.mark.parametrize("shift", [-HOUR, 0, HOUR])
def test_the_time_is_told_by_a_clock_that_nobody_sets(app, monkeypatch, shift):
    """That of the day may be set between the worker's word and the child's start: a retry was ten minutes late then."""
    now = time.time_ns() // 1000
    executor, job = isolated(app, now)
    run = executor._execution.begin(job)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + shift * 1000)
    errand = executor._errand(run)
    assert abs(time.monotonic_ns() // 1000 + errand.ahead - now) < 10_000_000


@pytest.mark.parametrize("told", [b"", b'{"job": ["1", 1, "asyncio.sl'], ids=["nothing", "a part"])
def test_half_an_errand_is_none(app, told):
    """The worker was killed as it handed it over: the child ended with a traceback in runner.log."""
    executor, _ = isolated(app, 0)
    how = {"env": executor._environment(), "input": told, "capture_output": True, "timeout": 30}
    child = subprocess.run(command_of("child"), check=False, **how)
    assert (child.returncode, child.stderr) == (0, b"")


def test_an_entry_of_the_path_that_is_no_text_is_left_out(app, monkeypatch):
    """Python takes no notice of it either."""
    monkeypatch.setattr(sys, "path", [*sys.path, Path("here")])
    executor, _ = isolated(app, 0)
    told = json.loads(executor._environment()["_LATESHIFT_CHILD"])["path"]
    assert told == [entry for entry in sys.path if isinstance(entry, str)]


def test_a_fault_of_ours_is_an_outcome(app, monkeypatch):
    """The thread that watched over the child died of it: the job was running for ever, and nobody could stop it."""
    answers = queue.Queue()
    executor, job = isolated(app, 0, lambda job, outcome: answers.put((job.id, outcome)))
    monkeypatch.setattr(executor, "_environment", lambda: 1 / 0)
    executor.submit([job])
    job_id, outcome = answers.get(timeout=20)
    assert (job_id, outcome.status, outcome.error.type) == ("1", "failed", "ZeroDivisionError")
    assert executor.running() == []


@pytest.mark.parametrize(("lease", "pause"), [(1, 1.0), (3, 4.0), (100, 60.0)])
def test_a_python_that_is_gone_is_no_crash_of_the_job(app, monkeypatch, lease, pause):
    """A virtual environment that is moved for a moment failed each isolated job; it waits, longer with each time."""
    answers = queue.Queue()
    executor, job = isolated(app, 0, lambda _, outcome: answers.put(outcome), lease)
    monkeypatch.setattr(sys, "executable", "/nowhere/bin/python")
    executor.submit([job])
    outcome = answers.get(timeout=20)
    assert (outcome.kind, outcome.counts, outcome.crashed) == ("returned", False, False)
    assert (outcome.run_at, outcome.error.type) == (pause * 1_000_000, "FileNotFoundError")


def test_without_a_thread_to_watch_a_child_its_job_goes_back(app, monkeypatch):
    """In a container that may have no more threads the worker died of it, with all its jobs."""
    answers = queue.Queue()
    executor, job = isolated(app, 0, lambda _, outcome: answers.put(outcome))

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    executor.submit([job])
    assert (answers.get_nowait().kind, executor.running()) == ("returned", [])


def test_a_child_that_does_not_listen_holds_nobody_up(app):
    """Five thousand renewals that it had not read filled the pipe, and the worker's control thread waited for it."""
    answers = queue.Queue()
    executor, job = isolated(app, 0, lambda _, outcome: answers.put(outcome))
    executor.submit([job])
    (child,) = executor._children.values()
    while not child.memory:  # which it tells as the job begins
        time.sleep(0.01)
    psutil.Process(child.process.pid).suspend()

    def renew():
        for _ in range(10_000):
            executor.renew(time.monotonic() + 60)

    renewing = threading.Thread(target=renew, daemon=True)
    renewing.start()
    renewing.join(10)
    assert not renewing.is_alive()
    executor.interrupt()
    assert answers.get(timeout=20).kind == "returned"
