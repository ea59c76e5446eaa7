"""Coroutine jobs of one test are on one event loop, as those of a worker are."""

from __future__ import annotations

import asyncio

import pytest
import testing_jobs
from testing_jobs import chain, lingering, loops, remembering, waiting_wrongly

from lateshift import Lateshift, run_background_job
from lateshift.testing import drain, inline, isolated


@pytest.fixture(autouse=True)
def _no_loops():
    loops.clear()


def run_some():
    for job in (remembering, lingering, testing_jobs.Remembering):
        run_background_job(job, max_retries=0)
    assert [job.status for job in drain()] == ["completed", "completed", "failed"]
    with inline():
        run_background_job(remembering)


def test_coroutine_jobs_share_a_loop():
    """What is bound to it, such as a pool of connections, works for all of them, hooks too; then it is closed."""
    with isolated(allowed=[testing_jobs.__name__]):
        run_some()
        [loop] = set(loops)
        assert (len(loops), loop.is_closed()) == (4, False)
        assert [task.get_name() for task in asyncio.all_tasks(loop)] == ["left behind"]
    assert loop.is_closed()
    assert loops.pop() == "cancelled"
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_an_async_test_has_its_own():
    """The jobs are on another one, which is closed all the same."""

    async def test():
        with isolated(allowed=[testing_jobs.__name__]):
            run_some()
        return asyncio.get_running_loop()

    own = asyncio.run(test())
    assert loops.pop() == "cancelled"
    [loop] = set(loops)
    assert loop.is_closed()
    assert loop is not own


def test_outside_of_isolated_a_drain_has_a_loop(tmp_path):
    """Of an application object that a test has made itself."""
    url = f"sqlite:///{tmp_path}/lateshift.db"
    app = Lateshift(allowed=[testing_jobs.__name__], database_url=url, storage_dir=tmp_path, spawn="never")
    for _ in range(2):
        app.run_background_job(remembering)
        app.run_background_job(remembering)
        drain(app=app)
    with inline(app):
        app.run_background_job(remembering)
        app.run_background_job(remembering)
    assert [loops.count(loop) for loop in loops] == [2] * 6
    assert all(loop.is_closed() for loop in loops)
    app.close()


def test_a_coroutine_in_a_coroutine_is_no_deadlock():
    """The loop of the outer one is taken; the inner one has its own."""
    with isolated(allowed=[testing_jobs.__name__]) as app, inline():
        assert app.get_job(run_background_job(chain, parameters={"left": 2})).status == "completed"
        assert [job.status for job in app.list_jobs()] == ["completed"] * 3


def test_it_must_not_be_held_up_by_a_wait():
    """As in a worker, though here nothing else needs it."""
    with isolated(allowed=[testing_jobs.__name__], max_retries=0):
        run_background_job(waiting_wrongly)
        assert "await_for_job" in drain()[0].error.message
