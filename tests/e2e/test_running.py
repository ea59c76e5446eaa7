"""A worker process runs jobs of every kind, and ends them as they ask."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from project import finished, until

from lateshift import Call, JobError, WaitTimeout
from lateshift.runtime.terms import UNFINISHED


def test_every_kind_of_callable_runs(project):
    """Classes, functions and coroutines run, by object and by dotted name, and return their results."""
    app = project.app()
    ids = {
        app.run_background_job("app.jobs.ProcessOrder", "handle", {"order_id": 7}): "order 7 processed",
        app.run_background_job("app.jobs.add", parameters={"a": 1, "b": 2}): 3,
        app.run_background_job("app.jobs.add_later", parameters={"a": 1}): 1,
        app.run_background_job("app.jobs.AsyncOrder", parameters={"order_id": 9}): 9,
        app.run_background_job("app.jobs.isolated_add", parameters={"a": 20, "b": 3}): 23,
    }
    project.worker()
    for job_id, result in ids.items():
        job = finished(app, job_id)
        assert (job.status, job.result, job.attempts) == ("completed", result, 1), job


def test_a_failing_job_is_retried_and_then_fails(project):
    """Three retries, each attempt on record with its error and traceback; the failed() hook is called once."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.fail", parameters={"message": "no luck"})
    hooked = app.run_background_job("app.jobs.Hooked")
    project.worker()
    job = finished(app, job_id)
    assert (job.status, job.attempts, job.max_attempts) == ("failed", 4, 4)
    assert [attempt.outcome for attempt in job.history] == ["retry", "retry", "retry", "failed"]
    assert all(attempt.error.type == "ValueError" and attempt.worker for attempt in job.history)
    assert "raise ValueError(message)" in job.error.traceback
    assert "lateshift/runtime" not in job.error.traceback
    assert finished(app, hooked).status == "failed"
    assert project.journal() == ["failed: LookupError('nothing there')"]


def test_retry_snooze_and_cancel_from_inside(project):
    """A job may ask for another attempt, for a later time without using one up, or for its end."""
    app = project.app()
    retried = app.run_background_job("app.jobs.ask_retry", max_retries=1)
    snoozed = app.run_background_job("app.jobs.snooze_once", max_retries=0)
    cancelled = app.run_background_job("app.jobs.cancel_itself")
    flaky = app.run_background_job("app.jobs.FailTwice")
    project.worker()
    assert finished(app, retried).result == 2
    assert (finished(app, snoozed).result, app.get_job(snoozed).attempts) == (1, 1)
    assert finished(app, cancelled).status == "cancelled"
    assert app.get_job(cancelled).error == JobError(
        "lateshift.outcome.Cancel", "no need", app.get_job(cancelled).error.traceback
    )
    assert (finished(app, flaky).result, app.get_job(flaky).error) == (3, None)


@pytest.mark.parametrize("name", ["wait_for_file", "wait_async", "wait_isolated"])
def test_a_running_job_can_be_cancelled(project, name):
    """A thread by its own look at `cancelled`, a coroutine by cancellation, a child process by a kill."""
    app = project.app()
    job_id = app.run_background_job(f"app.jobs.{name}", parameters={"name": "never"})
    project.worker()
    until(project.journal)
    app.cancel_job(job_id)
    job = finished(app, job_id)
    assert (job.status, job.attempts) == ("cancelled", 1)
    assert job.error is None or (name != "wait_for_file" and job.error.message == "cancelled on request")


@pytest.mark.parametrize("name", ["wait_for_file", "wait_async", "wait_isolated"])
def test_a_timeout_ends_the_attempt(project, name):
    """What runs longer than its timeout fails with it, whatever it runs in."""
    app = project.app()
    job_id = app.run_background_job(f"app.jobs.{name}", parameters={"name": "never"}, timeout=0.4, max_retries=0)
    project.worker()
    job = finished(app, job_id)
    assert (job.status, job.error.type) == ("failed", "lateshift.outcome.JobTimeout")
    assert "0.4 s" in job.error.message


