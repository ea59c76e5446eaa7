"""Enqueuing on the program's own connection, whatever else the program has set up there; and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time

import callers_connections as programs
import pytest

from lateshift import Lateshift, background
from lateshift.default import set_app
from lateshift.errors import InvalidOption
from lateshift.storage import migrations, open_database

ALLOWED = ["callers_connections", "test_foreign_habits"]


@background
def decorated(number: int) -> None:
    """A job with an `.enqueue` of its own."""


@pytest.fixture
def sqlite_app(tmp_path):
    """An application with its jobs in an SQLite file."""
    yield from application(f"sqlite:///{tmp_path}/lateshift.db")


@pytest.fixture
def postgres_app(postgres_url):
    """An application with its jobs on PostgreSQL."""
    yield from application(postgres_url)


@pytest.fixture
def mariadb_app(mariadb_url):
    """An application with its jobs on MariaDB."""
    yield from application(mariadb_url)


def application(url, **settings):
    app = Lateshift(database_url=url, allowed=ALLOWED, spawn="never", **settings)
    migrate(app)
    app.database.execute("create table orders (number int)")
    yield app
    app.close()


def migrate(app):
    with contextlib.closing(open_database(app.settings, as_is=True)) as database:
        migrations.migrate(database)


def url_of(app) -> str:
    return app.settings.database_url


def connected(kind, app, driver=None):
    return contextlib.closing(kind(url_of(app), driver))


def numbers(app) -> list[int]:
    return [job.parameters["number"] for job in reversed(app.list_jobs(limit=10_000))]


def test_the_rows_of_sqlite3_may_be_anything(sqlite_app):
    """A row factory or text factory of the program's is for its own rows."""
    with connected(programs.Sqlite3, sqlite_app) as program:
        program.connection.row_factory = lambda *_: {"name": 1}
        program.connection.text_factory = bytes
        program.enqueue(sqlite_app, 7)
        program.enqueue_many(sqlite_app, [8, 9])
        program.commit()
    assert numbers(sqlite_app) == [7, 8, 9]


def test_the_cursors_of_psycopg_may_be_any(postgres_app):
    """Factories of the program's for rows and cursors are for its own; a RawCursor knows no names of parameters."""
    psycopg = pytest.importorskip("psycopg")
    for kind, raw in ((programs.Psycopg, psycopg.RawCursor), (programs.AsyncPsycopg, psycopg.AsyncRawCursor)):
        for factory in (psycopg.rows.class_row(Lateshift), psycopg.rows.dict_row):
            with connected(kind, postgres_app) as program:
                program.connection.row_factory, program.connection.cursor_factory = factory, raw
                program.enqueue(postgres_app, 7)
                program.enqueue_many(postgres_app, [8, 9])
                program.commit()
    assert numbers(postgres_app) == 4 * [7, 8, 9]


@pytest.mark.parametrize("cursor", ["DictCursor", "SSCursor", "SSDictCursor"])
@pytest.mark.parametrize("kind", [programs.PyMysql, programs.Mysqlclient])
def test_the_cursors_of_mysql_may_be_any(mariadb_app, kind, cursor):
    """The connection's class of cursors may give dicts, and rows one by one."""
    module = pytest.importorskip(f"{kind.driver}.cursors")
    with connected(kind, mariadb_app) as program:
        program.connection.close()
        program.open(cursorclass=getattr(module, cursor))
        program.enqueue(mariadb_app, 7)
        program.enqueue_many(mariadb_app, [8, 9])
        program.commit()
    assert numbers(mariadb_app) == [7, 8, 9]


def test_where_nothing_is_begun_each_row_is_there_at_once(sqlite_app, postgres_app):
    """A connection that commits each statement by itself goes on doing so."""
    with contextlib.closing(sqlite3.connect(sqlite_app.database.path, isolation_level=None)) as connection:
        sqlite_app.run_background_job(programs.note, parameters={"number": 1}, connection=connection)
        assert not connection.in_transaction
        assert numbers(sqlite_app) == [1]
    with connected(programs.Psycopg, postgres_app) as program:
        program.connection.autocommit = True
        program.enqueue(postgres_app, 1)
        program.enqueue_many(postgres_app, [2, 3])
        assert not program.in_transaction()
        assert numbers(postgres_app) == [1, 2, 3]


