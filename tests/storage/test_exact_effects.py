"""Transactional jobs: what they write and their completion are one transaction, on every database."""

from __future__ import annotations

import importlib.util
import threading
import time

import exact_jobs as jobs
import pytest
from callers_connections import Django

from lateshift import Lateshift, background
from lateshift.default import set_app
from lateshift.errors import InvalidJob, InvalidOption
from lateshift.events import JobFinished
from lateshift.storage import effects, reads
from lateshift.testing import drain


@pytest.fixture
def app(place):
    """An application whose jobs are where their effects are."""
    app = Lateshift(database_url=place.url, allowed=["exact_jobs"], spawn="never", retry_delay=0)
    before = set_app(app)
    app.database.execute("create table effects (number int)")
    jobs.HOOKS.clear()
    yield app
    set_app(before)
    app.close()


@pytest.fixture
def django(place, app):
    """Django, with that database as its default one."""
    if place.kind == "mariadb" and importlib.util.find_spec("MySQLdb") is None:
        pytest.skip("Django needs mysqlclient")
    program = Django(place.url)
    program.rollback()
    yield program
    program.close()


def written(app: Lateshift) -> list[int]:
    return [row[0] for row in app.database.query("select number from effects order by number")]


def run(app: Lateshift, job: object, **parameters):
    """Enqueue a job, run what is due, and return it as it stands then."""
    job_id = app.run_background_job(job, parameters=parameters)
    drain(app=app)
    return app.get_job(job_id)


def test_effect_and_completion_are_committed_together(app):
    """The result is stored, the effect is there once, and the end is told once."""
    told = []
    app.events.subscribe(lambda batch: told.extend(event for event in batch if isinstance(event, JobFinished)))
    job = run(app, jobs.pay, number=1)
    assert (job.status, job.result, job.attempts) == ("completed", "paid 1", 1)
    assert written(app) == [1]
    assert [event.outcome.kind for event in told] == ["completed"]


@pytest.mark.parametrize("job", [jobs.pay_by_sqlalchemy, jobs.pay_by_session, jobs.fail_by_sqlalchemy])
def test_sqlalchemy_writes_in_the_job_s_transaction(app, job):
    """By its Connection or a Session bound to that; an attempt that fails leaves nothing."""
    job = run(app, job, number=1)
    assert job.status == "completed", job.error.traceback
    assert written(app) == [1]


@pytest.mark.parametrize("job", [jobs.pay_by_django, jobs.fail_by_django, jobs.call_back_by_django])
@pytest.mark.usefixtures("django")
def test_django_writes_in_the_job_s_transaction(app, job):
    """Inside its own `atomic`; what fails in `on_commit` comes after the end, and changes nothing about it."""
    job = run(app, job, number=1)
    assert job.status == "completed", job.error.traceback
    assert written(app) == [1]


def test_a_job_that_would_wait_for_itself_is_refused(app, place):
    """Once it has written to an SQLite file it keeps everybody from writing there, its own enqueuing as well."""
    job = run(app, jobs.enqueue_elsewhere, number=1)
    if place.kind != "sqlite":
        assert (job.status, written(app)) == ("completed", [1, 1, 2])
        return
    assert (job.status, job.error.type, written(app)) == ("failed", "lateshift.errors.InvalidOption", [1])
    assert "enqueue with connection=current_job().connection" in job.error.message


@pytest.mark.parametrize(
    "verb", ["run_again", "cancel_job", "retry_job", "delete_job", "pause_queue", "resume_queue", "prune"]
)
def test_so_is_one_that_would_change_other_jobs(app, place, verb):
    """It waited half a minute, and failed as if the storage were not available."""
    waiting = app.run_background_job(jobs.pay, parameters={"number": 3}, delay=3600)
    about = [] if verb == "prune" else ["default"] if "queue" in verb else [waiting]
    job = run(app, jobs.act_elsewhere, number=1, verb=verb, about=about)
    refused = job.error is not None and job.error.type == "lateshift.errors.InvalidOption"
    assert refused == (place.kind == "sqlite"), job.error


@pytest.mark.usefixtures("django")
def test_what_is_enqueued_after_the_commit_waits_for_nobody(app):
    """Django calls it when the transaction is over, and the job is not."""
    assert run(app, jobs.enqueue_after_commit_by_django, number=1).status == "completed"
    assert (len(jobs.HOOKS), written(app)) == (1, [1, 2])


@pytest.mark.usefixtures("django")
def test_what_django_means_to_roll_back_is_not_completed(app):
    """Leaving `atomic` would then roll back without an error."""
    job = run(app, jobs.spoil_by_django, number=1)
    assert (job.status, written(app)) == ("failed", [])


def test_an_attempt_that_fails_leaves_nothing(app):
    """The class attribute declares it as the decorator does; the second attempt succeeds."""
    job = run(app, jobs.Pay, number=1)
    assert (job.status, job.attempts, written(app)) == ("completed", 2, [1])


def test_the_failed_hook_has_no_connection(app):
    """What it would write there nobody would commit."""
    assert run(app, jobs.FailForGood, number=1).status == "failed"
    assert (written(app), jobs.HOOKS) == ([], ["TransactionEnded"])


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("snooze", "pending_retry"),
        ("cancel", "cancelled"),
        ("see the cancel", "cancelled"),
        ("too much", "failed"),
    ],
)
def test_only_a_completion_commits(app, how, status):
    """A snoozed, cancelled or failed attempt has written nothing; the size of a result is looked at before."""
    assert run(app, jobs.end_otherwise, number=1, how=how).status == status
    assert written(app) == []


