"""`lateshift.testing`, as a user's tests use it."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import testing_jobs
from testing_jobs import (
    Crate,
    Order,
    broken,
    cancelled_on_its_way,
    chatty,
    done,
    exiting,
    far_away,
    heeding_its_cancel,
    interrupted,
    note,
    packed,
    settling_in,
    tree,
    tree_drained,
    unsteady,
    user,
    where,
    where_async,
    where_isolated,
)

import lateshift
from lateshift.default import get_app
from lateshift.errors import InvalidOption
from lateshift.events import JobFinished, JobStarted
from lateshift.storage import reads
from lateshift.testing import FrozenClock, assert_enqueued, drain, enqueued_jobs, inline, isolated

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_done():
    done.clear()


@pytest.fixture
def clock():
    return FrozenClock(NOON)


@pytest.fixture
def app(clock):
    with isolated(allowed=[testing_jobs.__name__], clock=clock, max_retries=0) as app:
        yield app


def enqueue(job, **options):
    return lateshift.run_background_job(job, **options)


def drained():
    return [(job.status, job.result) for job in drain()]


def test_what_was_enqueued_can_be_asserted_and_drained(app):
    """In an isolated application object jobs wait until they are drained, in claim order."""
    unsteady.enqueue(fail=False)
    assert_enqueued(unsteady, parameters={"fail": False})
    with pytest.raises(AssertionError):
        assert_enqueued(unsteady, parameters={"fail": True})
    assert drained() == [("completed", "done")]
    assert drained() == []


def test_time_moves_by_hand(app, clock):
    """A retry becomes due when the frozen clock is moved, and not before."""
    job_id = unsteady.enqueue(fail=True)
    drain()
    job = lateshift.get_job(job_id)
    assert (job.status, job.run_at, job.error.message) == ("pending_retry", NOON + timedelta(minutes=1), "no answer")
    clock.move(59.999)
    assert drain() == []
    clock.move(0.001)
    assert drained() == [("completed", "done")]
    assert [attempt.outcome for attempt in lateshift.get_job(job_id).history] == ["retry", "completed"]


@pytest.mark.parametrize("seconds", [90, 90.0, timedelta(minutes=1.5)])
def test_a_frozen_clock_stands_until_it_is_moved(seconds):
    """The clock stays at the moment it was given, goes on by numbers and timedeltas, and goes back."""
    clock = FrozenClock(NOON.astimezone(timezone(timedelta(hours=5))))
    assert (clock.at, clock.at.tzinfo, clock.monotonic()) == (NOON, UTC, 0)
    clock.move(seconds)
    assert (clock.at, clock.monotonic()) == (NOON + timedelta(seconds=90), 90)
    clock.sleep(10)
    clock.move(-100)
    assert (clock.at, clock.now()) == (NOON, round(NOON.timestamp() * 1_000_000))


def test_a_frozen_clock_begins_now_and_wants_a_time_zone():
    """Without a moment the clock stands at the present, and a naive datetime is refused with what to give instead."""
    before = datetime.now(UTC)
    assert before <= FrozenClock().at <= datetime.now(UTC)
    with pytest.raises(InvalidOption, match=r"has no time zone: give an aware datetime, as datetime\.now\(UTC\)"):
        FrozenClock(datetime(2026, 11, 24))  # noqa: DTZ001 - a naive one is what is refused


def test_delays_and_moments_wait_for_the_clock(app, clock):
    """A job with `delay` or `run_at` runs once the clock is there, and its times are those of the clock."""
    late = enqueue(note, parameters={"what": "late"}, delay=timedelta(hours=2))
    enqueue(note, parameters={"what": "soon"}, run_at=NOON + timedelta(hours=1))
    assert drain() == []
    clock.move(3600)
    assert drained() == [("completed", "soon")]
    clock.move(3600)
    drain()
    job = lateshift.get_job(late)
    assert (job.enqueued_at, job.started_at, job.finished_at) == (NOON, clock.at, clock.at)


def test_drain_takes_the_highest_priority_then_what_is_due_longest(app, clock):
    """Jobs run in the order in which one worker would claim them, across queues and kinds."""
    enqueue(note, parameters={"what": "third"})
    clock.move(1)
    enqueue(note, parameters={"what": "fourth"}, queue="a")
    enqueue(note, parameters={"what": "second"}, priority=5, queue="b")
    enqueue(note, parameters={"what": "first"}, priority=10)
    assert [job.result for job in drain()] == done == ["first", "second", "third", "fourth"]


def test_drain_of_a_queue_and_up_to_a_limit(app):
    """`queue` leaves other queues alone, `limit` stops after so many, and a paused queue waits to be resumed."""
    for number in range(3):
        enqueue(note, parameters={"what": f"mail {number}"}, queue="mail")
    enqueue(note, parameters={"what": "other"}, priority=9)
    lateshift.pause_queue("default")
    assert drain(queue="nobody's") == drain(limit=0) == []
    assert [job.result for job in drain("mail", limit=2)] == ["mail 0", "mail 1"]
    assert [job.result for job in drain()] == ["mail 2"]
    lateshift.resume_queue("default")
    assert [job.result for job in drain()] == ["other"]


def test_drain_runs_what_jobs_enqueue(app):
    """Jobs enqueued by jobs run in the same call, after the one that enqueued them, up to the limit."""
    enqueue(tree, parameters={"depth": 2})
    assert len(drain(limit=2)) == 2
    assert len(drain()) == 1
    assert done == ["begin 2", "end 2", "begin 1", "end 1", "begin 0", "end 0"]


def test_a_job_that_drains(app):
    """A job may itself drain: what it gets are the others, and it completes after them."""
    enqueue(tree_drained)
    assert drained() == [("completed", ["completed"])]
    assert reads.workers(app.database) == []


@pytest.mark.parametrize("job", [where, where_async, where_isolated])
def test_all_kinds_of_jobs_run_in_the_calling_thread(app, job):
    """Sync, async and isolated jobs see the test's thread, process and context variables; timeouts are not enforced."""
    token = user.set("anna")
    enqueue(job)
    here = [threading.get_ident(), os.getpid(), "anna"]
    assert drained() == [("completed", here)]
    with inline():
        assert lateshift.get_job(enqueue(job)).result == here
    user.reset(token)


