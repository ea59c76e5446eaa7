"""Enqueuing on the program's own connection: job and data commit or vanish together, whatever the library."""

from __future__ import annotations

import contextlib
import threading

import callers_connections as programs
import pytest
from callers_connections import Program

from lateshift import JobNotFound, Lateshift
from lateshift.errors import SpawnError
from lateshift.storage import foreign

PROGRAMS: dict[str, dict[str, tuple[type[Program], str | None]]] = {
    "sqlite": {
        "sqlite3": (programs.Sqlite3, None),
        "SQLAlchemy Connection": (programs.AlchemyConnection, None),
        "SQLAlchemy Session": (programs.AlchemySession, None),
        "Django": (programs.Django, None),
    },
    "postgres": {
        "psycopg": (programs.Psycopg, None),
        "psycopg AsyncConnection": (programs.AsyncPsycopg, None),
        "asyncpg": (programs.Asyncpg, None),
        "asyncpg from a pool": (programs.AsyncpgPool, None),
        "SQLAlchemy Connection": (programs.AlchemyConnection, "postgresql+psycopg"),
        "SQLAlchemy Session": (programs.AlchemySession, "postgresql+psycopg"),
        "SQLAlchemy scoped_session": (programs.ScopedSession, "postgresql+psycopg"),
        "SQLAlchemy AsyncConnection": (programs.AsyncAlchemyConnection, "postgresql+asyncpg"),
        "SQLAlchemy AsyncSession": (programs.AsyncAlchemySession, "postgresql+asyncpg"),
        "SQLAlchemy AsyncSession, psycopg": (programs.AsyncAlchemySession, "postgresql+psycopg"),
        "SQLAlchemy async_scoped_session": (programs.AsyncScopedSession, "postgresql+asyncpg"),
        "Django": (programs.Django, None),
    },
    "mariadb": {
        "PyMySQL": (programs.PyMysql, None),
        "mysqlclient": (programs.Mysqlclient, None),
        "SQLAlchemy Connection": (programs.AlchemyConnection, "mysql+pymysql"),
        "SQLAlchemy Session": (programs.AlchemySession, "mysql+pymysql"),
        "Django": (programs.Django, None),
    },
}


@pytest.fixture
def app(place):
    """An application whose jobs are where the program has its orders, and that starts nothing."""
    app = Lateshift(database_url=place.url, allowed=["callers_connections"], spawn="never")
    app.database.execute("create table orders (number int)")
    yield app
    app.close()


@pytest.fixture
def program(place, app, library):
    """A program that is connected to that database."""
    kind, driver = PROGRAMS[place.kind][library]
    with contextlib.closing(kind(place.url, driver)) as program:
        yield program


def on(*databases: str):
    """Run the test with each library on these databases."""
    pairs = [(database, library) for database in databases for library in PROGRAMS[database]]
    ids = [f"{database}, {library}" for database, library in pairs]
    return pytest.mark.parametrize(("bare", "library"), pairs, indirect=["bare"], ids=ids)


def stored(app: Lateshift) -> tuple[list[int], list[int]]:
    """The numbers of the orders and of the jobs, as others see them."""
    orders = app.database.query("select number from orders order by number")
    return [number for (number,) in orders], sorted(job.parameters["number"] for job in app.list_jobs(limit=1000))


@on(*PROGRAMS)
def test_job_and_data_commit_together(app, program):
    """Nobody else sees either before the program commits, and both from then on."""
    program.order(1)
    job_id = program.enqueue(app, 1)
    program.order(2)
    many = program.enqueue_many(app, [2, 3, 4])
    assert program.in_transaction()
    assert stored(app) == ([], [])
    with pytest.raises(JobNotFound, match="its transaction has not been committed"):
        app.get_job(job_id)
    program.commit()
    assert stored(app) == ([1, 2], [1, 2, 3, 4])
    assert app.get_job(job_id).status == "pending"
    assert [app.get_job(one).parameters["number"] for one in many] == [2, 3, 4]


@on(*PROGRAMS)
def test_job_and_data_vanish_together(app, program):
    """What is rolled back leaves no job, and the connection goes on as before."""
    program.order(1)
    program.enqueue(app, 1)
    program.enqueue_many(app, [2, 3])
    program.rollback()
    assert stored(app) == ([], [])


