"""What people and programs ask: lists, counts, queues at a glance, how many stand before a job."""

from __future__ import annotations

import contextlib

import pytest

from lateshift import JobNotFound, Lateshift
from lateshift.explain import explain
from lateshift.job import STATUSES
from lateshift.runtime.inline import run_one
from lateshift.storage import counting, reads, writes


@pytest.mark.parametrize("status", STATUSES)
def test_a_job_in_each_status(steps, status):
    """Every status is stored and read as its word, and counted."""
    job_id = steps.in_status(status)
    assert steps.get(job_id).status == steps.status(job_id) == status
    assert reads.counts(steps.db) == dict.fromkeys(STATUSES, 0) | {status: 1}


def test_an_unknown_job_is_none(steps):
    """No id, no job; and no error."""
    assert reads.get(steps.db, "no-such-job", history=True) is None
    assert reads.status(steps.db, "no-such-job") is None


def test_jobs_are_listed_newest_first_page_by_page(steps):
    """The last id of a page leads to the next one, without a gap or a double, also while jobs come in."""
    ids = steps.enqueue_many(7)
    first = reads.list_jobs(steps.db, limit=3)
    steps.enqueue()
    second = reads.list_jobs(steps.db, limit=3, before=first[-1].id)
    third = reads.list_jobs(steps.db, limit=3, before=second[-1].id)
    assert [job.id for job in first + second + third] == ids[::-1]


def test_jobs_are_listed_by_status_and_queue(steps):
    """Filters can be combined."""
    mail = steps.enqueue(queue="mail")
    steps.enqueue()
    steps.finished("failed")
    assert [job.id for job in reads.list_jobs(steps.db, queue="mail")] == [mail]
    assert [job.status for job in reads.list_jobs(steps.db, status="failed")] == ["failed"]
    assert reads.list_jobs(steps.db, status="failed", queue="mail") == []


@pytest.mark.parametrize("few", [0, 1_000])
def test_jobs_of_a_status_are_listed_alike_however_many_there_are(steps, monkeypatch, few):
    """Those of a rare status are found in another way than those of a common one, in the same order and pages."""
    monkeypatch.setattr(reads, "FEW", few)
    made = {status: [steps.in_status(status) for _ in range(3)][::-1] for status in STATUSES}
    for status, ids in made.items():
        first = reads.list_jobs(steps.db, status=status, queue="default", limit=2)
        rest = reads.list_jobs(steps.db, status=status, name=first[0].name, before=first[-1].id)
        assert [job.id for job in first + rest] == ids
        assert reads.list_jobs(steps.db, status=status, queue="other") == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("app.jobs.mail.send_receipt", ["app.jobs.mail.send_receipt"]),
        ("send_receipt", ["app.jobs.mail.send_receipt"]),
        ("mail", ["app.jobs.mail.send_receipt"]),
        ("app.jobs", ["app.jobs.sendXreceipt", "app.jobs.mail.send_receipt"]),
        ("send", []),
        ("%", []),
        ("receipt", []),
    ],
)
def test_jobs_are_listed_by_a_part_of_their_name(steps, name, found):
    """A name or whole segments of one, taken literally."""
    for path in ("app.jobs.mail.send_receipt", "app.jobs.sendXreceipt"):
        steps.enqueue(name=path)
    assert [job.name for job in reads.list_jobs(steps.db, name=name)] == found


def test_counting_stops_at_its_limit(steps, monkeypatch):
    """A large table is not counted to its end: the answer is then one more than the limit."""
    monkeypatch.setattr(counting, "COUNT_LIMIT", 10)
    steps.enqueue_many(30)
    assert reads.counts(steps.db)["pending"] == 11
    assert reads.queues(steps.db, steps.now)[0].waiting == 11


def test_queues_at_a_glance(steps, clock):
    """Each queue with what waits, what is delayed, what runs, and since when its longest waiting job is due."""
    due = steps.now
    steps.enqueue(queue="mail")
    steps.enqueue(queue="mail", priority=9, delay=60)
    writes.claim_one(steps.db, "worker-1", steps.now, steps.enqueue(queue="reports"))
    writes.pause_queue(steps.db, "empty", steps.now)
    steps.finished("completed")
    clock.move(30)
    rows = {row.name: row for row in reads.queues(steps.db, steps.now)}
    assert sorted(rows) == ["empty", "mail", "reports"]
    assert rows["mail"] == reads.QueueRow("mail", paused=False, waiting=1, delayed=1, running=0, oldest=due)
    assert rows["reports"] == reads.QueueRow("reports", paused=False, waiting=0, delayed=0, running=1, oldest=None)
    assert rows["empty"].paused