def test_an_inner_transaction_can_be_given_up(postgres_app):
    """A job that was enqueued since a savepoint goes when the program goes back to it; what was before it stays."""
    with connected(programs.Psycopg, postgres_app) as program:
        program.enqueue(postgres_app, 1)
        with pytest.raises(LookupError), program.connection.transaction():
            program.enqueue(postgres_app, 2)
            raise LookupError
        program.commit()
    assert numbers(postgres_app) == [1]


def test_what_a_session_has_pending_is_not_flushed(sqlite_app):
    """The program alone decides when its objects are written."""
    from sqlalchemy import Integer
    from sqlalchemy.orm import declarative_base, mapped_column

    class Order(declarative_base()):
        __tablename__ = "orders"
        number = mapped_column(Integer, primary_key=True)

    with connected(programs.AlchemySession, sqlite_app) as program:
        order = Order(number=1)
        program.connection.add(order)
        program.enqueue(sqlite_app)
        assert order in program.connection.new
        program.commit()
    assert sqlite_app.database.query("select number from orders") == [(1,)]
    assert numbers(sqlite_app) == [1]


def test_classes_derived_from_the_libraries_will_do(sqlite_app):
    """A connection is known by what its class derives from."""

    class Derived(sqlite3.Connection):
        """As some libraries have it."""

    with contextlib.closing(sqlite3.connect(sqlite_app.database.path, factory=Derived)) as connection:
        sqlite_app.run_background_job(programs.note, parameters={"number": 1}, connection=connection)
        connection.commit()
    assert numbers(sqlite_app) == [1]


def test_a_decorated_job_takes_a_connection_as_an_option(sqlite_app, postgres_app):
    """`.options(connection=...)` is for both `.enqueue` and `.aenqueue`."""
    before = set_app(sqlite_app)
    with connected(programs.Sqlite3, sqlite_app) as program:
        decorated.options(connection=program.connection, priority=3).enqueue(1)
        program.rollback()
        decorated.options(connection=program.connection).enqueue(2)
        program.commit()
        with pytest.raises(InvalidOption, match="enqueue_many"):
            decorated.options(connection=program.connection).call(3)
    set_app(postgres_app)
    with connected(programs.Asyncpg, postgres_app) as program:
        program.run(decorated.options(connection=program.connection).aenqueue(4))
        assert numbers(postgres_app) == []
        program.commit()
    set_app(before)
    assert (numbers(sqlite_app), numbers(postgres_app)) == ([2], [4])


def test_thousands_of_jobs_go_at_once(postgres_app):
    """Many rows do not take a round trip each."""
    for kind in (programs.Psycopg, programs.Asyncpg):
        with connected(kind, postgres_app) as program:
            program.enqueue_many(postgres_app, range(2000))
            program.commit()
    assert numbers(postgres_app) == 2 * [*range(2000)]


def test_a_transaction_on_sqlite_waits_for_nobody(sqlite_app):
    """While another thread waits for the program's transaction to end, the program can still enqueue in it."""
    waiter = threading.Thread(target=sqlite_app.run_background_job, args=(programs.note, "handle", {"number": 1}))
    with connected(programs.Sqlite3, sqlite_app) as program:
        program.order(1)
        waiter.start()
        time.sleep(0.2)
        began = time.monotonic()
        program.enqueue(sqlite_app, 2)
        assert time.monotonic() - began < 2
        assert waiter.is_alive()
        program.commit()
    waiter.join()
    assert sorted(numbers(sqlite_app)) == [1, 2]


def test_tables_that_the_program_s_own_lock_keeps_from_being_made(tmp_path):
    """At the very first use that is said soon, and not waited for until LATESHIFT_BUSY_TIMEOUT."""
    app = Lateshift(database_url=f"sqlite:///{tmp_path}/lateshift.db", allowed=ALLOWED, spawn="never")
    with connected(programs.Sqlite3, app) as program, contextlib.closing(app):
        program.do("create table orders (number int)")
        program.order(1)
        began = time.monotonic()
        with pytest.raises(InvalidOption, match="lateshift migrate"):
            program.enqueue(app)
        assert time.monotonic() - began < 5
        program.rollback()
        program.enqueue(app)
        program.commit()
        assert numbers(app) == [1]


