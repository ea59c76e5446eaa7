"""The executor of coroutines answers for each that it has taken."""

from __future__ import annotations

import asyncio
import queue
import threading

import pytest

import lateshift
from lateshift import WaitTimeout
from lateshift.job import Claimed
from lateshift.runtime.execution import Execution
from lateshift.runtime.executors.loop import LoopExecutor
from lateshift.settings import load_settings
from lateshift.testing import isolated

began, go = threading.Event(), threading.Event()
steps = queue.Queue()


async def block() -> None:
    began.set()
    go.wait(20)


async def tidy_up() -> None:
    for step in ("began", "asked", "ended"):
        try:
            steps.put(step)
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue


async def wait_the_wrong_way() -> None:
    lateshift.wait_for_job("01999999-9999-7999-8999-999999999999", 0)


async def wait_in_a_thread() -> str:
    with pytest.raises(WaitTimeout):
        await asyncio.to_thread(lateshift.wait_for_job, ping.enqueue(), 0)
    return "asked"


@lateshift.background
def ping() -> None: ...


async def forever() -> None:
    began.set()
    await asyncio.sleep(60)


async def ping_back() -> None: ...


async def at_once() -> None:
    raise AssertionError("it was cancelled before it began")


def claimed(function):
    name = function.__name__
    return Claimed(name, 1, f"{__name__}.{name}", "{}", 1, 0, 3, 0, 0, None, "default", "loop", 1)


@pytest.fixture
def answers():
    """What the executor answered, in order: (id, status)."""
    return queue.Queue()


@pytest.fixture
def executor(tmp_path, answers):
    """An executor whose runs may always begin."""
    execution = Execution(load_settings(allowed=[__name__], storage_dir=tmp_path), lambda: 0, lambda *_: None)
    executor = LoopExecutor(10, execution, lambda run: True, lambda job, end: answers.put((job.id, end.status)))
    yield executor
    executor.close()


def test_a_coroutine_that_is_cancelled_before_its_first_step_is_answered(executor, answers):
    """The loop is held up while a job is submitted and cancelled: it never begins, and ends as cancelled."""
    executor.submit([claimed(block)])
    assert began.wait(20)
    executor.submit([claimed(at_once)])
    executor.cancel("at_once", 1)
    go.set()
    assert {answers.get(timeout=20) for _ in range(2)} == {("block", "completed"), ("at_once", "cancelled")}
    assert executor.running() == []


def test_what_stands_behind_a_blocked_loop_can_be_given_back(executor, answers):
    """A worker that stopped in good order left such jobs running, in the database, until another one missed it."""
    began.clear()
    go.clear()
    executor.submit([claimed(block)])
    assert began.wait(20)
    executor.submit([claimed(at_once)])
    assert [job.id for job in executor.withdraw()] == ["at_once"]
    go.set()
    assert answers.get(timeout=20) == ("block", "completed")
    assert executor.withdraw() == []


def test_what_was_submitted_with_the_one_that_blocks_can_be_given_back(executor, answers):
    """And never begins here; it stood behind it until that one ended."""
    began.clear()
    go.clear()
    executor.submit([claimed(block), claimed(at_once)])
    assert began.wait(20)
    assert [job.id for job in executor.withdraw()] == ["at_once"]
    go.set()
    assert answers.get(timeout=20) == ("block", "completed")
    executor.submit([claimed(ping_back)])
    assert answers.get(timeout=20) == ("ping_back", "completed")


def test_one_that_is_cancelled_may_take_its_time(executor, answers, monkeypatch):
    """Five seconds after an operator's cancel, the whole process was replaced; a stop, or a timeout, does have that."""
    monkeypatch.setattr("lateshift.runtime.executors.loop.STUCK_AFTER", -1.0)
    executor.submit([claimed(tidy_up)])
    assert steps.get(timeout=20) == "began"
    for _ in range(2):
        executor.cancel("tidy_up", 1)
    assert steps.get(timeout=20) == "asked"
    assert executor.stuck() == []
    executor.interrupt()
    assert steps.get(timeout=20) == "ended"
    assert [run.job.id for run in executor.stuck()] == ["tidy_up"]


def test_one_that_is_cancelled_on_request_says_so(executor, answers):
    """Its error had no message, as that of `asyncio` has none."""
    executor._finished = lambda job, end: answers.put(end.error)
    began.clear()
    executor.submit([claimed(forever)])
    assert began.wait(20)
    executor.cancel("forever", 1)
    error = answers.get(timeout=20)
    assert (error.type, error.message) == ("asyncio.exceptions.CancelledError", "cancelled on request")


def test_waiting_for_a_job_must_not_hold_up_the_loop(executor, answers):
    """The job waited for may need the loop: neither ended, nor could be cancelled. In a thread one may wait."""
    executor._finished = lambda job, end: answers.put(end)
    with isolated(allowed=[__name__]):
        executor.submit([claimed(wait_the_wrong_way)])
        assert "write `await await_for_job(...)`" in answers.get(timeout=20).error.message
        executor.submit([claimed(wait_in_a_thread)])
        assert answers.get(timeout=20).result == '"asked"'
