"""What jobs do to their worker that they must not: each comes to its end, and its neighbours do not notice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from project import finished, until

HOSTILE = Path(__file__).with_name("hostile_jobs.py").read_text()


@pytest.fixture
def hostile(project):
    """The project with `app.hostile`, and a worker in it."""
    (project.folder / "app/hostile.py").write_text(HOSTILE)
    project.worker()
    return project


@pytest.mark.parametrize("delay", ["inf", "nan", "negative", "huge"])
@pytest.mark.parametrize("way", ["snooze", "retry"])
def test_delays_beyond_reason(hostile, way, delay):
    """A delay without end, or that is no number, is ten years or none; the job's thread goes on to others."""
    app = hostile.app()
    job_id = app.run_background_job(f"app.hostile.{way}", parameters={"delay": delay}, max_retries=1)
    quick = app.run_background_job("app.hostile.quick", run_at=datetime.now(UTC) + timedelta(seconds=0.1))
    assert finished(app, quick).status == "completed"
    job = until(lambda: (job := app.get_job(job_id)).history and job)
    if delay in ("inf", "huge"):
        assert job.status == "pending_retry"
        assert job.run_at > datetime.now(UTC) + timedelta(days=3600)
    elif way == "retry":
        assert finished(app, job_id).attempts == 2
    else:  # it snoozes again and again, and is due at once
        app.cancel_job(job_id)
        assert finished(app, job_id).status == "cancelled"


@pytest.mark.parametrize("name", ["FailedHook", "badly_named_error", "unprintable_error", "result"])
def test_text_that_no_database_takes(hostile, name):
    """Half a surrogate pair or a NUL in an error, its type, a hook's error or a result fails that job alone."""
    app = hostile.app()
    job_id = app.run_background_job(f"app.hostile.{name}", max_retries=0)
    quick = app.run_background_job("app.hostile.quick")
    job = finished(app, job_id)
    assert (job.status, job.crashes, job.error is not None) == ("failed", 0, True)
    assert (finished(app, quick).status, app.get_job(quick).crashes) == ("completed", 0)


@pytest.mark.parametrize(
    ("message", "kept"), [("surrogate", "\\udcff"), ("number", str(2**70)), ("object", "<object"), ("long", "x" * 1000)]
)
def test_any_progress_message(hostile, message, kept):
    """A message is kept as text that can be stored, and not more than 1,000 characters of it."""
    app = hostile.app()
    job = finished(app, app.run_background_job("app.hostile.progress", parameters={"message": message}))
    assert job.status == "completed"
    job = until(lambda: (found := app.get_job(job.id)).progress is not None and found)
    assert (job.progress, (job.progress_message or "")[:1000].startswith(kept)) == (0.5, True)
    assert len(job.progress_message) <= 1000


@pytest.mark.slow
def test_a_coroutine_that_blocks_the_loop_times_out(hostile):
    """Its timeout cannot interrupt it, so the worker process ends; the attempt is used up and counts as timed out."""
    app = hostile.app()
    job_id = app.run_background_job("app.hostile.block", parameters={"seconds": 60}, timeout=0.3, max_retries=0)
    job = finished(app, job_id, 30)
    assert (job.status, job.error.type, job.attempts) == ("failed", "lateshift.outcome.JobTimeout", 1)


@pytest.mark.parametrize(("name", "result"), [("child_exits", "left True"), ("stop_the_loop", "went on")])
def test_the_event_loop_goes_on(hostile, name, result):
    """A task that exits, or a job that stops the loop, does not leave the other coroutines hanging."""
    app = hostile.app()
    job_id = app.run_background_job(f"app.hostile.{name}")
    assert finished(app, job_id).result == result
    assert finished(app, app.run_background_job("app.jobs.add_later", parameters={"a": 1})).result == 1


def test_a_coroutine_that_forks_returns_once(hostile):
    """The forked child ends with the job and does not live on as a second worker."""
    app = hostile.app()
    assert finished(app, app.run_background_job("app.hostile.fork_in_loop")).result == "the parent"
    child = int((hostile.folder / "forked").read_text())
    until(lambda: not psutil.pid_exists(child))


def test_a_timeout_covers_the_making_of_the_instance(hostile):
    """A constructor that takes for ever is interrupted like the method."""
    app = hostile.app()
    job = finished(app, app.run_background_job("app.hostile.SlowToMake"))
    assert (job.status, job.error.type) == ("failed", "lateshift.outcome.JobTimeout")
