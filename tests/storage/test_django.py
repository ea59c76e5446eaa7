"""Django beside Lateshift: its connections in a worker's threads, and its transactions on the file of the jobs."""

from __future__ import annotations

import queue
from contextvars import ContextVar

import pytest
from callers_connections import Django

from lateshift import Lateshift
from lateshift.errors import InvalidOption
from lateshift.job import Claimed
from lateshift.runtime.execution import Execution
from lateshift.runtime.executors.loop import LoopExecutor
from lateshift.runtime.executors.thread import ThreadExecutor
from lateshift.settings import load_settings
from lateshift.storage import sqlite_locks

TENANT: ContextVar[str | None] = ContextVar("tenant", default=None)


def write() -> bool:
    """Write a row; whether this thread had no connection before."""
    from django.db import connection

    fresh = connection.connection is None
    with connection.cursor() as cursor:
        cursor.execute("insert into effects values (1)")
    return fresh


async def awrite() -> bool:
    from asgiref.sync import sync_to_async

    return await sync_to_async(write)()


def never_leave() -> None:
    """What an interruption between two lines of Django makes of a transaction."""
    from django.db import transaction

    transaction.atomic().__enter__()
    write()


def change_tenant(name: str) -> str | None:
    before = TENANT.get()
    TENANT.set(name)
    return before


@pytest.fixture(params=[ThreadExecutor, LoopExecutor])
def kind(request):
    """The kind of executor."""
    return request.param


@pytest.fixture
def run(tmp_path, kind):
    """Runs jobs one after the other, in the only thread of an executor of threads; their results as JSON."""
    answers: queue.Queue[str | None] = queue.Queue()
    execution = Execution(load_settings(allowed=[__name__], storage_dir=tmp_path), lambda: 0, lambda *_: None)
    executor = kind(1, execution, lambda run: True, lambda job, outcome: answers.put(outcome.result))

    def run(function, parameters="{}"):
        name = f"{__name__}.{function.__name__}"
        executor.submit([Claimed("id", 1, name, parameters, 1, 0, 3, 0, 0, None, "q", "thread", 1)])
        return answers.get(timeout=20)

    yield run
    executor.close()


in_threads = pytest.mark.parametrize("kind", [ThreadExecutor])


@pytest.fixture
def django(tmp_path):
    """A program with a table, as its thread has it between two transactions."""
    program = Django(f"sqlite:///{tmp_path}/shop.sqlite3")
    program.do("create table effects (number int)")
    program.commit()
    yield program
    program.close()


def written(django):
    with django.connection.cursor() as cursor:
        return cursor.execute("select count(*) from effects").fetchone()[0]


def test_no_attempt_meets_an_old_connection(run, django, kind):
    """By CONN_MAX_AGE, which is 0; the server may have closed it meanwhile."""
    job = write if kind is ThreadExecutor else awrite
    assert [run(job), run(job)] == ["true", "true"]
    assert written(django) == 2


@in_threads
def test_a_transaction_that_was_left_open_is_not_the_next_attempt_s(run, django):
    """It would write, complete, and never be committed."""
    assert [run(never_leave), run(write), run(write)] == ["null", "true", "true"]
    assert written(django) == 2


@in_threads
def test_each_attempt_has_context_variables_of_its_own(run):
    """As coroutines have: a language or tenant that one job sets is not the next one's."""
    assert [run(change_tenant, f'{{"name": "{name}"}}') for name in "ab"] == ["null", "null"]


def test_to_enqueue_beside_an_own_transaction_is_refused(tmp_path, django, monkeypatch):
    """That would wait for itself, until the patience with other processes ends; after the commit it goes well."""
    monkeypatch.setattr(sqlite_locks, "OWN_LOCK_PATIENCE", 0.05)
    app = Lateshift(database_url=django.url, allowed=[__name__], spawn="never", storage_dir=tmp_path)
    app.database.query("select 1")  # makes the tables
    write()
    with django.db.transaction.atomic():
        written(django)
        app.run_background_job(write)  # it reads only
    with django.db.transaction.atomic():
        write()
        with pytest.raises(InvalidOption, match=r"connection=django\.db\.connection.*on_commit"):
            app.run_background_job(write)
    app.run_background_job(write)
    django.connection.close()
    django.connection.connect()
    monkeypatch.setattr(django.connection, "transaction_mode", "IMMEDIATE")
    with django.db.transaction.atomic(), pytest.raises(InvalidOption, match="on_commit"):
        app.run_background_job(write)
    assert len(app.list_jobs()) == 2
    app.close()