def test_a_job_that_commits_itself_is_not_tried_again(app):
    """What it has committed stays; another attempt would write that a second time."""
    job = run(app, jobs.commit_itself, number=1)
    assert (job.status, job.attempts, job.error.type) == ("failed", 1, "lateshift.errors.TransactionEnded")
    assert written(app)[0] == 1


def test_jobs_enqueued_on_the_connection_exist_if_it_completes(app):
    """They are part of the transaction; telling of progress does not wait for it."""
    assert run(app, jobs.pass_on, number=1).status == "completed"
    assert written(app) == [1, 2]
    assert run(app, jobs.pass_on, number=-5).status == "failed"
    assert written(app) == [1, 2]
    assert len(app.list_jobs(name="exact_jobs.pay")) == 1


def test_a_job_that_writes_nothing_completes_as_others_do(app):
    """On SQLite even if somebody writes between its reading and its end, for which its snapshot would be too old."""
    assert run(app, jobs.touch_nothing).status == "completed"
    complete = effects.Effects.complete

    def overtaken(self, outcome):
        thread = threading.Thread(target=lambda: app.run_background_job(jobs.touch_nothing, delay=60))
        thread.start()
        thread.join()
        return complete(self, outcome)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(effects.Effects, "complete", overtaken)
        job = run(app, jobs.only_read)
    assert (job.status, job.result, job.attempts) == ("completed", 0, 1)


def test_an_attempt_that_lost_its_lease_rolls_back(app):
    """Another attempt has been allowed meanwhile: the first one's effects vanish, whatever it returned."""
    told = []
    app.events.subscribe(lambda batch: told.extend(type(event).__name__ for event in batch))
    job = run(app, jobs.be_taken_away, number=1)
    assert (job.status, job.attempts, written(app)) == ("completed", 1, [1])
    assert [name for name in told if name in ("LeaseLost", "JobFinished")] == ["LeaseLost", "JobFinished"]


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_whose_answer_got_lost_is_looked_up(app, committed):
    """The connection breaks before or after it: the effect is there once, the attempt is counted right."""
    commit = effects._Driver.commit

    def cut(self):
        patch.undo()
        if committed:
            commit(self)
        self.raw.close()
        raise ConnectionError("cut")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(effects._Driver, "commit", cut)
        job = run(app, jobs.pay, number=1)
    assert (job.status, written(app)) == ("completed", [1])
    assert [attempt.outcome for attempt in reads.get(app.database, job.id, history=True).history] == (
        ["completed"] if committed else ["retry", "completed"]
    )


def test_a_commit_of_which_nothing_is_known_is_settled_by_the_database(app):
    """If the database cannot be asked either, whether the job goes back is decided when it is settled."""
    commit = effects._Driver.commit

    def cut(self):
        commit(self)
        raise ConnectionError("cut")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(effects._Driver, "commit", cut)
        patch.setattr(effects.Effects, "_look", lambda _: "unknown")
        job = run(app, jobs.pay, number=1)
    assert (job.status, job.result, job.attempts, written(app)) == ("completed", "paid 1", 1, [1])


@pytest.mark.parametrize("bare", ["postgres", "mariadb"], indirect=True)
def test_progress_that_is_written_meanwhile_is_no_conflict(place, app):
    """Whatever isolation the server has by default: the worker writes into the row that the job then completes."""
    if place.kind == "postgres":
        name = app.database.query("select current_database()")[0][0]
        app.database.execute(f"alter database {name} set default_transaction_isolation = 'serializable'")
    assert run(app, jobs.be_watched, number=1).status == "completed"
    assert written(app) == [1]


@pytest.mark.parametrize("bare", ["mariadb"], indirect=True)
def test_a_job_s_session_on_mysql_is_like_any_other(app):
    """Our own has ANSI_QUOTES and shorter patience, which a job's statements are not written for."""
    quoted, same_mode, idle = run(app, jobs.look_around).result
    assert (quoted, same_mode, idle) == (0, 1, 0)


@pytest.mark.parametrize("bare", ["sqlite"], indirect=True)
def test_django_has_to_have_the_jobs_database(app, tmp_path):
    """Its transaction would be another one."""
    program = Django(f"sqlite:///{tmp_path}/other.db")
    try:
        job = run(app, jobs.pay_by_django, number=1)
    finally:
        program.close()
    assert job.status == "failed"
    assert "None of Django's DATABASES" in job.error.message


def test_inside_an_atomic_of_the_caller_s_it_is_refused(app, django):
    """That of a TestCase, for one: nothing would be committed, or its transaction be broken."""
    job_id = app.run_background_job(jobs.pay_by_django, parameters={"number": 1})
    with django.db.transaction.atomic():
        drain(app=app)
        django.do("insert into effects values (7)")
    assert "TransactionTestCase" in app.get_job(job_id).error.message
    assert written(app) == [7]


@pytest.mark.parametrize("bare", ["postgres"], indirect=True)
def test_when_jobs_were_drained_their_connections_are_closed(app, django):
    """Else nobody can drop the database of the tests."""
    assert run(app, jobs.pay_by_django, number=1).status == "completed"
    app.close()
    others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    deadline = time.monotonic() + 20
    with django.connection.cursor() as cursor:
        while cursor.execute(others).fetchone()[0]:  # a session ends a moment after its connection
            assert time.monotonic() < deadline


@pytest.mark.parametrize("bare", ["sqlite"], indirect=True)
def test_what_cannot_be_transactional_is_refused(app):
    """A coroutine, when it is enqueued; an unknown library, when it is declared; a plain job that asks for it."""
    with pytest.raises(InvalidJob, match="async def"):
        app.run_background_job(jobs.wait_for_it)
    with pytest.raises(InvalidOption, match="transactional is 'peewee'"):
        background(transactional="peewee")(print)
    assert "transactional=True" in run(app, jobs.plain).error.message
