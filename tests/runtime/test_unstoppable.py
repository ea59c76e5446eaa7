"""A job whose thread cannot be stopped, run by `lateshift run`; in a worker, `tests/e2e/test_last_words.py` has it."""

from __future__ import annotations

import threading

import pytest

from lateshift import Lateshift
from lateshift.runtime import inline
from lateshift.runtime.executors import thread

go, told = threading.Event(), []


class Unstoppable:
    timeout = 0.05

    def handle(self) -> None:
        go.wait(30)

    def failed(self, error: BaseException) -> None:
        told.append(type(error).__name__)


@pytest.fixture(autouse=True)
def _fresh():
    """Nothing told yet; what a test could not stop ends with it."""
    go.clear()
    told.clear()
    yield
    go.set()


@pytest.mark.parametrize(("retries", "status", "words"), [(0, "failed", ["JobTimeout"]), (1, "pending_retry", [])])
def test_its_failed_hook_is_called_when_it_has_no_attempt_left(tmp_path, monkeypatch, retries, status, words):
    """It was not, by `lateshift run` alone; with an attempt left, the job waits until this process has ended."""
    monkeypatch.setattr(thread, "STUCK_AFTER", 0.05)
    url = f"sqlite:///{tmp_path}/lateshift.db"
    app = Lateshift(database_url=url, storage_dir=tmp_path, allowed=[__name__], spawn="never", retry_delay=0)
    job_id = app.run_background_job(Unstoppable, max_retries=retries)
    job = inline.run_one(app, job_id)
    assert (job.status, job.attempts, told) == (status, 1, words)
    assert status == "failed" or (job.run_at - job.history[0].finished_at).total_seconds() > 0.9
    app.close()


def test_its_failed_hook_is_called_once_though_it_comes_to_an_end(tmp_path, monkeypatch):
    """The code that could not be stopped returned from its long call a moment later, and called the hook as well."""
    monkeypatch.setattr(thread, "STUCK_AFTER", 0.05)
    app = Lateshift(database_url=f"sqlite:///{tmp_path}/lateshift.db", allowed=[__name__], spawn="never")
    others = set(threading.enumerate())
    inline.run_one(app, app.run_background_job(Unstoppable, max_retries=0))
    go.set()
    for one in set(threading.enumerate()) - others:
        one.join(20)
    assert told == ["JobTimeout"]
    app.close()
