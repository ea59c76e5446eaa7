"""What a worker keeps and does while its database is away for a moment: nothing is forgotten, nothing raised."""

from __future__ import annotations

import re
import threading
from contextlib import closing
from types import SimpleNamespace

import pytest
from worker_here import store, worker_in

from lateshift import Lateshift
from lateshift.errors import StorageUnavailable
from lateshift.events import Events
from lateshift.job import Claimed
from lateshift.outcome import returned
from lateshift.runtime import inline, settling
from lateshift.runtime.duties import Reports, Rescue, rescue
from lateshift.settings import load_settings
from lateshift.storage import open_database, reads, requests, workers, writes
from lateshift.storage.failures import HOUR
from lateshift.storage.migrations import migrate
from lateshift.storage.settlements import Batch, Settlement

go = threading.Event()


def hold() -> str:
    return str(go.wait(30))


def failing(monkeypatch, module, name, then=lambda: None, times=1):
    """The next calls of a storage function raise; the ones after them do not, and call `then` before."""
    real, calls = getattr(module, name), []

    def function(*args, **kwargs):
        calls.append(name)
        if len(calls) <= times:
            raise StorageUnavailable("It is away for a moment.")
        then()
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, function)
    return calls


@pytest.mark.parametrize("name", ["cancel_requests", "settle"])
def test_a_job_that_is_run_here_goes_on(tmp_path, monkeypatch, capfd, name):
    """`lateshift run` ended with the error, and the job's thread with it, in the middle. It tells of it once."""
    go.clear() if name == "cancel_requests" else go.set()
    monkeypatch.setattr(inline, "TROUBLE_PAUSE", 0.01)
    url = f"sqlite:///{tmp_path}/lateshift.db"
    app = Lateshift(database_url=url, storage_dir=tmp_path, allowed=[__name__], spawn="never")
    job_id = app.run_background_job(hold)
    calls = failing(monkeypatch, reads if name == "cancel_requests" else writes, name, then=go.set, times=3)
    assert inline.run_one(app, job_id).status == "completed"
    assert len(calls) > 3
    assert re.findall(r"lateshift: \d\d:\d\d:\d\d \S+: (.*)", capfd.readouterr().err) == [
        "It is away for a moment. Trying again.",
        "The database is back after 0 s.",
    ]
    app.close()


def test_a_worker_that_cannot_sign_off_ends_all_the_same(tmp_path, monkeypatch, capfd):
    """It died of the error, and its supervisor took the stop for a crash."""
    with worker_in(tmp_path) as worker:
        failing(monkeypatch, workers, "remove_worker")
        worker.tell("stop")
        assert worker.run() == "stopped"
    assert "away for a moment. It ends all the same" in capfd.readouterr().err


def test_what_was_claimed_without_an_answer_goes_back(tmp_path, monkeypatch):
    """The claim is repeated on a new connection and takes other jobs: those of the first time were held by nobody."""
    with worker_in(tmp_path) as worker:
        job_id, real = store(worker, "app.jobs.add"), writes.take

        def twice(db, *args):
            real(db, *args)
            db.repeats += 1
            monkeypatch.setattr(writes, "take", real)
            return real(db, *args)

        monkeypatch.setattr(writes, "take", twice)
        worker.ledger.exchange()
        assert reads.status(worker._db, job_id) == "pending"


@pytest.mark.parametrize("table", ["queues", "attempts"])
def test_a_worker_that_can_do_nothing_else_still_stops_when_asked(tmp_path, capfd, table):
    """Without one table no claim succeeds, without the other no settling: it went on until it was killed."""
    with worker_in(tmp_path, grace=0.1) as worker:
        store(worker, "app.jobs.unknown")
        worker._db.execute_schema(f"alter table lateshift_{table} rename to away")
        while not worker._trouble_until:
            worker.turn()
        requests.ask(worker._db, "mine", "stop", worker._db.now())
        worker._trouble_until = 0.0
        worker.rota._next.clear()
        worker.turn()
        assert worker.dismissed
        assert worker.run() == "stopped"
    assert f"no such table: lateshift_{table}" in capfd.readouterr().err


def test_an_outage_is_told_once_and_its_end_too(tmp_path, capfd):
    """In the log and on standard error: each try had a line of its own without a time, the log and the end had none."""
    with worker_in(tmp_path) as worker:
        for old, new in [("queues", "away"), ("away", "queues")]:
            worker._db.execute_schema(f"alter table lateshift_{old} rename to lateshift_{new}")
            for _ in range(3):
                worker._trouble_until = 0.0
                worker.look_again()
                worker.turn()
    log = "".join(path.read_text() for path in (tmp_path / "logs").glob("background-jobs-2*"))
    assert re.findall("WARNING (database (?:away|back) worker=mine (?:reason=The database|duration=0))", log) == [
        "database away worker=mine reason=The database",
        "database back worker=mine duration=0",
    ]
    away, back = re.findall(r"lateshift: \d\d:\d\d:\d\d mine: (.*)", capfd.readouterr().err)
    assert "no such table: lateshift_queues" in away
    assert back == "The database is back after 0 s."


@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_what_is_claimed_after_the_claim_was_given_up_goes_back(tmp_path, request, server):
    """A server commits it when its standby is back: a look at once had found nothing, and the jobs stayed there."""
    url = request.getfixturevalue(f"{server}_url")
    with closing(open_database(load_settings(database_url=url), as_is=True)) as given_up:
        migrate(given_up)
        with worker_in(tmp_path, url) as worker:
            job_id = store(worker, "app.jobs.add")
            with given_up.transaction():
                assert writes.claim_one(given_up, "mine", given_up.now(), job_id)
                worker.turn()
                assert reads.status(worker._db, job_id) == "pending"
            worker._next_beat = 0.0
            worker.turn()
            assert reads.status(worker._db, job_id) == "pending"


