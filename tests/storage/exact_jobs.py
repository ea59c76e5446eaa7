"""Transactional jobs: each writes a row for itself and then does what a job may do, good or bad."""

from __future__ import annotations

from contextlib import closing

from lateshift import Cancel, Snooze, background, current_job, run_background_job
from lateshift.context import current
from lateshift.default import get_app

HOOKS: list[str] = []
"""What the failed() hooks saw."""


def write(number: int) -> None:
    """The effect, by whichever connection the job has."""
    connection = current_job().connection
    statement = f"insert into effects values ({number})"
    if hasattr(connection, "exec_driver_sql"):
        connection.exec_driver_sql(statement)
        return
    with closing(connection.cursor()) as cursor:
        cursor.execute(statement)


@background(transactional=True)
def pay(number: int) -> str:
    write(number)
    return f"paid {number}"


@background(transactional="sqlalchemy")
def pay_by_sqlalchemy(number: int) -> None:
    write(number)


@background(transactional="sqlalchemy")
def pay_by_session(number: int) -> None:
    from sqlalchemy import text
    from sqlalchemy.orm import Session

    with Session(current_job().connection) as session:
        session.execute(text("insert into effects values (:number)"), {"number": number})
        session.commit()  # leaves the transaction around it as it is


@background(transactional="django")
def pay_by_django(number: int) -> None:
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        assert current_job().connection.alias == connection.alias
        cursor.execute("insert into effects values (%s)", [number])


@background(transactional="sqlalchemy", retry=0)
def fail_by_sqlalchemy(number: int) -> None:
    write(number)
    if current_job().attempt == 1:
        raise ValueError("on purpose")


@background(transactional="django", retry=0)
def fail_by_django(number: int) -> None:
    write(number)
    if current_job().attempt == 1:
        raise ValueError("on purpose")


@background(transactional="django")
def spoil_by_django(number: int) -> None:
    """What Django rolls back without a word."""
    from django.db import transaction

    write(number)
    transaction.set_rollback(True)


@background(transactional="django")
def call_back_by_django(number: int) -> None:
    from django.db import transaction

    def after() -> None:
        raise ValueError("after the commit")

    transaction.on_commit(after)
    write(number)


class Pay:
    """Declares it as a class does."""

    transactional = True
    retry_delay = 0

    def handle(self, number: int) -> None:
        write(number)
        if current_job().attempt == 1:
            raise ValueError("on purpose")


class FailForGood:
    transactional = True
    max_retries = 0

    def handle(self, number: int) -> None:
        write(number)
        raise ValueError("on purpose")

    def failed(self, error: BaseException) -> None:
        try:
            write(0)
        except Exception as refused:
            HOOKS.append(type(refused).__name__)


@background(transactional=True)
def end_otherwise(number: int, how: str) -> object:
    write(number)
    if how == "snooze":
        raise Snooze(60)
    if how == "cancel":
        raise Cancel
    if how == "see the cancel":
        current.get().cancel_requested = True
        assert current_job().cancelled
    return "x" * 2_000_000 if how == "too much" else None


@background(transactional=True, retry=0)
def commit_itself(number: int) -> None:
    write(number)
    current_job().connection.commit()
    write(number + 1)


@background(transactional=True)
def pass_on(number: int) -> None:
    write(number)
    current_job().progress(0.5)
    run_background_job(pay, parameters={"number": number + 1}, connection=current_job().connection)
    if number < 0:
        raise ValueError("on purpose")


@background(transactional=True, max_retries=0)
def enqueue_elsewhere(number: int) -> None:
    current_job().connection  # noqa: B018 - its transaction begins
    run_background_job(pay, parameters={"number": number})
    write(number)
    run_background_job(pay, parameters={"number": number + 1})


@background(transactional=True, max_retries=0)
def act_elsewhere(number: int, verb: str, about: list[str]) -> None:
    write(number)
    getattr(get_app(), verb)(*about)


@background(transactional="django")
def enqueue_after_commit_by_django(number: int) -> None:
    from django.db import transaction

    write(number)
    transaction.on_commit(lambda: HOOKS.append(run_background_job(pay, parameters={"number": number + 1})))


@background(transactional=True)
def only_read() -> int:
    with closing(current_job().connection.cursor()) as cursor:
        cursor.execute("select count(*) from effects")
        return int(cursor.fetchone()[0])


@background(transactional=True, max_retries=0)
def be_watched(number: int) -> None:
    """The worker writes the job's progress meanwhile, into the row that is to be completed."""
    with closing(current_job().connection.cursor()) as cursor:
        cursor.execute("select count(*) from effects")
        get_app().database.execute("update lateshift_jobs set progress = 0.5")
    write(number)


@background(transactional=True)
def touch_nothing() -> None:
    return None


@background(transactional=True)
def look_around() -> list[object]:
    """The session as the job has it."""
    with closing(current_job().connection.cursor()) as cursor:
        cursor.execute("select 'a' || 'b', @@sql_mode = @@global.sql_mode, version()")
        *mode, version = cursor.fetchone()
        cursor.execute("select @@idle_transaction_timeout" if "MariaDB" in version else "select 0")  # MySQL has none
        return [*mode, *cursor.fetchone()]


@background(transactional=True)
async def wait_for_it() -> None:
    return None


@background(transactional=True)
def be_taken_away(number: int) -> None:
    """Somebody takes the job from the worker, which was thought dead, while it runs for the first time."""
    database = get_app().database
    assert current_job().connection
    if not HOOKS:
        HOOKS.append("taken away")
        database.execute("update lateshift_jobs set lease = lease + 1, status = 'pending', attempts = 0")
    write(number)


def plain() -> None:
    current_job().connection.cursor()