def test_code_that_cannot_be_stopped_costs_its_process(project):
    """A thread in a C call ignores the exception: the worker process ends, the attempt counts as timed out."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.sleep_in_c", parameters={"seconds": 60}, timeout=0.3, max_retries=0)
    worker = project.worker()
    assert worker.ended(30) == 83 + UNFINISHED
    job = app.get_job(job_id)
    assert (job.status, job.error.type) == ("failed", "lateshift.outcome.JobTimeout")


def test_exits_and_interrupts_are_failures_of_the_job(project):
    """SystemExit and KeyboardInterrupt in a job end neither the worker nor its neighbours."""
    app = project.app()
    ids = [app.run_background_job(f"app.jobs.{name}", max_retries=0) for name in ("system_exit", "keyboard_interrupt")]
    after = app.run_background_job("app.jobs.add", parameters={"a": 1})
    project.worker()
    assert [finished(app, job_id).error.type for job_id in ids] == ["SystemExit", "KeyboardInterrupt"]
    assert finished(app, after).status == "completed"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_job_that_forks_returns_once(project):
    """The forked child does not come back into the worker's loop."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.fork_away")
    worker = project.worker()
    assert finished(app, job_id).result == "the parent"
    worker.say("stop")
    assert worker.ended() == 0


def test_what_cannot_be_stored_fails_without_a_retry(project):
    """A result that is too large or no JSON fails the job: running it again would not help."""
    app = project.app()
    ids = [app.run_background_job(f"app.jobs.{name}") for name in ("huge", "not_json")]
    binary = app.run_background_job("app.jobs.print_binary")
    project.worker()
    for job_id in ids:
        job = finished(app, job_id)
        assert (job.status, job.attempts, job.error.type) == ("failed", 1, "lateshift.errors.ResultNotStorable")
    assert finished(app, binary).status == "completed"


def test_progress_and_logs_can_be_read_while_it_runs(project):
    """`get_job` shows how far a job has come; its log lines are kept with the attempt and stand in the log file."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.progress", parameters={"name": "go"})
    talk = app.run_background_job("app.jobs.talk")
    isolated = app.run_background_job("app.jobs.isolated_add", parameters={"a": 1, "b": 1})
    project.worker()
    until(lambda: app.get_job(job_id).progress == 0.25)
    assert app.get_job(job_id).progress_message == "a quarter"
    (project.folder / "go").touch()
    assert finished(app, job_id).status == "completed"
    lines = finished(app, talk).history[0].logs
    assert len(lines) == 3
    assert "line 2" in lines[2]
    assert f"{talk}" in project.logs()
    assert "adding 1 and 1" in finished(app, isolated).history[0].logs[0]


def test_a_finished_job_has_said_its_last_word(project):
    """Its progress is there no later than its end: who stops looking at that would have seen it at three quarters."""
    app = project.app()
    (project.folder / "go").touch()
    told = {
        app.run_background_job("app.jobs.progress", parameters={"name": "go"}): "a quarter",
        app.run_background_job("app.jobs.isolated_add", parameters={"a": 1, "b": 1}): "half",
    }
    project.worker()
    assert {job_id: finished(app, job_id).progress_message for job_id in told} == told


CONFIGURED = """
import logging.config
from lateshift import background
logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "root": {"level": "INFO", "handlers": []}})
def talk() -> None:
    logging.getLogger("shop").info("a word")
@background(isolation="process")
def talk_isolated() -> None:
    talk()
