"""What a program can ask of Lateshift, on a real database with nothing running."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

import lateshift
from lateshift import BackgroundJob, Call, JobFailed, background, default, errors, testing
from lateshift.enqueuing import new_id
from lateshift.storage.migrations import migrate


class Order(BackgroundJob):
    priority = 7
    queue = "orders"

    def handle(self, order_id: int, note: str = "") -> int:
        return order_id


@background(queue="mail", max_retries=1)
class Mail:
    def handle(self, to: str) -> None: ...


@background
async def ping(host: str, times: int = 1) -> None: ...


@background(max_retries=0)
def refund(order_id: int) -> None:
    raise LookupError(f"there is no order {order_id}.")


@pytest.fixture
def app(tmp_path):
    """A default application object on an empty database; its runner is never started."""
    app = lateshift.Lateshift(
        allowed=[__name__, "app"],
        database_url=f"sqlite:///{tmp_path}/lateshift.db",
        storage_dir=tmp_path,
        spawn="never",
    )
    before = default.set_app(app)
    yield app
    default.set_app(before)
    app.close()


def test_a_job_reads_as_it_was_enqueued(app):
    """The id leads to the job with everything that was asked for, times aware and in UTC."""
    before = datetime.now(UTC)
    job_id = lateshift.run_background_job(Order, "handle", {"order_id": 123}, priority=5, delay=60)
    job = lateshift.get_job(job_id)
    assert (job.id, job.name, job.queue, job.priority) == (job_id, f"{__name__}.Order.handle", "orders", 5)
    assert (job.status, job.parameters, job.attempts, job.max_attempts) == ("pending", {"order_id": 123}, 0, 4)
    assert before <= job.enqueued_at <= datetime.now(UTC)
    assert job.run_at - job.enqueued_at == timedelta(seconds=60)
    assert not job.finished


def test_class_attributes_and_decorators_choose_the_defaults(app):
    """A class's own queue, priority and retries hold where a call leaves them out."""
    jobs = [lateshift.get_job(job_id) for job_id in (Order.enqueue(1), Mail.enqueue(to="a"), ping.enqueue("h"))]
    assert [(job.queue, job.priority, job.max_attempts) for job in jobs] == [
        ("orders", 7, 4),
        ("mail", 1, 2),
        ("default", 1, 4),
    ]
    assert jobs[2].parameters == {"host": "h"}


def test_options_change_one_call(app):
    """`.options(...)` holds for the calls made through it; an unknown option is refused by name."""
    later = Order.options(delay=timedelta(minutes=1), priority=1, queue="slow", max_retries=0)
    job = lateshift.get_job(later.enqueue(5, note="x"))
    assert (job.queue, job.priority, job.max_attempts, job.parameters) == ("slow", 1, 1, {"order_id": 5, "note": "x"})
    with pytest.raises(errors.InvalidOption, match="'dealy'"):
        Order.options(dealy=1)


def everything_optional(note: str = "") -> None:
    pass


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "order_id"),
        (("x",), {}, "order_id"),
        ((1, "a", 3), {}, "3 were given"),
        ((1,), {"order_id": 2}, "by position and by name"),
        ((1,), {"colour": "red"}, "colour"),
    ],
)
def test_wrong_arguments_are_refused_when_enqueuing(app, args, kwargs, message):
    """What the type checker would have said, said at run time, naming the parameter; nothing is stored."""
    with pytest.raises(errors.InvalidParameters, match=message):
        Order.enqueue(*args, **kwargs)
    assert lateshift.list_jobs() == []


@pytest.mark.parametrize("parameters", [[], "", 0, False, [1]], ids=repr)
def test_parameters_that_are_no_mapping_are_refused(app, parameters):
    """Also those that Python takes for false, which are not none."""
    with pytest.raises(errors.InvalidParameters, match="give a dict"):
        lateshift.run_background_job(everything_optional, parameters=parameters)
    assert lateshift.get_job(lateshift.run_background_job(everything_optional, parameters=None)).parameters == {}


def test_a_decorated_callable_can_still_be_called(app):
    """The decorator takes nothing away."""
    assert Order().handle(3) == 3
    assert isinstance(Mail(), Mail)
    assert asyncio.run(ping("h")) is None