@pytest.mark.parametrize(
    ("bare", "library"),
    [("sqlite", "sqlite3"), ("postgres", "psycopg"), ("postgres", "asyncpg"), ("mariadb", "PyMySQL")],
    indirect=["bare"],
)
def test_the_data_is_kept_where_no_runner_can_be_started(app, program, place, tmp_path, caplog):
    """An order is not lost for a worker's trouble: that is told in the log, and raised only without `connection=`."""
    (nowhere := tmp_path / "no-folder").touch()
    settings = {"allowed": ["callers_connections"], "spawn": "auto", "storage_dir": nowhere}
    with contextlib.closing(Lateshift(database_url=place.url, **settings)) as web:
        program.order(1)
        job_id = program.enqueue(web, 1)
        program.enqueue_many(web, [2, 3])
        program.commit()
        with pytest.raises(SpawnError, match=r"^2 jobs are stored\. No runner .* LATESHIFT_STORAGE_DIR") as caught:
            web.enqueue_many([programs.call(4), programs.call(5)])
    assert stored(app) == ([1], [1, 2, 3, 4, 5])
    assert [app.get_job(job).parameters["number"] for job in caught.value.job_ids] == [4, 5]
    assert caught.value.job_id is None
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert job_id in caplog.messages[0]
    assert all("LATESHIFT_STORAGE_DIR" in message for message in caplog.messages)


def test_a_job_that_is_stored_is_not_told_as_one_that_is_not(app, place):
    """When the database fails right after it was stored; who took that for a refusal stored it once more."""
    app.database.execute("alter table lateshift_workers rename to lateshift_gone")
    web = Lateshift(database_url=place.url, allowed=["callers_connections"], spawn="auto")
    with contextlib.closing(web), pytest.raises(SpawnError, match=r"stored\. Whether a worker .*table") as caught:
        web.run_background_job(programs.note, parameters={"number": 1})
    assert stored(app) == ([], [1])
    assert app.get_job(caught.value.job_id).status == "pending"


@on("postgres")
def test_a_listener_hears_at_the_commit(app, program):
    """Workers that listen are woken when the job becomes visible, also right after others were."""
    heard = threading.Event()
    with contextlib.closing(app.database.listen(heard.set)):
        assert heard.wait(10)  # it listens now
        for enqueue in (program.enqueue, lambda app: program.enqueue_many(app, [2, 3])):
            heard.clear()
            app.run_background_job(programs.note, parameters={"number": 0})  # told at once, so the next would have time
            enqueue(app)
            assert heard.wait(10)
            heard.clear()
            assert not heard.wait(0.1)
            program.commit()
            assert heard.wait(4)
            if isinstance(program, programs.Asyncpg):
                program.run(program.begin())
            elif isinstance(program, programs.Django):
                program.atomic.__enter__()


@pytest.mark.parametrize("bare", ["mariadb"], indirect=True)
def test_characters_of_four_bytes_on_a_connection_of_three(place, steps):
    """The old `utf8` of MySQL made question marks of them, where the program's SQL mode is not strict."""
    job = steps.new(parameters='{"to":"é 😀\\u00e9"}')
    with contextlib.closing(programs.PyMysql(place.url)) as program:
        program.connection.close()
        program.open(charset="utf8mb3", sql_mode="")
        foreign.insert(steps.db, program.connection, [job])
        program.commit()
    assert steps.get(job.id).parameters == {"to": "é 😀é"}


SERVERS = {
    "postgres": "extract(epoch from pg_postmaster_start_time()) * 1000000",
    "mariadb": "@@hostname, @@port, @@datadir",
}


@pytest.mark.parametrize("bare", SERVERS, indirect=True)
def test_a_database_of_that_name_on_another_server(place, database):
    """It would be taken for ours where both servers were set up alike, and the job would be there."""
    ((*there,),) = database.query(database.dialect.whereabouts)
    facts = database.query(f"select {SERVERS[place.kind]}")[0]
    assert database.tables_at([tuple(there)]) is not None
    assert set(facts) <= set(there)
    for fact in facts:
        assert database.tables_at([tuple(f"not {value}" if value == fact else value for value in there)]) is None