@pytest.mark.parametrize("held_by", ["an idle worker", "one that has left"])
def test_a_late_claim_outlives_its_worker_without_a_crash(tmp_path, held_by):
    """Nobody has begun what comes after the worker's last look, so it is no crash and needs no process of its own."""
    with worker_in(tmp_path) as worker:
        db, job_id = worker._db, store(worker, "app.jobs.add", run_at=worker._db.now() + HOUR)
        if held_by == "an idle worker":
            writes.claim_one(db, "mine", db.now(), job_id)
        worker.tell("stop")
        worker.run()
        if held_by == "one that has left":
            writes.claim_one(db, "mine", db.now(), job_id)
            Rescue(db, Events(), "another").tick(db.now())
        job = reads.get(db, job_id)
        assert (job.status, job.attempts, job.crashes) == ("pending", 0, 0)


def test_a_worker_waits_for_rows_that_others_have_locked(postgres_url, tmp_path):
    """It has something to do, and nothing to claim: it turned as fast as it could, for as long as that lasted."""
    go.set()
    with closing(open_database(load_settings(database_url=postgres_url), as_is=True)) as database:
        migrate(database)
        with worker_in(tmp_path, postgres_url, allowed=[__name__]) as worker:
            job_id = store(worker, f"{__name__}.hold")
            with database.transaction():
                database.query("select id from lateshift_jobs where id = :id{lock}", {"id": job_id})
                worker.turn()
                assert (worker.ledger.look, worker.ledger.due_now) == (False, True)
            while not worker.crew.busy:
                worker._wait()
                worker.turn()


def test_an_attempt_whose_end_nobody_could_write_is_in_the_history(tmp_path):
    """It had ended while the database was away, and then its worker was killed: the job ran as if for the first time.

    An attempt that was claimed after one that is written, and has not begun, was none.
    """
    go.set()
    with worker_in(tmp_path, allowed=[__name__]) as worker:
        db, told = worker._db, []
        for written in (False, True):
            job_id = store(worker, f"{__name__}.hold")
            worker.look_again()
            worker.turn()
            while not worker.crew.inbox:
                worker._wake.wait(0.01)
            [ended] = worker.crew.collect(0.0)
            if written:
                now = db.now()
                writes.settle(db, Batch([Settlement(ended.job, returned(now, now))]))
                writes.claim_one(db, "mine", now, job_id)
            told.append(job_id)
        assert rescue(db, Events(), "mine", worker.config.folder) == 2
        jobs = [reads.get(db, job_id, history=True) for job_id in told]
        assert [(job.status, job.attempts, job.crashes) for job in jobs] == [("pending_retry", 0, 0)] * 2
        assert [[attempt.outcome for attempt in job.history] for job in jobs] == [["lost"], ["returned"]]


def test_a_job_whose_worker_dies_each_time_as_it_has_ended_gets_a_process_of_its_own(tmp_path):
    """It leaves behind what ends the process, sooner than the database takes the outcome: it ran for ever."""
    go.set()
    job_id = None
    for crashes in (0, 0, 1):
        with worker_in(tmp_path, allowed=[__name__]) as worker:
            job_id = job_id or store(worker, f"{__name__}.hold")
            worker.turn()
            while not worker.crew.inbox:
                worker._wake.wait(0.01)
            rescue(worker._db, Events(), "mine", worker.config.folder)
            job = reads.get(worker._db, job_id)
            assert (job.status, job.attempts, job.crashes) == ("pending_retry", 0, crashes)
            kinds = [lane.executor for lane in reads.lanes(worker._db)]
    assert kinds == ["process"]
    assert job.error.message.startswith("the worker mine died just after the job had ended, as twice before")


def test_progress_that_could_not_be_written_is_written_later(tmp_path, monkeypatch):
    """But not in place of what the job has told since."""
    with worker_in(tmp_path) as worker:
        for _ in range(2):
            store(worker, "app.jobs.add")
        one, other = writes.claim(worker._db, "mine", worker._db.now(), reads.lanes(worker._db), {"thread": 2})
        reports = Reports(worker._db)
        reports.report(one, 0.1, "begun")
        reports.report(other, 0.2, "begun")
        failing(monkeypatch, writes, "save_progress", then=lambda: reports.report(other, 0.9, "nearly done"))
        with pytest.raises(StorageUnavailable):
            reports.tick(0)
        reports.report(other, 0.5, "half")
        reports.tick(0)
        assert [progress(worker, job) for job in (one, other)] == [0.1, 0.5]


@pytest.mark.parametrize(("most", "counts"), [(250, [2, 3, 3]), (99, [1, 2, 3])])
def test_log_lines_of_running_jobs_are_written_a_few_at_a_time(tmp_path, monkeypatch, most, counts):
    """However much they log: for 19 seconds a worker did nothing but write the lines of 200 coroutines to MariaDB."""
    monkeypatch.setattr(settling, "TOGETHER", most)
    with worker_in(tmp_path) as worker:
        for _ in range(3):
            store(worker, "app.jobs.add")
        jobs = writes.claim(worker._db, "mine", worker._db.now(), reads.lanes(worker._db), {"thread": 3})
        said = SimpleNamespace(has_logged=True, log_lines=["x" * 50, "y" * 50])
        reports = Reports(worker._db)
        reports.watch(SimpleNamespace(running=lambda: [SimpleNamespace(job=job, context=said) for job in jobs]))
        written = []
        for _ in counts:
            reports.tick(0)
            written.append(len(worker._db.query("select 1 from lateshift_logs")))
        assert written == counts


def progress(worker, job: Claimed) -> float | None:
    return reads.get(worker._db, job.id).progress