def refusal(app, connection, *, awaited=False) -> str:
    """The message of the refusal."""
    with pytest.raises(InvalidOption) as caught:
        if awaited:
            asyncio.run(app.arun_background_job(programs.note, parameters={"number": 1}, connection=connection))
        else:
            app.run_background_job(programs.note, parameters={"number": 1}, connection=connection)
    assert numbers(app) == []
    return str(caught.value)


def test_what_is_awaited_and_what_is_not(postgres_app):
    """The sync functions take sync connections, the async ones those that are awaited; each names the other."""
    for kind in (programs.AsyncPsycopg, programs.Asyncpg, programs.AsyncpgPool, programs.AsyncAlchemySession):
        with connected(kind, postgres_app, "postgresql+asyncpg") as program:
            assert "await arun_background_job" in refusal(postgres_app, program.connection)
    for kind in (programs.Psycopg, programs.AlchemyConnection, programs.Django):
        with connected(kind, postgres_app, "postgresql+psycopg") as program:
            assert "in sync code" in refusal(postgres_app, program.connection, awaited=True)


def test_another_kind_of_database(sqlite_app, postgres_app):
    """Data on SQLite and jobs on PostgreSQL are no one transaction, nor the other way round."""
    for kind in (programs.Sqlite3, programs.AlchemySession, programs.Django):
        with connected(kind, sqlite_app) as program:
            assert "leads to SQLite" in refusal(postgres_app, program.connection)
    for kind in (programs.Psycopg, programs.AlchemySession, programs.Django):
        with connected(kind, postgres_app, "postgresql+psycopg") as program:
            message = refusal(sqlite_app, program.connection)
            assert "leads to PostgreSQL" in message
            assert "after your commit" in message


def test_another_file(sqlite_app, tmp_path):
    """Another SQLite file is refused, also if it has tables of ours, and so is a database in memory."""
    for other in application(f"sqlite:///{tmp_path}/other.db"):
        with connected(programs.Sqlite3, other) as program:
            assert "other.db" in refusal(sqlite_app, program.connection)
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        refusal(sqlite_app, connection)


def test_a_file_that_is_attached(sqlite_app, tmp_path):
    """The jobs' file may be attached to the program's, under any name and besides other tables of ours."""
    for other in application(f"sqlite:///{tmp_path}/other.db"):
        with connected(programs.Sqlite3, other) as program:
            program.do(f'attach "{sqlite_app.database.path}" as "the ""jobs"')
            program.enqueue(sqlite_app, 1)
            program.enqueue_many(sqlite_app, [2, 3])
            program.commit()
        assert numbers(other) == []
    assert numbers(sqlite_app) == [1, 2, 3]


@pytest.mark.skipif(os.name == "nt", reason="making a link needs a privilege there")
def test_the_same_file_by_another_name(sqlite_app, tmp_path):
    """A link to the file leads to the same file."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path, target_is_directory=True)
    with contextlib.closing(sqlite3.connect(link / "lateshift.db")) as connection:
        sqlite_app.run_background_job(programs.note, parameters={"number": 1}, connection=connection)
        connection.commit()
    assert numbers(sqlite_app) == [1]


def test_another_database_of_the_server(postgres_app, postgres_server):
    """It is refused, with or without tables of ours; the program's transaction is none the worse for it."""
    other = Lateshift(database_url=postgres_server.new_database(), allowed=ALLOWED, spawn="never")
    with contextlib.closing(other):
        for made in (False, True):
            for kind in (programs.Psycopg, programs.Asyncpg):
                with connected(kind, other) as program:
                    message = refusal_of(postgres_app, program)
                    assert f"the database {url_of(other).rpartition('/')[2]}" in message
                    program.do("create table orders (number int)")
                    program.rollback()
            if not made:
                migrate(other)
    postgres_server.drop_database(url_of(other))


