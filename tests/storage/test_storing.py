"""Promise 1: an enqueued job is on disk before its id is returned; many are stored all or none."""

from __future__ import annotations

import threading

import pytest
from storage_steps import SECOND, new_job

from lateshift.errors import StorageError
from lateshift.storage import reads, writes


def test_an_enqueued_job_is_there_for_everyone(steps, place):
    """What another connection reads right after enqueuing is what was stored."""
    job_id = steps.enqueue(
        queue="mail", priority=7, delay=60, parameters='{"to":"ä"}', max_retries=2, options='{"timeout":1.5}'
    )
    job = reads.get(place.open(), job_id)
    assert (job.name, job.queue, job.priority, job.status) == ("app.jobs.send", "mail", 7, "pending")
    assert (job.parameters, job.attempts, job.max_attempts, job.timeout) == ({"to": "ä"}, 0, 3, 1.5)
    assert (job.run_at - job.enqueued_at).total_seconds() == 60
    assert (job.started_at, job.finished_at, job.result, job.error, job.worker, job.crashes) == (None,) * 5 + (0,)


def test_a_job_survives_a_process_that_is_killed_right_after(place):
    """A process that ends without closing anything has lost nothing that it was told is stored."""
    code = (
        "import os\nfrom lateshift.job import NewJob\n"
        "writes.enqueue(db, [NewJob('a-job', 'app.jobs.send', 'default', 'thread', 1, '{}', 3, 0, 0)])\n"
        "print('stored', flush=True)\nos.kill(os.getpid(), 9) if hasattr(os, 'fork') else os._exit(1)\n"
    )
    assert place.process(code).communicate()[0] == "stored\n"
    assert reads.status(place.open(), "a-job") == "pending"


def test_many_jobs_are_stored_in_their_order(steps):
    """Jobs that are enqueued together with equal priority and time are claimed in the order given."""
    ids = steps.enqueue_many(500)
    assert steps.claim_ids() == ids


def test_a_failing_row_stores_none_of_them(steps):
    """When one of many cannot be stored, the ones before it are not there either."""
    there = steps.enqueue()
    jobs = [steps.new(), steps.new(), new_job(steps.now, id=there), steps.new()]
    with pytest.raises(StorageError):
        writes.enqueue(steps.db, jobs)
    assert [reads.status(steps.db, job.id) for job in jobs] == [None, None, "pending", None]
    assert len(reads.list_jobs(steps.db, limit=100)) == 1


def test_storing_again_changes_nothing(steps):
    """A program that does not know whether its job was stored, as the connection broke, may store it once more."""
    jobs = [steps.new(), steps.new()]
    writes.enqueue(steps.db, jobs)
    claimed = steps.claim()
    writes.enqueue(steps.db, jobs)
    writes.enqueue(steps.db, jobs[:1])
    assert [steps.status(job.id) for job in jobs] == ["running", "running"]
    assert len(claimed) == len(reads.list_jobs(steps.db)) == 2


def test_after_a_failing_row_the_connection_goes_on(steps):
    """A refused row leaves no transaction open in which later jobs would get lost."""
    with pytest.raises(StorageError):
        writes.enqueue(steps.db, [new_job(steps.now, name=None)])
    later = steps.enqueue()
    steps.db.close()
    assert steps.status(later) == "pending"


def test_what_is_done_in_a_transaction_that_fails_has_not_happened(steps):
    """Several verbs in one transaction stand or fall together."""
    job = steps.running()
    with pytest.raises(KeyError), steps.db.transaction():
        steps.complete(job)
        lost = steps.enqueue()
        raise KeyError
    assert steps.status(job) == "running"
    assert steps.status(lost) is None


def test_nothing_of_an_open_transaction_is_seen_by_others(steps, place):
    """Other connections see a batch of writes when it is complete, and not before."""
    other = place.open()
    with steps.db.transaction():
        job_id = steps.enqueue()
        assert reads.status(other, job_id) is None
    assert reads.status(other, job_id) == "pending"


def test_four_threads_enqueue_at_once(steps, place):
    """Threads that share a connection lose nothing and disturb nobody's transaction."""
    start, stored = threading.Barrier(4), []

    def enqueue() -> None:
        start.wait()
        for _ in range(100):
            stored.append(steps.enqueue())
        stored.extend(steps.enqueue_many(100))

    threads = [threading.Thread(target=enqueue) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stored) == len(set(stored)) == 800
    assert {job.id for job in reads.list_jobs(place.open(), limit=1000)} == set(stored)


@pytest.mark.parametrize("text", ["{}", '{"text":"' + "x" * 1_000_000 + '"}', '{"text":"\\u0000 𝄞 \'\\" ;--"}'])
def test_parameters_come_back_as_they_were(steps, text):
    """Large texts, quotes and characters from everywhere are stored unchanged."""
    steps.enqueue(parameters=text)
    (claimed,) = steps.claim()
    assert claimed.parameters == text


def test_times_are_exact_to_the_microsecond(steps):
    """What is stored as microseconds is read as the same microseconds."""
    at = steps.now + 123_457
    job_id = steps.enqueue(delay=0.123457)
    job = steps.get(job_id)
    assert job.run_at.microsecond == 123_457
    assert round(job.run_at.timestamp() * SECOND) == at


@pytest.mark.parametrize(("portion", "statements"), [(2, [2, 2, 1]), (1, [1, 1, 1, 1, 1]), (100, [5])])
def test_much_is_stored_by_several_statements(steps, monkeypatch, portion, statements):
    """In their order, all or none: PostgreSQL ended the transaction while 600 MiB were made into one statement."""
    monkeypatch.setattr(writes, "PORTION", 2 * portion - 1)  # the parameters of each are `{}`
    there, real, sent = steps.enqueue(delay=9), type(steps.db).write_batch, []

    def write_batch(db, name, sql, rows):
        sent.append(len(rows))
        return real(db, name, sql, rows)

    monkeypatch.setattr(type(steps.db), "write_batch", write_batch)
    jobs = [steps.new() for _ in range(5)]
    with pytest.raises(StorageError):
        writes.enqueue(steps.db, [*jobs, new_job(steps.now, id=there)])
    assert [reads.status(steps.db, job.id) for job in jobs] == [None] * 5
    sent.clear()
    writes.enqueue(steps.db, jobs)
    assert [count for count in sent if count] == statements
    assert steps.claim_ids() == [job.id for job in jobs]


@pytest.mark.parametrize("bare", ["mariadb"], indirect=True)
def test_many_jobs_are_sent_together(steps):
    """The driver takes rows together only when it understands the statement: 50,000 jobs one by one took 11 s."""
    with steps.db.transaction():
        before = inserts(steps.db)
        writes.enqueue(steps.db, [steps.new() for _ in range(500)])
        assert inserts(steps.db) - before == 1


def inserts(db) -> int:
    return int(db.query("show session status like 'Com_insert'")[0][1])