def test_many_are_stored_together_or_not_at_all(app):
    """One bad call among many stores none of them."""
    ids = lateshift.enqueue_many(Order.call(number) for number in range(5))
    assert len(set(ids)) == 5
    assert ids == [job.id for job in reversed(lateshift.list_jobs())]
    with pytest.raises(errors.InvalidJob):
        lateshift.enqueue_many([Order.call(1), Call(Order, parameters={"order_id": "one"})])
    assert len(lateshift.list_jobs()) == 5
    assert lateshift.enqueue_many([]) == []


def test_the_async_twins_do_the_same(app):
    """Enqueue, read, list, wait, cancel, retry, delete, pause and resume from a coroutine."""

    async def use() -> None:
        job_id = await lateshift.arun_background_job(Order, parameters={"order_id": 1}, delay=60)
        assert (await lateshift.aget_job(job_id)).status == "pending"
        other = await Mail.aenqueue(to="a")
        assert {job.id for job in await lateshift.alist_jobs()} == {job_id, other}
        await lateshift.acancel_job(job_id)
        assert (await lateshift.await_for_job(job_id, timeout=1)).status == "cancelled"
        await lateshift.aretry_job(job_id)
        assert (await lateshift.aget_job(job_id)).status == "pending_retry"
        assert len(await lateshift.aenqueue_many([Order.call(1), Order.call(2)])) == 2
        assert [job.id for job in await lateshift.alist_jobs(status="pending_retry", limit=1)] == [job_id]
        await lateshift.acancel_job(job_id)
        await lateshift.adelete_job(job_id)
        with pytest.raises(lateshift.JobNotFound):
            await lateshift.aget_job(job_id)
        assert await lateshift.apause_queue("mail")
        assert await lateshift.aresume_queue("mail")
        assert not await lateshift.aresume_queue("mail")

    asyncio.run(use())


def test_waiting_for_many_jobs_holds_up_nothing(app):
    """Each wait took a thread of the loop's: a few of them, and no other call came through; nor did one end early."""

    async def use() -> None:
        job_id = await lateshift.arun_background_job(Order, parameters={"order_id": 1}, delay=60)
        waits = [asyncio.create_task(lateshift.await_for_job(job_id)) for _ in range(100)]
        while not all(wait.get_coro().cr_await for wait in waits):
            await asyncio.sleep(0)
        assert (await asyncio.wait_for(lateshift.aget_job(job_id), 30)).status == "pending"
        waits.pop().cancel()
        lateshift.cancel_job(job_id)
        assert {job.status for job in await asyncio.wait_for(asyncio.gather(*waits), 30)} == {"cancelled"}

    asyncio.run(use())


def test_a_wait_in_a_coroutine_can_be_given_up(app):
    """Nothing of it is left that the program's end would have to wait for."""

    async def use() -> None:
        job_id = await lateshift.arun_background_job(Order, parameters={"order_id": 1}, delay=60)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lateshift.await_for_job(job_id), 0.05)
        with pytest.raises(errors.WaitTimeout, match="is pending after"):
            await lateshift.await_for_job(job_id, timeout=0.01)

    asyncio.run(use())


def test_the_short_way_to_a_status(app):
    """`cache.get` knows jobs by the Laravel runner's key, and nothing else."""
    job_id = Order.enqueue(9)
    found = lateshift.cache.get(f"background_job:{job_id}")
    assert (found["status"], found["parameters"]) == ("pending", {"order_id": 9})
    assert lateshift.cache.get("background_job:unknown") is None
    assert lateshift.cache.get(job_id) is None
    assert lateshift.cache.get(5) is None


def test_jobs_are_listed_by_status_queue_and_name(app):
    """Newest first, page by page."""
    ids = [Order.enqueue(number) for number in range(3)] + [Mail.enqueue(to="a")]
    lateshift.cancel_job(ids[0])
    assert [job.id for job in lateshift.list_jobs()] == ids[::-1]
    assert [job.id for job in lateshift.list_jobs(status="cancelled")] == [ids[0]]
    assert [job.id for job in lateshift.list_jobs(queue="mail")] == [ids[3]]
    assert [job.id for job in lateshift.list_jobs(name="Order")] == ids[2::-1]
    assert [job.id for job in lateshift.list_jobs(limit=2, before=ids[3])] == ids[2:0:-1]
    with pytest.raises(errors.InvalidOption, match="status"):
        lateshift.list_jobs(status="done")


def test_waiting_ends_in_time(app):
    """WaitTimeout tells the job's status; the job goes on."""
    job_id = Order.enqueue(1)
    with pytest.raises(lateshift.WaitTimeout, match=r"pending after 0\.05 s") as caught:
        lateshift.wait_for_job(job_id, timeout=0.05)
    assert (caught.value.job_id, caught.value.status) == (job_id, "pending")