def test_due_and_delayed_jobs_of_a_long_queue_are_told_apart(steps, monkeypatch):
    """Also where there are more than are counted, over all priorities: each count stops by itself."""
    monkeypatch.setattr(counting, "COUNT_LIMIT", 10)
    steps.enqueue_many(6, priority=9)
    steps.enqueue_many(3, priority=4)
    steps.enqueue_many(30, priority=2, delay=60)
    [row] = reads.queues(steps.db, steps.now)
    assert (row.waiting, row.delayed) == (9, 11)
    steps.enqueue_many(3, priority=7)
    [row] = reads.queues(steps.db, steps.now)
    assert (row.waiting, row.delayed) == (11, 11)


def ahead(steps, job_id: str) -> tuple[int, int]:
    return reads.jobs_ahead(steps.db, job_id, steps.now)


def test_jobs_ahead(steps, clock):
    """Due jobs of the same queue that come first: those of a higher priority, and those that were due earlier."""
    steps.enqueue_many(3, priority=9)
    steps.enqueue_many(2, priority=9, delay=60)
    steps.enqueue_many(4, queue="other", priority=9)
    steps.enqueue()
    clock.move(1)
    job_id = steps.enqueue()
    steps.enqueue()
    assert ahead(steps, job_id) == (3, 1)


def test_jobs_ahead_of_one_that_is_not_due_and_in_every_kind_of_slot(steps):
    """All that are due come before a delayed job; whether a job needs a thread or a process makes no difference."""
    steps.enqueue_many(2, executor="process", priority=9)
    steps.enqueue(executor="process")
    thread = steps.enqueue()
    delayed = steps.enqueue(executor="process", delay=60)
    steps.enqueue(delay=30)
    assert (ahead(steps, thread), ahead(steps, delayed)) == ((2, 1), (2, 2))


def test_jobs_ahead_among_those_enqueued_together(steps):
    """Of jobs with the same priority and time those enqueued before it come first."""
    ids = steps.enqueue_many(5)
    assert [ahead(steps, job_id) for job_id in ids] == [(0, place) for place in range(5)]


def test_jobs_ahead_to_the_microsecond(steps, clock):
    """Jobs a microsecond apart are told apart, at whatever moment."""
    for _ in range(50):
        clock.move(0.000123)
        first = steps.enqueue()
        clock.move(0.000001)
        second = steps.enqueue()
        assert (ahead(steps, first), ahead(steps, second)) == ((0, 0), (0, 1))
        for job in steps.claim():
            steps.complete(job)


def test_a_row_written_by_other_hands_hides_no_others(steps):
    """A row whose parameters and options are no JSON is shown as it is, in the list and alone."""
    steps.enqueue()
    broken = steps.enqueue(parameters="{", options="[")
    assert [job.id for job in reads.list_jobs(steps.db)][0] == broken
    assert (steps.get(broken).parameters, steps.get(broken).timeout) == ({"unreadable": "{"}, None)


def test_results_of_every_kind(steps):
    """A result is read as what JSON makes of it, and nothing stored is None."""
    texts = {"null": None, "0": 0, '"x"': "x", "[1,2.5,true]": [1, 2.5, True], '{"a":{}}': {"a": {}}}
    for text, value in texts.items():
        job = steps.running()
        steps.complete(job, text)
        assert steps.get(job).result == value


def test_history_without_asking_is_empty(steps):
    """A list of jobs does not read their attempts; a single job does when asked."""
    job_id = steps.finished("failed")
    assert reads.get(steps.db, job_id).history == ()
    assert len(steps.get(job_id).history) == 1
    assert reads.list_jobs(steps.db)[0].history == ()


def test_what_cannot_be_an_id_is_no_job(place, tmp_path):
    """MariaDB refuses to compare it, which went on to whoever asked for a status with an id out of an address."""
    app = Lateshift(database_url=place.url, storage_dir=tmp_path, spawn="never")
    with contextlib.closing(app):
        assert app.cache.get("background_job:é") is None
        for ask in (explain, run_one):
            with pytest.raises(JobNotFound):
                ask(app, "é")