"""


def test_what_a_job_logs_is_kept_though_its_module_configures_logging(project):
    """dictConfig, as in django.setup(), removes all handlers of the root logger; that of Lateshift comes back."""
    (project.folder / "app/configured.py").write_text(CONFIGURED)
    app = project.app()
    ids = [app.run_background_job(f"app.configured.{name}") for name in ("talk", "talk_isolated")]
    after = app.run_background_job("app.jobs.talk")
    project.worker()
    for job_id in ids:
        assert "[shop] a word" in finished(app, job_id).history[0].logs[0]
        assert f"{job_id} app.configured" in project.logs()
    assert len(finished(app, after).history[0].logs) == 3


def test_hundreds_of_coroutines_at_once(project):
    """Two hundred coroutines of half a second are all on the loop together."""
    app = project.app()
    ids = app.enqueue_many([Call("app.jobs.many", parameters={"number": n}) for n in range(200)])
    project.worker()
    for job_id in ids:
        assert finished(app, job_id).status == "completed"
    entered = [line.split()[0] for line in project.journal("concurrency")]
    assert max(_depths(entered)) > 150


def test_priority_then_due_time_then_age(project):
    """One thread takes 10 first, then what is due longest, then the oldest; what is not due waits."""
    app = project.app()
    past = datetime.now(UTC) - timedelta(hours=1)
    calls = [
        Call("app.jobs.note", parameters={"label": "normal"}),
        Call("app.jobs.note", parameters={"label": "later"}, priority=10, delay=3600),
        Call("app.jobs.note", parameters={"label": "long due"}, run_at=past),
        Call("app.jobs.note", parameters={"label": "high"}, priority=10),
        Call("app.jobs.note", parameters={"label": "high too"}, priority=10),
        Call("app.jobs.note", parameters={"label": "normal too"}),
    ]
    ids = app.enqueue_many(calls)
    project.worker(env={"LATESHIFT_THREADS": "1"})
    for place in (0, 2, 3, 4, 5):
        finished(app, ids[place])
    assert project.journal() == ["high", "high too", "long due", "normal", "normal too"]
    assert app.get_job(ids[1]).status == "pending"


def test_a_full_worker_waits_without_spinning(project):
    """While every thread is taken and more jobs are due, the worker sleeps; coroutines still find room beside them."""
    app = project.app()
    ids = app.enqueue_many([Call("app.jobs.wait_for_file", parameters={"name": "go"}) for _ in range(3)])
    worker = project.worker(env={"LATESHIFT_THREADS": "1"})
    until(project.journal)
    beside = app.run_background_job("app.jobs.add_later", parameters={"a": 1})
    assert finished(app, beside).status == "completed"
    process = psutil.Process(worker.process.pid)
    before = process.cpu_times()
    with pytest.raises(WaitTimeout):
        app.wait_for_job(ids[1], 2.0)
    after = process.cpu_times()
    assert after.user + after.system - before.user - before.system < 1.0
    (project.folder / "go").touch()
    for job_id in ids:
        assert finished(app, job_id).status == "completed"


def test_a_paused_queue_waits(project):
    """Jobs of a paused queue stay pending while others run, and run when it is resumed."""
    app = project.app()
    app.pause_queue("mail")
    waiting = app.run_background_job("app.jobs.add", parameters={"a": 1}, queue="mail")
    other = app.run_background_job("app.jobs.add", parameters={"a": 1})
    project.worker()
    assert finished(app, other).status == "completed"
    assert app.get_job(waiting).status == "pending"
    app.resume_queue("mail")
    assert finished(app, waiting).status == "completed"


def test_stop_returns_what_does_not_finish(project):
    """A stop lets running jobs finish within the grace; what is left goes back without using up an attempt."""
    app = project.app()
    quick = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "soon"})
    slow = app.run_background_job("app.jobs.wait_async", parameters={"name": "never"})
    worker = project.worker(grace=1.0)
    until(lambda: len(project.journal()) == 2)
    worker.say("stop")
    (project.folder / "soon").touch()
    assert worker.ended() == 0
    assert app.get_job(quick).status == "completed"
    job = app.get_job(slow)
    assert (job.status, job.attempts, job.crashes) == ("pending_retry", 0, 0)


def test_a_worker_ends_in_good_order_when_its_supervisor_dies(project):
    """The end of its standard input is the end of the supervisor: the worker lets its job finish and goes."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "soon"})
    worker = project.worker()
    until(project.journal)
    worker.process.stdin.close()
    (project.folder / "soon").touch()
    assert worker.ended() == 0
    assert app.get_job(job_id).status == "completed"


def test_limits_recycle_the_process(project):
    """`max_jobs` ends the process for replacement after that many jobs, never in the middle of one."""
    app = project.app()
    ids = app.enqueue_many([Call("app.jobs.add", parameters={"a": n}) for n in range(10)])
    worker = project.worker(max_jobs=4)
    assert worker.ended() == 80
    assert sum(app.get_job(job_id).status == "completed" for job_id in ids) == 4
    assert project.worker(max_memory=1024).ended() == 81


def test_what_outlasts_the_end_of_a_worker_that_took_too_much_memory(project):
    """It may be what took it. Given back as if nothing had happened, it filled one worker after the other for ever."""
    app = project.app()
    job_id = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    assert project.worker(max_memory=1024, grace=0.1).ended() == 81
    job = app.get_job(job_id)
    assert (job.status, job.attempts, job.crashes) == ("pending_retry", 0, 1)
    assert "--max-memory" in job.error.message
    (project.folder / "go").touch()
    project.worker()
    assert finished(app, job_id).status == "completed"


def test_burst_ends_when_nothing_is_due(project):
    """With burst the worker ends by itself; delayed jobs stay for the next."""
    app = project.app()
    ids = app.enqueue_many([Call("app.jobs.add", parameters={"a": n}) for n in range(300)])
    delayed = app.run_background_job("app.jobs.add", parameters={"a": 1}, delay=3600)
    assert project.worker(burst=True).ended() == 0
    assert all(app.get_job(job_id).status == "completed" for job_id in ids)
    assert app.get_job(delayed).status == "pending"


def _depths(entered: list[str]) -> list[int]:
    depth, depths = 0, []
    for word in entered:
        depth += 1 if word == "in" else -1
        depths.append(depth)
    return depths
