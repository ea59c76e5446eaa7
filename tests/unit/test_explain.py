"""`explain` says in words what a waiting job waits for; each case is made of real rows, at a frozen moment."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest
from explain_stage import DAY, MINUTE, SECOND, START, Stage, staged

from lateshift import Call, JobNotFound
from lateshift.explain import explain
from lateshift.host import permits
from lateshift.job import JobError, moment
from lateshift.outcome import Outcome, returned
from lateshift.storage import counting
from lateshift.storage.workers import NO_QUEUE
from lateshift.wording import local_time

NO_PYTHON = JobError("FileNotFoundError", "no Python")


@pytest.fixture
def stage(tmp_path):
    with staged(tmp_path) as stage:
        yield stage


def test_an_unknown_job_is_refused(stage):
    """There is nothing to explain about a job that is not there."""
    with pytest.raises(JobNotFound):
        explain(stage.app, "nope")


def test_a_delayed_job(stage):
    """It says for how long and until which local time, and promises nothing before."""
    stage.hire()
    job_id = stage.enqueue(delay=180)
    text = stage.explained(job_id)
    assert f"It is delayed: it is due at {local_time(moment(START + 3 * MINUTE))}, in 3 min." in text
    assert "Nothing stands before it" not in text


def test_a_date_far_away_is_told_as_a_date(stage):
    """Nobody counts by hundred thousands of days, neither back nor ahead."""
    stage.hire()
    long_ago = stage.enqueue(run_at=datetime(1, 1, 1, tzinfo=UTC))
    ahead = moment(START + 3_600 * DAY)
    in_years = stage.enqueue(run_at=ahead)
    assert f"It has been due since {local_time(datetime(1, 1, 1, tzinfo=UTC))} and waits" in stage.explained(long_ago)
    assert f"it is due at {local_time(ahead)}." in stage.explained(in_years)


def test_a_paused_queue(stage):
    """It names the queue and the command that resumes it."""
    stage.hire()
    job_id = stage.enqueue(queue="mail")
    stage.app.pause_queue("mail")
    text = stage.explained(job_id)
    assert "The queue 'mail' is paused: the job waits until `lateshift queues resume mail`." in text
    assert "Nothing stands before it" not in text


def test_a_paused_queue_that_no_worker_serves(stage, tmp_path):
    """Waiting for the job and starting a worker are no advice: neither has it done before the queue is resumed."""
    job_id = stage.enqueue()
    stage.app.pause_queue("default")
    other = Stage(tmp_path, spawn="auto")
    text = other.explained(job_id)
    other.app.close()
    assert "No worker is running. One starts by itself when the queue is resumed." in text
    assert "has it done" not in text


def test_nothing_in_the_way(stage):
    """A due job with a living worker is about to be taken."""
    stage.hire()
    job_id = stage.enqueue(priority=4)
    stage.passes(3 * SECOND)
    text = stage.explained(job_id)
    assert "It has been due for 3 s and waits in the queue 'default' with priority 4." in text
    assert "Nothing stands before it: 1 worker can take it" in text


def test_behind_others(stage):
    """It counts the due jobs of higher priority and the older ones of its own, and no others."""
    stage.hire()
    stage.app.enqueue_many(Call("shop.send", priority=9) for _ in range(1204))
    stage.app.enqueue_many(
        [
            Call("shop.send", priority=3),
            Call("shop.send", priority=9, delay=60),
            Call("shop.send", queue="mail", priority=9),
        ]
    )
    stage.enqueue(priority=5)
    stage.passes(1)
    job_id = stage.enqueue(priority=5)
    text = stage.explained(job_id)
    assert "It is behind 1,204 jobs of higher priority and 1 job of its own priority that was due before it." in text
    assert "1 worker serves the queue, highest priority first." in text


def test_behind_more_than_are_counted(stage, monkeypatch):
    """Counting ends at a limit, and the sentence says so."""
    monkeypatch.setattr(counting, "COUNT_LIMIT", 20)
    stage.hire()
    stage.app.enqueue_many(Call("shop.send", priority=9) for _ in range(30))
    assert "It is behind more than 20 jobs of higher priority." in stage.explained(stage.enqueue())


def test_no_worker_and_none_starts_by_itself(stage):
    """With LATESHIFT_SPAWN=never it takes somebody to start a worker."""
    text = stage.explained(stage.enqueue())
    assert "No worker is running. None starts by itself, because LATESHIFT_SPAWN is never" in text
    assert "`lateshift work`" in text


def test_no_worker_though_one_starts_by_itself(stage, tmp_path):
    """Where runners start by themselves it says what starts one, and where its last words are."""
    job_id = stage.enqueue()
    other = Stage(tmp_path, spawn="auto")
    text = other.explained(job_id)
    other.app.close()
    assert "No worker is running. One starts by itself whenever a job is enqueued or waited for" in text
    assert str(tmp_path / "logs" / "runner.log") in text


def test_no_worker_serves_the_queue(stage):
    """Workers for other queues do not help, and it names those queues."""
    stage.hire("host-1", ("mail", "pdf"))
    stage.hire("host-2", ("mail",))
    text = stage.explained(stage.enqueue(queue="images"))
    assert "No worker serves the queue 'images': 2 workers are alive, for 'mail', 'pdf' only." in text


def test_a_worker_that_takes_no_more_jobs_is_no_worker_for_a_queue(stage):
    """One that drains, or runs a single job, is there, but not for this."""
    stage.hire("host-1", (NO_QUEUE,))
    job_id = stage.enqueue()
    assert "No worker takes new jobs. None starts by itself" in stage.explained(job_id)
    stage.hire("host-2", ("mail",))
    assert "1 worker is alive, for 'mail' only." in stage.explained(job_id)


def test_what_starts_a_worker_beside_those_of_other_queues(stage, tmp_path):
    """A job of one of their queues starts none."""
    stage.hire("host-1", ("mail",))
    job_id = stage.enqueue(queue="images")
    other = Stage(tmp_path, spawn="auto")
    text = other.explained(job_id)
    other.app.close()
    assert "One starts by itself whenever a job of this queue is enqueued or waited for" in text


def test_dead_workers_do_not_count(stage):
    """A worker that has been silent for longer than its lease serves nobody."""
    stage.hire()
    stage.passes(MINUTE)
    assert "No worker is running." in stage.explained(stage.enqueue())


def test_not_allowed(stage, tmp_path):
    """It says before any attempt that the allow-list will refuse the callable, and how to allow it."""
    job_id = stage.enqueue()
    stage.app.close()
    strict = Stage(tmp_path, allowed=["other"])
    strict.hire()
    text = strict.explained(job_id)
    strict.app.close()
    assert (
        "It is not allowed, and fails as soon as a worker with the settings of this folder takes it: 'shop.send'"
        in text
    )
    assert "LATESHIFT_ALLOWED=other,shop" in text


@pytest.mark.parametrize(
    ("spawn", "workers", "told"),
    [("auto", [], False), ("never", [], True), ("never", ["runner"], False), ("auto", ["runner", "worker"], True)],
)
def test_what_its_program_has_granted_to_the_runner(stage, tmp_path, monkeypatch, spawn, workers, told):
    """It is for runners only: a `lateshift work` that serves the queue, or is to be started, has a list of its own.

    And no dashboard imports it, whose own list it would set in its place.
    """
    job_id = stage.enqueue()
    stage.app.close()
    monkeypatch.delitem(sys.modules, "shop")
    strict = Stage(tmp_path, allowed=["other"], spawn=spawn)
    permits.grant(strict.app.settings, ["shop"])
    strict.hire("of another queue", ("mail",))
    for kind in workers:
        strict.hire(kind, kind=kind)
    assert ("It is not allowed" in strict.explained(job_id)) is told
    assert "shop" not in sys.modules
    strict.app.close()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def other(): ...", "shop has no 'send'"),
        ("import not_there_at_all", "No module named 'not_there_at_all'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_callable_that_cannot_be_imported(stage, tmp_path, source, words):
    """The callable was deleted, or its module broke, between enqueuing and now."""
    stage.hire()
    job_id = stage.enqueue()
    del sys.modules["shop"]
    (tmp_path / "shop.py").write_text(f"# {'changed' * 9}\n{source}\n")
    text = stage.explained(job_id)
    assert "Its callable cannot be imported here: 'shop.send'" in text
    assert words in text


def test_standard_output_is_left_alone(stage, tmp_path):
    """It belongs to the whole process: threads of a dashboard that turn it in turns would leave it turned for good."""
    job_id, out = stage.enqueue(), sys.stdout
    del sys.modules["shop"]
    shop = (tmp_path / "shop.py").read_text()
    (tmp_path / "shop.py").write_text(f"{shop}\nimport sys\nOUT = sys.stdout\n")
    stage.explained(job_id)
    assert sys.modules["shop"].OUT is out


def test_waiting_for_a_retry(stage):
    """It says which retry of how many, when, and what the last attempt failed with."""
    stage.hire()
    job_id = stage.enqueue(max_retries=3)
    stage.fails(job_id, retry_in=0)
    stage.fails(job_id, retry_in=10 * SECOND, error="no\nanswer")
    stage.beats()
    stage.passes(SECOND)
    text = stage.explained(job_id)
    assert "Attempt 2 of 4 failed 1 s ago with ConnectionError: no answer." in text
    assert f"Retry 2 of 3 is due at {local_time(moment(START + 14 * SECOND))}, in 9 s." in text


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome("snoozed", "pending_retry", START, START, run_at=START + MINUTE, counts=False), "(Snooze), 0 ms ago"),
        (returned(START, START, 60.0), "Its worker stopped 0 ms ago and gave it back unfinished"),
        (
            Outcome("returned", "pending_retry", START, START, START + MINUTE, error=NO_PYTHON, counts=False),
            "It could not begin 0 ms ago, for FileNotFoundError: no Python;",
        ),
        (
            Outcome("lost", "pending_retry", START, START, run_at=START + MINUTE, counts=False),
            "Its worker died 0 ms ago, before it could write how the attempt had ended;",
        ),
    ],
)
def test_waiting_again_without_having_failed(stage, outcome, words):
    """A snooze, a stopped worker, no Python and an unwritten end are told apart from errors, and use up no attempt."""
    stage.hire()
    job_id = stage.enqueue()
    stage.ends(stage.claim(job_id), outcome)
    text = stage.explained(job_id)
    assert words in text
    assert "that uses up no attempt" in text
    assert "It is due at " in text


def test_waiting_after_a_crash(stage):
    """A job whose worker died says so, and how many such deaths it has left."""
    stage.hire()
    job_id = stage.enqueue()
    stage.dies(stage.claim(job_id))
    text = stage.explained(job_id)
    assert "Its worker died under it 0 ms ago, so it runs again" in text
    assert "Its worker died under it once; it fails after 3 times, or after 10 if others ran beside it." in text


def test_sent_to_run_again(stage):
    """A failed job that an operator retries says why it waits although it has failed."""
    stage.hire()
    job_id = stage.enqueue(max_retries=0)
    stage.fails(job_id)
    stage.app.retry_job(job_id)
    text = stage.explained(job_id)
    assert "Its last attempt failed 0 ms ago; it was then sent to run again, with all its attempts." in text