def test_a_wait_that_checks_raises_what_the_job_failed_with(app):
    """So far a program that printed the result of a failed job printed None, and ended well."""
    with testing.inline(app):
        job_id = refund.enqueue(1)
    with pytest.raises(JobFailed) as caught:
        lateshift.wait_for_job(job_id, timeout=10, check=True)
    assert str(caught.value) == (
        f"Job {job_id} ({__name__}.refund) failed: LookupError: there is no order 1. "
        f"`lateshift show {job_id}` has every attempt."
    )
    assert caught.value.job == lateshift.get_job(job_id) == lateshift.wait_for_job(job_id)
    with pytest.raises(JobFailed, match=f"`lateshift show {job_id}`"):
        asyncio.run(lateshift.await_for_job(job_id, check=True))


def test_a_wait_that_checks_takes_a_cancelled_job_for_no_success(app):
    """It has no result either; one that completed is returned as ever."""
    job_id = Order.enqueue(1)
    lateshift.cancel_job(job_id)
    with pytest.raises(JobFailed, match=r"handle\) was cancelled. `lateshift show"):
        lateshift.wait_for_job(job_id, check=True)
    with testing.inline(app):
        completed = Order.enqueue(2)
    assert lateshift.wait_for_job(completed, check=True).result == 2


def test_a_timeout_may_be_a_timedelta(app):
    """Waiting takes what every other duration takes; one that is over already does not wait."""
    job_id = Order.enqueue(order_id=1)
    for timeout, words in ((timedelta(milliseconds=10), "after 0.01 s"), (-5, "after 0 s")):
        with pytest.raises(errors.WaitTimeout, match=words):
            lateshift.wait_for_job(job_id, timeout=timeout)
    with pytest.raises(errors.InvalidOption, match="The timeout is nan"):
        lateshift.wait_for_job(job_id, float("nan"))


BY_ID = ["get_job", "wait_for_job", "cancel_job", "retry_job", "delete_job"]


@pytest.mark.parametrize("action", BY_ID)
def test_what_cannot_be_an_id(app, action):
    """Text that no id can be is not found, and what is no text is refused in words."""
    for text in ("nope", "\udcff", "\x00"):
        with pytest.raises(errors.JobNotFound):
            getattr(lateshift, action)(text)
    for other in (object(), None, 2**70, uuid4()):
        with pytest.raises(errors.InvalidOption, match=f"of type {type(other).__name__}: give text"):
            getattr(lateshift, action)(other)


@pytest.mark.parametrize(
    ("filters", "error", "words"),
    [
        ({"limit": 2**70}, errors.InvalidOption, "The limit is 1180591620717411303424: give a whole number from 0"),
        ({"limit": "x"}, errors.InvalidOption, "The limit is 'x'"),
        ({"limit": -1}, errors.InvalidOption, "The limit is -1"),
        ({"before": "nope"}, errors.JobNotFound, "no job 'nope'"),
        ({"before": 5}, errors.InvalidOption, "of type int"),
        ({"queue": "\udcff"}, errors.InvalidOption, "queue name"),
        ({"name": "\udcff"}, errors.InvalidOption, "The name is"),
        ({"name": Order}, errors.InvalidOption, "The name is"),
        ({"status": "done"}, errors.InvalidOption, "The status is 'done'"),
    ],
)
def test_bad_filters_of_a_list(app, filters, error, words):
    """Each is refused with what is expected, rather than by the database, or by an empty list."""
    with pytest.raises(error, match=words):
        lateshift.list_jobs(**filters)


@pytest.mark.parametrize("calls", [["x"], "x", 5, Call(Order), [Call(ping, parameters={"host": "a"}), None]])
def test_many_are_calls(app, calls):
    """`enqueue_many` says what it takes, and stores nothing."""
    with pytest.raises(errors.InvalidJob, match="give a list of Call objects"):
        lateshift.enqueue_many(calls)
    with pytest.raises(errors.InvalidJob, match="give a list of Call objects"):
        asyncio.run(lateshift.aenqueue_many(calls))
    assert lateshift.list_jobs() == []


@pytest.mark.parametrize("age", [float("nan"), float("inf"), -1, "old"])
def test_pruning_takes_an_age(app, age):
    """An age that is none is refused in words."""
    with pytest.raises(errors.InvalidOption, match="The age is"):
        app.prune(age)