def test_timeouts_are_not_enforced(app):
    """A job longer than its timeout completes, however far the clock moves meanwhile."""
    job_id = enqueue(note, parameters={"what": "slow"}, timeout=5)
    app.events.subscribe(lambda batch: [app.clock.move(60) for event in batch if isinstance(event, JobStarted)])
    drain()
    job = lateshift.get_job(job_id)
    assert (job.status, job.timeout, job.finished_at - job.started_at) == ("completed", 5, timedelta(minutes=1))


@pytest.mark.parametrize("job", [where, where_async, where_isolated])
def test_jobs_run_in_line_under_an_event_loop(app, job):
    """In a coroutine, sync and async calls run jobs of all kinds too, with its context variables."""

    async def test():
        user.set("anna")
        with inline():
            ids = [enqueue(job), await lateshift.arun_background_job(job)]
        enqueue(job)
        return [lateshift.get_job(job_id) for job_id in ids] + drain()

    jobs = asyncio.run(test())
    assert [(job.status, *job.result[1:]) for job in jobs] == [("completed", os.getpid(), "anna")] * 3


def test_a_job_sets_context_variables_for_itself(app):
    """As in a worker, where neither the next job nor anybody else has them."""
    enqueue(settling_in, parameters={"name": "anna"})
    enqueue(settling_in, parameters={"name": "bert"})
    assert [result for _, result in drained()] == ["nobody", "nobody"]
    assert user.get() == "nobody"


