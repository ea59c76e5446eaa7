"""What a PostgreSQL server does to a session of ours: the work is done again, or told in words that are true."""

from __future__ import annotations

import time
from contextlib import closing

import psycopg
import pytest
from storage_steps import new_job

from lateshift.errors import StorageUnavailable
from lateshift.settings import load_settings
from lateshift.storage import open_database, reads, writes
from lateshift.storage.migrations import migrate


@pytest.fixture
def database(postgres_url):
    """A database with our tables."""
    with closing(open_database(load_settings(database_url=postgres_url), as_is=True)) as made:
        migrate(made)
    with closing(open_database(load_settings(database_url=postgres_url))) as database:
        yield database


@pytest.fixture
def other(postgres_url):
    """A connection of somebody else's."""
    with psycopg.connect(postgres_url) as connection:
        yield connection


def test_a_lost_prepared_statement_is_done_without(database):
    """A pooler that goes unnoticed may take it away: everything failed then, for as long as the process lived."""
    for _ in range(5):
        assert reads.status(database, "x") is None
    database._idle[-1].connection.pgconn.exec_(b"do $$ begin execute 'deallocate all'; end $$")
    for _ in range(5):
        assert reads.status(database, "x") is None
    assert database.repeats == 1


def test_who_stood_still_in_a_transaction_does_it_again(database, other):
    """After a sleep of the machine or a debugger: it was an error to be reported."""
    times = []

    def work():
        ((process,),) = database.query("select pg_backend_pid()")
        times.append(process)
        if len(times) == 1:
            database.execute("set idle_in_transaction_session_timeout = 1")
            there = "select 1 from pg_stat_activity where pid = %s"
            while other.execute(there, (process,)).fetchone():
                other.rollback()  # or it would look at the same picture again
        return database.query("select 1")

    assert database.transact(work) == [(1,)]
    assert len(times) == 2


def test_a_limit_of_the_servers_own_is_named(database, postgres_url, other):
    """A role's statement_timeout ends what waits for a lock; that was called a read that takes too long."""
    job = new_job(database.now())
    writes.enqueue(database, [job])
    other.execute("select 1 from lateshift.jobs for update")
    url = f"{postgres_url}?options=-c%20statement_timeout%3D50"
    told = pytest.raises(StorageUnavailable, match="statement_timeout on PostgreSQL")
    with closing(open_database(load_settings(database_url=url))) as limited, told:
        writes.cancel(limited, job.id, 0)


def test_what_was_given_up_ends_on_the_server_too(database, postgres_url, other):
    """Each try waited on for the lock, on a connection of its own, until the server had none left."""
    other.execute("lock table lateshift.jobs in access exclusive mode")
    url = f"{postgres_url}?application_name=impatient"
    told = pytest.raises(StorageUnavailable, match="did not answer in time")
    with closing(open_database(load_settings(database_url=url), timeout=0.5, as_is=True)) as impatient, told:
        reads.status(impatient, "x")
    deadline = time.monotonic() + 10
    while database.query("select 1 from pg_stat_activity where application_name = 'impatient'"):
        assert time.monotonic() < deadline, "it waits on"


def test_a_shorter_limit_of_the_servers_own_stays(postgres_url):
    """Ours, which ends what was given up, would else make it longer."""
    for given, kept in {"0": "11s", "1h": "11s", "3s": "3s"}.items():
        url = f"{postgres_url}?options=-c%20statement_timeout%3D{given}"
        with closing(open_database(load_settings(database_url=url), timeout=10, as_is=True)) as limited:
            assert limited.query("show statement_timeout") == [(kept,)]


def test_a_batch_that_waits_for_a_lock_is_told_as_such(database, other):
    """It was told that a pipeline could not be left, and that the database might be away."""
    job = new_job(database.now())
    writes.enqueue(database, [job])
    other.execute("select 1 from lateshift.jobs for update")
    update = "update lateshift_jobs set priority = priority where id = :id"
    database.timeout = database.patience = 0.3
    database.close()
    with pytest.raises(StorageUnavailable, match=r"did not answer in time \(no answer within 0.3 s\)"):
        database.transact(lambda: database.execute_many(update, [{"id": job.id}] * 2))
