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


@pytest.mark.parametrize(("retries", "status", "words"), [(0, "failed", ["JobTimeout"]), (1, "pending_retry", [])])
def test_its_failed_hook_is_called_when_it_has_no_attempt_left(tmp_path, monkeypatch, retries, status, words):
    """It was not, by `lateshift run` alone; with an attempt left, the job waits until this process has ended."""
    monkeypatch.setattr(thread, "STUCK_AFTER", 0.05)
    go.clear()
    told.clear()
    url = f"sqlite:///{tmp_path}/lateshift.db"
    app = Lateshift(database_url=url, storage_dir=tmp_path, allowed=[__name__], spawn="never", retry_delay=0)
    job_id = app.run_background_job(Unstoppable, max_retries=retries)
    job = inline.run_one(app, job_id)
    assert (job.status, job.attempts, told) == (status, 1, words)
    assert status == "failed" or (job.run_at - job.history[0].finished_at).total_seconds() > 0.9
    go.set()
    app.close()
