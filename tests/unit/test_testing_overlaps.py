"""Attempts in line that overlap, in several threads or within one another."""

from __future__ import annotations

import logging
import threading

import pytest
import testing_jobs
from testing_jobs import began, chain, done, going, line, waiting

from lateshift import run_background_job
from lateshift.testing import enqueued_jobs, inline, isolated


@pytest.fixture
def app():
    with isolated(allowed=[testing_jobs.__name__]) as app:
        yield app


@pytest.fixture
def root():
    """The root logger, at WARNING."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.WARNING)
    yield root
    root.setLevel(before)


def test_what_jobs_log_is_kept_until_the_last_of_them_ends(app, root):
    """The one that began first takes nothing from the other when it ends, and the last leaves the logger as it was."""
    handlers = list(root.handlers)
    with inline(app):
        threads = {name: threading.Thread(target=waiting.enqueue, args=(name,)) for name in ("first", "second")}
        for name, thread in threads.items():
            thread.start()
            assert began[name].wait(30)
        for name, thread in threads.items():
            going[name].set()
            thread.join(30)
    assert [(job.status, len(app.get_job(job.id).history[0].logs)) for job in enqueued_jobs()] == [("completed", 1)] * 2
    assert (root.level, root.handlers) == (logging.WARNING, handlers)


def test_jobs_that_enqueue_one_another_without_end_in_sight(app):
    """Each runs, and the first call returns when all have; deep ones do not wait for the end of Python's stack."""
    done.clear()
    with inline(app):
        run_background_job(line, parameters={"left": 150})
        assert {job.status for job in enqueued_jobs()} == {"completed"}
    assert done == list(range(150, -1, -1))


def test_coroutines_that_enqueue_one_another(app):
    """The same in event loops, each in a thread of its own."""
    with inline(app):
        run_background_job(chain, parameters={"left": 60})
    assert [(job.status, job.result) for job in enqueued_jobs()] == [("completed", left) for left in range(60, -1, -1)]
