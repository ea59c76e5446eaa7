"""What an isolated job's process is told: which job, and what time it is, whatever becomes of the host's clock."""

from __future__ import annotations

import json
import queue
import sys
import time
from pathlib import Path

import pytest

from lateshift import Lateshift
from lateshift.job import Claimed
from lateshift.runtime.execution import Execution
from lateshift.runtime.executors.process import ProcessExecutor

HOUR = 3_600_000_000


@pytest.fixture
def app(tmp_path):
    app = Lateshift(database_url=f"sqlite:///{tmp_path}/lateshift.db", allowed=["app"], spawn="never")
    yield app
    app.close()


def isolated(app, now, finished=lambda *_: None):
    """An executor, and a job for it."""
    execution = Execution(app.settings, lambda: now, lambda *_: None)
    executor = ProcessExecutor(1, execution, lambda _: True, finished, app.settings, lambda *_: None)
    return executor, Claimed("1", 1, "app.jobs.add", "default", "process", 1, "{}", 1, 0, 3, 0, 0)


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