def test_actions_that_the_status_does_not_allow_say_so(app):
    """Cancel what is finished, retry what runs or waits, delete what is unfinished: refused, with what to do."""
    job_id = Order.enqueue(1)
    with pytest.raises(errors.JobStateError, match="wait for it, or cancel it"):
        lateshift.retry_job(job_id)
    with pytest.raises(errors.JobStateError, match="cancel it first"):
        lateshift.delete_job(job_id)
    lateshift.cancel_job(job_id)
    with pytest.raises(errors.JobStateError, match="cancelled already"):
        lateshift.cancel_job(job_id)
    lateshift.delete_job(job_id)
    for action in (lateshift.get_job, lateshift.cancel_job, lateshift.retry_job, lateshift.delete_job):
        with pytest.raises(lateshift.JobNotFound):
            action(job_id)


def test_a_job_in_the_callers_own_transaction_commits_and_vanishes_with_it(app):
    """`connection=` inserts and does nothing else: the job exists when, and only when, the caller commits."""
    with contextlib.closing(sqlite3.connect(app.database.path)) as connection:
        kept = lateshift.run_background_job(Order, parameters={"order_id": 1}, connection=connection)
        assert app.list_jobs() == []
        connection.commit()
        assert app.get_job(kept).status == "pending"
        lateshift.run_background_job(Order, parameters={"order_id": 2}, connection=connection)
        connection.rollback()
    assert [job.id for job in app.list_jobs()] == [kept]
    with pytest.raises(
        errors.InvalidOption, match="of Django, psycopg 3, asyncpg, sqlite3, PyMySQL or mysqlclient, not a str"
    ):
        lateshift.run_background_job(Order, parameters={"order_id": 1}, connection="db")


def test_a_connection_that_cannot_take_the_job_is_refused_at_once(app, tmp_path):
    """Another file, a database in memory, and a file without tables that the open transaction keeps from being made."""
    migrate(app.database)
    for other in (tmp_path / "other.db", ":memory:"):
        with contextlib.closing(sqlite3.connect(other)) as connection:
            connection.execute("create table mine (id integer)")
            with pytest.raises(errors.InvalidOption, match="but the jobs are in"):
                lateshift.run_background_job(Order, parameters={"order_id": 1}, connection=connection)
    fresh = lateshift.Lateshift(
        allowed=[__name__], database_url=f"sqlite:///{tmp_path}/other.db", storage_dir=tmp_path, spawn="never"
    )
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("insert into mine values (1)")
        with pytest.raises(errors.InvalidOption, match="lateshift migrate"):
            fresh.run_background_job(Order, parameters={"order_id": 1}, connection=connection)
        connection.commit()
        job_id = fresh.run_background_job(Order, parameters={"order_id": 1}, connection=connection)
        connection.commit()
    assert fresh.get_job(job_id).status == "pending"
    fresh.close()


def test_an_attached_database_may_hold_the_jobs(app, tmp_path):
    """The caller's own data may lie in another file, if the jobs' file is attached to the connection."""
    migrate(app.database)
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("attach ? as jobs", (app.database.path,))
        job_id = lateshift.run_background_job(Order, parameters={"order_id": 1}, connection=connection)
        connection.commit()
    assert app.get_job(job_id).status == "pending"


def test_outside_of_a_job_there_is_no_current_job():
    """`current_job()` says where it may be called."""
    with pytest.raises(errors.NotInsideJob, match="where no job runs"):
        lateshift.current_job()


def test_ids_are_unique_and_sort_by_time():
    """Ids are version 7 UUIDs: later ones sort later, and many of one microsecond differ."""
    now = 1_700_000_000_000_000
    assert len({new_id(now) for _ in range(1000)}) == 1000
    ids = [new_id(now + step * 1000) for step in range(1000)]
    assert ids == sorted(ids)
    assert all(job_id[14] == "7" and job_id[19] in "89ab" and len(job_id) == 36 for job_id in ids)


def test_pruning_takes_old_finished_jobs_only(app):
    """Jobs that wait stay, however old."""
    old, waiting = Order.enqueue(1), Order.enqueue(2)
    lateshift.cancel_job(old)
    assert app.prune(older_than=timedelta(hours=1)) == 0
    assert app.prune(older_than=0) == 1
    assert [job.id for job in app.list_jobs()] == [waiting]