def test_failures_are_stored_and_told(app):
    """A job that fails for good has its error and traceback, and its class's failed() was called; nothing is raised."""
    job_id = enqueue(Order)
    [job] = drain()
    assert (job.id, job.status, job.error.type, job.error.message) == (job_id, "failed", "LookupError", "lost")
    assert "in handle" in job.error.traceback
    assert done == ["failed: lost"]


def test_a_set_is_found_in_whatever_order_it_was_stored(app):
    """Equal sets may give their members in different orders, also within an object."""
    one, other = {0, 8}, {8, 0}
    assert (one, list(one)) != (other, list(other))
    parameters = {"lists": [one], "crate": Crate(one)}
    packed.enqueue(**parameters)
    assert_enqueued(packed, parameters={"lists": [other], "crate": Crate(other)})
    assert enqueued_jobs(packed, parameters={"lists": [other], "crate": Crate({8})}) == []
    assert enqueued_jobs(packed, parameters={"lists": 5}) == []


def test_exits_stay_inside_and_interrupts_come_out(app):
    """SystemExit fails its job only; Ctrl-C ends the drain or the enqueuing once the outcome is stored."""
    enqueue(exiting)
    assert [job.error.type for job in drain()] == ["SystemExit"]
    enqueue(interrupted)
    with pytest.raises(KeyboardInterrupt):
        drain()
    with inline(), pytest.raises(KeyboardInterrupt):
        enqueue(interrupted)
    assert [job.status for job in enqueued_jobs(interrupted)] == ["failed"] * 2
    assert reads.workers(app.database) == []


def test_cancelled_jobs_do_not_run(app):
    """A waiting job that is cancelled stays as it is; retried by hand, it runs."""
    job_id = enqueue(note, parameters={"what": "later"})
    lateshift.cancel_job(job_id)
    assert drain() == []
    lateshift.retry_job(job_id)
    assert drained() == [("completed", "later")]


def test_a_running_job_sees_that_it_is_cancelled(app):
    """A job that looks at `cancelled` ends as cancelled, and one that does not look any more completes."""
    enqueue(heeding_its_cancel)
    assert drained() == [("cancelled", 3)]
    with inline():
        job = lateshift.get_job(enqueue(cancelled_on_its_way))
    assert (job.status, job.result, job.cancel_requested) == ("completed", False, True)


def test_logs_and_progress_are_kept_as_in_a_worker(app):
    """What a job logs from LATESHIFT_LOG_LEVEL up is kept with its attempt, and the root logger is left as it was."""
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    root.setLevel(logging.WARNING)
    try:
        enqueue(chatty)
        [job] = drain()
        assert root.level == logging.WARNING
    finally:
        root.setLevel(before[0])
    assert (job.progress, job.progress_message) == (0.5, "half")
    [line] = job.history[0].logs
    assert line.endswith("INFO    [shop] packed")
    assert root.handlers == before[1]
    assert any("packed" in file.read_text() for file in (app.settings.storage_dir / "logs").iterdir())


def test_events_are_those_of_a_worker(app):
    """Subscribers hear of the beginning and the end of each attempt, in that order."""
    told = []
    app.events.subscribe(told.extend)
    enqueue(broken)
    [job] = drain()
    started, finished = told[1:]
    assert (type(started), type(finished)) == (JobStarted, JobFinished)
    assert (finished.job_id, finished.attempt, finished.outcome.kind) == (job.id, 1, "failed")
    assert finished.worker == started.worker == job.worker


def test_inline_runs_at_once():
    """With inline() a job has ended when it has been enqueued, and what it raises is in the job."""
    with isolated(allowed=[testing_jobs.__name__], max_retries=0), inline() as app:
        assert app is get_app()
        assert lateshift.get_job(unsteady.enqueue(fail=False)).status == "completed"
        assert lateshift.get_job(enqueue(broken)).error.message == "no stock"


