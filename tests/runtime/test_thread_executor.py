"""The executor of threads: how many of them work, and what an interruption meets."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from lateshift import JobTimeout, background
from lateshift.host import logs
from lateshift.job import Claimed
from lateshift.runtime.execution import Execution
from lateshift.runtime.executors import thread
from lateshift.runtime.executors.thread import STANDING, ThreadExecutor, _watch_for_dropped
from lateshift.settings import load_settings

failures = queue.Queue()
began, entered, go = threading.Event(), threading.Event(), threading.Event()


def block() -> None:
    began.set()
    go.wait(20)


def hurry() -> None:
    pass


class Destructive:
    def __init__(self, until):
        self.until = until

    def __del__(self) -> None:
        entered.set()
        while not self.until():
            pass
        raise ValueError("a mistake")


def destroy() -> None:
    Destructive(until=lambda: False)
    Destructive(until=lambda: True)
    while not go.wait(0.01):
        pass


HANDLER = logging.NullHandler()
HANDLER.handle = logging.Handler.handle.__get__(HANDLER)
HANDLER.createLock = logging.Handler.createLock.__get__(HANDLER)
HANDLER.createLock()
CONDITION = threading.Condition(threading.Lock())


def log_for_ever() -> None:
    record = logging.makeLogRecord({})
    began.set()
    while not go.is_set():
        HANDLER.handle(record)


def lock_for_ever() -> None:
    began.set()
    while not go.is_set():
        with CONDITION:
            pass


def open_for_ever() -> None:
    began.set()
    while not go.is_set():
        os.close(logs.open_to_append("log"))


def give_up_on_timeouts(attempt, error) -> float | None:
    began.set()
    while not isinstance(error, JobTimeout):
        time.sleep(0.001)
    return None


@background(retry=give_up_on_timeouts, timeout=60)
class Undecided:
    def handle(self) -> None:
        raise ValueError

    def failed(self, error: BaseException) -> None:
        failures.put(error)


def claimed(function, number=0):
    return Claimed(
        f"{function.__name__}-{number}",
        lease=1,
        name=f"{__name__}.{function.__qualname__}",
        parameters="{}",
        attempt=1,
        crashes=0,
        max_retries=3,
        run_at=0,
        seq=number,
        options=None,
        queue="q",
        executor="thread",
        priority=1,
    )


@pytest.fixture
def answers():
    """The ids of the jobs that were answered, in order."""
    return queue.Queue()


@pytest.fixture
def executor(tmp_path, answers):
    """An executor that has learned that its jobs take no time, as its clock stands still."""
    go.clear()
    execution = Execution(load_settings(allowed=[__name__], storage_dir=tmp_path), lambda: 0, lambda *_: None)
    executor = ThreadExecutor(4, execution, lambda run: True, lambda job, outcome: answers.put(job.id))
    executor.submit([claimed(hurry, number) for number in range(200)])
    for _ in range(200):
        answers.get(timeout=20)
    yield executor
    go.set()
    executor.close()


def test_a_short_job_behind_a_long_one_gets_a_thread_after_a_while(executor, answers):
    """One thread does for short jobs; when it has met a long one, the next is woken, and not before it may have."""
    executor.tick(99.0)
    executor.submit([claimed(block), claimed(hurry)])
    assert began.wait(20)
    for soon in (100.0, 100.0 + STANDING / 2):
        assert executor.tick(soon) == STANDING
    with pytest.raises(queue.Empty):
        answers.get(timeout=0.2)
    executor.tick(100.0 + 2 * STANDING)
    assert answers.get(timeout=20) == "hurry-0"
    assert [run.job.id for run in executor.running()] == ["block-0"]


def until_idle(executor):
    while executor._idle < len(executor._threads):
        time.sleep(0.001)


def test_slots_starve_only_while_there_is_nothing_to_begin(executor, answers, monkeypatch):
    """All of them then, with a thread or without. Not those that are left alone, as one thread does for short jobs."""
    until_idle(executor)
    now = [time.monotonic()]
    monkeypatch.setattr(thread, "time", SimpleNamespace(monotonic=lambda: now[0]))
    before = executor.starved
    now[0] += 2
    assert executor.starved - before == pytest.approx(2 * 4)
    began.clear()
    executor.submit([claimed(block), claimed(hurry)])
    assert began.wait(20)
    now[0] += 10
    assert executor.starved - before == pytest.approx(2 * 4)
    go.set()
    assert [answers.get(timeout=20) for _ in range(2)] == ["block-0", "hurry-0"]
    until_idle(executor)
    now[0] += 1
    assert executor.starved - before == pytest.approx(3 * 4)


def ended(executor, answers):
    """The id of the job that was answered first, while the worker looks after its threads."""
    deadline = time.monotonic() + 20
    while answers.empty() and time.monotonic() < deadline:
        executor.tick(time.monotonic())
        time.sleep(0.001)
    return answers.get(timeout=0)


def test_an_interruption_that_meets_a_destructor_is_raised_again(executor, answers, monkeypatch):
    """Python drops what is raised in one, and runs it when it likes; that is told to nobody, unlike other mistakes."""
    reports = []
    monkeypatch.setattr(sys, "unraisablehook", reports.append)
    _watch_for_dropped.__wrapped__()
    executor.submit([claimed(destroy)])
    assert entered.wait(20)
    executor.interrupt()
    assert ended(executor, answers) == "destroy-0"
    assert [str(report.exc_value) for report in reports] == ["a mistake"]


def test_an_interruption_as_the_attempt_is_concluded_takes_no_hook_away(executor, answers):
    """The job has failed by the timeout that came while it was decided what its error means; nobody was told."""
    began.clear()
    executor.submit([claimed(Undecided.handle)])
    assert began.wait(20)
    for slot in executor._threads:
        slot.interrupt("timeout")
    assert ended(executor, answers) == "handle-0"
    assert isinstance(failures.get(timeout=0), JobTimeout)
    assert failures.empty()


@pytest.mark.parametrize("job", [log_for_ever, lock_for_ever])
def test_an_interruption_leaves_no_lock_behind(executor, answers, job):
    """It was raised as the job had just got it, and for ever all others of the process stood still as they logged."""
    began.clear()
    lock = HANDLER.lock if job is log_for_ever else CONDITION
    with lock:
        executor.submit([claimed(job)])
        assert began.wait(20)
        time.sleep(0.1)  # until it waits for the lock
        executor.interrupt()
    assert ended(executor, answers) == f"{job.__name__}-0"
    HANDLER.createLock()  # at its end Python takes those of all handlers
    assert lock.acquire(timeout=1)
    lock.release()


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="looks at what is open there")
def test_an_interruption_leaves_no_log_file_open(executor, answers, tmp_path, monkeypatch):
    """It was raised as the file had just been opened; one after the other, they were all that a process may open."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("log")  # one waits there for somebody who reads
    before = len(os.listdir("/dev/fd"))
    began.clear()
    executor.submit([claimed(open_for_ever)])
    assert began.wait(20)
    time.sleep(0.1)
    executor.interrupt()
    reader = os.open("log", os.O_RDONLY | os.O_NONBLOCK)
    assert ended(executor, answers) == "open_for_ever-0"
    os.close(reader)
    assert len(os.listdir("/dev/fd")) == before
