"""Whatever a job does, it comes to an end with a reason, and its neighbours do not notice."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from project import finished, gone, until

from lateshift import Call
from lateshift.runtime.terms import UNFINISHED

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and fork; Windows has tests of its own")

EXTREMES = ["inf", "nan", "1e18", "1e300"]
HOSTILE = Path(__file__).with_name("hostile_jobs.py").read_text()


@pytest.fixture
def app(project):
    """An application object of a project that has the hostile jobs."""
    (project.folder / "app/hostile.py").write_text(HOSTILE)
    return project.app()


def hostile(name, /, **parameters):
    return Call(f"app.hostile.{name}", parameters=parameters, max_retries=0)


def test_a_coroutine_that_blocks_the_loop_uses_up_its_attempt(project, app):
    """Its timeout cannot fire on the loop that it blocks: the process is replaced and the attempt has timed out."""
    job_id = app.run_background_job("app.hostile.block_the_loop", timeout=0.3, max_retries=0)
    worker = project.worker()
    assert worker.ended(30) == 83 + UNFINISHED
    job = app.get_job(job_id)
    assert (job.status, job.attempts, job.error.type) == ("failed", 1, "lateshift.outcome.JobTimeout")
    assert "0.3 s" in job.error.message


def test_extreme_delays_fail_the_job_that_asked_for_them(project, app):
    """A job that snoozes for ever, or for longer than ten years, fails and is told the limit; below zero is at once."""
    ids = app.enqueue_many(
        [hostile(name, delay=delay) for name in ("snooze", "retry") for delay in EXTREMES] + [hostile("snooze_far")]
    )
    past = app.enqueue_many([hostile("snooze_into_the_past")])[0]
    worker = project.worker(env={"LATESHIFT_THREADS": "1"})
    for job_id in ids:
        job = finished(app, job_id)
        assert (job.status, job.error.type) == ("failed", "lateshift.errors.InvalidOption")
        assert "ten years" in job.error.message or "nan" in job.error.message
    assert finished(app, past).result == 1
    assert worker.process.poll() is None


@pytest.mark.parametrize("name", ["altered_snooze", "altered_snooze_async"])
def test_an_outcome_that_cannot_be_decided_or_stored_fails_its_job_only(project, app, name):
    """Whatever goes wrong after the job's own code, the attempt ends with the reason; its neighbours are settled."""
    bad = app.enqueue_many([hostile(name, delay=delay) for delay in EXTREMES])
    good = app.enqueue_many([hostile("note", label=str(n)) for n in range(50)])
    worker = project.worker(env={"LATESHIFT_THREADS": "1"})
    for job_id in bad:
        job = finished(app, job_id)
        assert (job.status, job.attempts) == ("failed", 1)
        assert job.error.type in ("OverflowError", "ValueError")
    assert {finished(app, job_id).status for job_id in good} == {"completed"}
    assert project.journal() == [str(n) for n in range(50)]
    assert worker.process.poll() is None


@pytest.mark.parametrize("name", ["HookRaises", "AsyncHookRaises"])
def test_a_failed_hook_that_raises_what_cannot_be_stored(project, app, name):
    """What the failed() hook raised stands in the attempt's log, made storable."""
    job_id = app.enqueue_many([hostile(name)])[0]
    project.worker()
    job = finished(app, job_id)
    assert (job.status, job.error.type) == ("failed", "LookupError")
    assert "ValueError: half a pair \\udcff" in job.history[-1].logs[-1]


def test_text_that_no_database_holds(project, app):
    """Half a surrogate pair in the name of an exception's type, in its message or in a result fails just the job."""
    strange, result, silent = app.enqueue_many(
        [hostile(n) for n in ("strange_type", "strange_result", "cannot_be_described")]
    )
    project.worker()
    error = finished(app, strange).error
    assert (error.type, error.message) == ("app.hostile.half a pair \\udcff", "half a pair \\udcff")
    assert finished(app, result).error.type == "lateshift.errors.ResultNotStorable"
    assert finished(app, silent).status == "failed"


def test_progress_is_made_storable(project, app):
    """Half a surrogate pair in a message is shown escaped; what is no text fails the job that told it."""
    told, number = app.enqueue_many([hostile("tell_surrogate", name="go"), hostile("tell_number")])
    project.worker()
    until(lambda: app.get_job(told).progress_message == "half a pair \\udcff")
    (project.folder / "go").touch()
    assert finished(app, told).status == "completed"
    job = finished(app, number)
    assert (job.status, job.error.type) == ("failed", "lateshift.errors.InvalidOption")
    assert "int" in job.error.message


@pytest.mark.parametrize("name", ["task_that_exits", "stop_the_loop"])
def test_a_job_cannot_end_the_event_loop(project, app, name):
    """SystemExit in a task of its own making, or `loop.stop()`: the coroutines of this worker go on."""
    neighbour = app.enqueue_many([hostile("wait_async", name="go")])[0]
    project.worker()
    until(project.journal)
    job_id = app.enqueue_many([hostile(name)])[0]
    assert finished(app, job_id).result == "the loop goes on"
    (project.folder / "go").touch()
    assert finished(app, neighbour).result == "go"


@pytest.mark.parametrize("name", ["fork_and_wait", "fork_and_spin"])
def test_a_coroutine_that_forks_leaves_no_second_worker(project, app, name):
    """The child ends when it comes back to the loop; the parent goes on as if nothing had been."""
    neighbour = app.enqueue_many([hostile("wait_async", name="go")])[0]
    worker = project.worker()
    until(project.journal)
    job_id = app.enqueue_many([hostile(name)])[0]
    assert finished(app, job_id).result == "the parent"
    child = int(project.journal()[1].split()[1])
    until(lambda: gone(child))
    (project.folder / "go").touch()
    assert finished(app, neighbour).result == "go"
    worker.say("stop")
    assert worker.ended() == 0


def test_a_forked_child_ends_on_sigterm(project, app):
    """The worker's own way to take SIGTERM is not inherited: a pool of a job's own can end its processes."""
    job_id = app.enqueue_many([hostile("fork_and_terminate")])[0]
    project.worker()
    assert finished(app, job_id).result == -signal.SIGTERM


def test_a_timeout_counts_the_making_of_the_instance(project, app):
    """The clock of a timeout runs while the class's `__init__` does."""
    job_id = app.run_background_job("app.hostile.SlowToMake", timeout=0.3, max_retries=0)
    project.worker()
    assert finished(app, job_id, 8).error.type == "lateshift.outcome.JobTimeout"


def test_a_timeout_is_kept_under_load(project, app):
    """A worker that is busy with thousands of short jobs still ends the one that is over time."""
    job_id = app.run_background_job("app.jobs.loop_for_ever", timeout=0.3, max_retries=0, priority=10)
    short = [hostile("nothing") for _ in range(150_000)]  # a fast machine had run half of 60,000 by then
    app.enqueue_many(short)
    project.worker(env={"LATESHIFT_LOG_LEVEL": "ERROR"})
    assert finished(app, job_id).error.type == "lateshift.outcome.JobTimeout"
    ((pending,),) = app.database.query("select count(*) from lateshift_jobs where status = 'pending'")
    assert pending > len(short) / 2