def test_inline_ends_with_its_block(app):
    """After the block jobs wait again, also when it ended with an exception."""
    before = app.settings
    with pytest.raises(ZeroDivisionError), inline():
        raise ZeroDivisionError
    assert lateshift.get_job(enqueue(note, parameters={"what": "x"})).status == "pending"
    assert app.settings == before


def test_inline_runs_children_before_their_parent_goes_on(app):
    """What a job enqueues in line has ended before its next line, each with a context of its own."""
    with inline():
        job_id = enqueue(tree, parameters={"depth": 2})
    assert done == ["begin 2", "begin 1", "begin 0", "end 0", "end 1", "end 2"]
    assert lateshift.get_job(job_id).result == job_id
    assert [job.result == job.id for job in enqueued_jobs(tree)] == [True] * 3


def test_inline_runs_many_in_claim_order(app):
    """Jobs enqueued together run by priority, then in their order."""
    calls = [lateshift.Call(note, parameters={"what": what}, priority=rank) for what, rank in [("b", 1), ("a", 9)]]
    with inline():
        lateshift.enqueue_many([*calls, lateshift.Call(note, parameters={"what": "c"})])
    assert done == ["a", "b", "c"]


def test_inline_leaves_what_a_worker_would_leave(app, clock):
    """Delayed jobs, those of paused queues and failed attempts stay for drain; a retry by hand runs at once."""
    lateshift.pause_queue("mail")
    with inline():
        enqueue(note, parameters={"what": "delayed"}, delay=1)
        enqueue(note, parameters={"what": "paused"}, queue="mail")
        failing = unsteady.enqueue(fail=True)
        assert (done, drain()) == ([], [])
        lateshift.retry_job(failing)
        assert lateshift.get_job(failing).status == "completed"
        lateshift.resume_queue("mail")
        clock.move(1)
        assert [job.result for job in drain()] == ["paused", "delayed"]


def test_inline_within_inline_runs_a_job_once(app):
    """Nested blocks on one object are as one: an attempt that fails without a delay is not followed by another."""
    with inline():
        with inline():
            job = lateshift.get_job(enqueue(broken, max_retries=5, retry_delay=0))
        assert (job.status, job.attempts, done) == ("pending_retry", 1, ["broken"])
        assert lateshift.get_job(enqueue(note, parameters={"what": "x"})).status == "completed"
    assert lateshift.get_job(enqueue(note, parameters={"what": "y"})).status == "pending"


def test_inline_leaves_jobs_of_an_open_transaction(clock):
    """A job enqueued through `connection=` is not waited for; it can be drained once that has committed."""
    complaints = []
    with isolated(allowed=[testing_jobs.__name__], clock=clock, busy_timeout=0) as app, inline():
        app.events._complain = complaints.append
        connection = sqlite3.connect(app.database.path)
        job_id = enqueue(note, parameters={"what": "x"}, connection=connection)
        connection.commit()
        connection.close()
        assert (complaints, lateshift.get_job(job_id).status) == ([], "pending")
        assert drained() == [("completed", "x")]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_draining_in_a_forked_process(tmp_path):
    """A process that was forked, as parallel test runners do, drains as any other: it is no copy of a worker."""
    program = textwrap.dedent("""
        import os, sys
        from lateshift.testing import drain, isolated
        sys.path[:0] = sys.argv[1:]
        from testing_jobs import note
        import lateshift
        if os.fork():
            sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
        with isolated(allowed=["testing_jobs"]):
            lateshift.run_background_job(note, parameters={"what": "x"})
            assert len(drain()) == 1
        os._exit(7)
    """)
    command = [sys.executable, "-c", program, str(Path(testing_jobs.__file__).parent)]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 7


def test_an_outcome_that_cannot_be_stored_fails_the_job(app):
    """As in a worker, a job that goes round the checks of what it raises fails with the reason."""
    lateshift.run_background_job(far_away, max_retries=0)
    (job,) = drain()
    assert (job.status, job.error.type) == ("failed", "OverflowError")
    assert "the outcome (snoozed) cannot be stored" in job.error.message