def test_another_database_of_the_mariadb_server(mariadb_app, mariadb_server):
    """It is refused, with or without tables of ours."""
    other = Lateshift(database_url=mariadb_server.new_database(), allowed=ALLOWED, spawn="never")
    with contextlib.closing(other), connected(programs.PyMysql, other) as program:
        assert "the database lateshift_" in refusal(mariadb_app, program.connection)
        migrate(other)
        assert "the database lateshift_" in refusal(mariadb_app, program.connection)
    mariadb_server.drop_database(url_of(other))


@pytest.mark.parametrize("kind", [programs.PyMysql, programs.AlchemyConnection])
def test_a_mysql_connection_that_goes_on_to_another_database(mariadb_app, mariadb_server, kind):
    """Its jobs stay in ours, whose tables the other has as well."""
    other = Lateshift(database_url=mariadb_server.new_database(), allowed=ALLOWED, spawn="never")
    migrate(other)
    with contextlib.closing(other), connected(kind, mariadb_app, "mysql+pymysql") as program:
        program.enqueue(mariadb_app, 1)
        program.do(f"use {url_of(other).rpartition('/')[2]}")
        program.enqueue(mariadb_app, 2)
        program.enqueue_many(mariadb_app, [3, 4])
        program.commit()
        assert (numbers(mariadb_app), numbers(other)) == ([1, 2, 3, 4], [])
    mariadb_server.drop_database(url_of(other))


def test_a_file_that_is_attached_by_another_name_each_time(sqlite_app, tmp_path):
    """Each connection of one engine may know it by another name."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/mine.db", poolclass=sqlalchemy.pool.NullPool)
    for number, alias in enumerate(("first", "second"), 1):
        with engine.connect() as connection:
            connection.exec_driver_sql(f"attach '{sqlite_app.database.path}' as {alias}")
            sqlite_app.run_background_job(programs.note, parameters={"number": number}, connection=connection)
            connection.commit()
    assert numbers(sqlite_app) == [1, 2]


def refusal_of(app, program) -> str:
    with pytest.raises(InvalidOption) as caught:
        program.enqueue(app)
    return str(caught.value)


def test_tables_that_were_made_anew(postgres_app):
    """An application goes on to know its own database after its tables have been dropped and made again."""
    with connected(programs.Psycopg, postgres_app) as program:
        program.enqueue(postgres_app, 1)
        program.commit()
    postgres_app.database.execute("drop schema lateshift cascade")
    migrate(postgres_app)
    with connected(programs.Psycopg, postgres_app) as program:
        program.enqueue(postgres_app, 2)
        program.commit()
    assert numbers(postgres_app) == [2]


def test_tables_of_another_name(tmp_path, postgres_url, mariadb_url):
    """The schema and the prefix of the settings are heeded."""
    names = {"schema": "lateshift_x", "table_prefix": "lateshift_x_"}
    places = {f"sqlite:///{tmp_path}/jobs.db": programs.Sqlite3, postgres_url: programs.Psycopg}
    for url, kind in (places | {mariadb_url: programs.PyMysql}).items():
        for app in application(url, **names):
            with connected(kind, app) as program:
                program.enqueue(app, 1)
                program.enqueue_many(app, [2, 3])
                program.commit()
            assert numbers(app) == [1, 2, 3]


def test_what_gives_out_connections(postgres_app):
    """A pool or an engine cannot know which transaction is meant."""
    with connected(programs.AsyncpgPool, postgres_app) as program:
        assert "gives out connections" in refusal(postgres_app, program.pool, awaited=True)
    with connected(programs.AlchemySession, postgres_app, "postgresql+psycopg") as program:
        assert "gives out connections" in refusal(postgres_app, program.engine)


def test_what_is_no_connection(sqlite_app, postgres_app):
    """The message says what is."""
    for nonsense in ("db", 5, object(), sqlite3.Cursor):
        message = refusal(sqlite_app, nonsense)
        assert "asyncpg, sqlite3, PyMySQL" in message
        assert type(nonsense).__name__ in message
    from sqlalchemy.ext.asyncio import create_async_engine

    connection = create_async_engine(url_of(postgres_app).replace(":", "+asyncpg:", 1)).connect()
    assert "not open yet" in refusal(postgres_app, connection, awaited=True)
