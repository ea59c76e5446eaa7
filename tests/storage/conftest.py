"""The databases that the suite runs on, and what its tests are given."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from database_servers import MariadbServer, PostgresServer
from servers_plugin import new_database
from storage_steps import Place, Steps

from lateshift.testing import FrozenClock

pytest.register_assert_rewrite("random_operations")  # as it asserts, though it has no tests of its own

NOON = datetime(2025, 6, 15, 12, tzinfo=UTC)  # past, so that what is due here is due by the real clock as well


def sqlite(request) -> str:
    """A file in the test's own folder."""
    return f"sqlite:///{request.getfixturevalue('tmp_path')}/jobs/lateshift.db"


def postgres(request) -> str:
    """A new database of the PostgreSQL server."""
    return request.getfixturevalue("postgres_copy" if "place" in request.fixturenames else "postgres_url")


def mariadb(request) -> str:
    """A new database of the MariaDB server."""
    return request.getfixturevalue("mariadb_copy" if "place" in request.fixturenames else "mariadb_url")


# Another database is one entry: a function that gives the URL of an empty one.
DATABASES: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "sqlite": sqlite,
    "postgres": postgres,
    "mariadb": mariadb,
}


@pytest.fixture(autouse=sys.platform == "win32")
def _a_loop_that_psycopg_takes() -> Iterator[None]:
    """Its connections do not work with the loop that Windows has by default."""
    asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
    yield
    asyncio.set_event_loop_policy(None)


@pytest.fixture
def clock() -> FrozenClock:
    """Noon, until a test moves it."""
    return FrozenClock(NOON)


@pytest.fixture(params=DATABASES)
def bare(request, clock: FrozenClock) -> Iterator[Place]:
    """A database of each kind, with nothing in it at all."""
    place = Place(request.param, DATABASES[request.param](request), clock)
    yield place
    place.close()


@pytest.fixture(scope="session")
def postgres_tables(postgres_server: PostgresServer) -> str:
    """A database of the PostgreSQL server with our tables in it."""
    url = postgres_server.new_database()
    Place("postgres", url, FrozenClock(NOON)).make_tables()
    return url


@pytest.fixture
def postgres_copy(postgres_server: PostgresServer, postgres_tables: str) -> Iterator[str]:
    """A new database with our tables: 15 ms instead of 55, five hundred times."""
    yield from new_database(postgres_server, lambda: postgres_server.copy_of(postgres_tables))


@pytest.fixture(scope="session")
def mariadb_tables(mariadb_server: MariadbServer) -> str:
    """A database of the MariaDB server with our tables in it."""
    url = mariadb_server.new_database()
    Place("mariadb", url, FrozenClock(NOON)).make_tables()
    return url


@pytest.fixture
def mariadb_copy(mariadb_server: MariadbServer, mariadb_tables: str) -> Iterator[str]:
    """A new database with our tables, in a third of the time that making them takes."""
    yield from new_database(mariadb_server, lambda: mariadb_server.copy_of(mariadb_tables))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the file of `sqlite_place` is or will be."""
    return tmp_path / "jobs" / "lateshift.db"


@pytest.fixture
def sqlite_place(file: Path, clock: FrozenClock) -> Iterator[Place]:
    """SQLite, without a file so far."""
    place = Place("sqlite", f"sqlite:///{file}", clock)
    yield place
    place.close()


@pytest.fixture
def place(bare: Place) -> Place:
    """A database of each kind, with our tables and nothing in them, not opened yet."""
    return bare  # of the servers' databases these are copies; an SQLite file is made at its first use


@pytest.fixture
def database(place: Place):
    """An empty database, under the frozen clock."""
    return place.open()


@pytest.fixture
def steps(database, clock: FrozenClock) -> Steps:
    """What a worker and an operator do, on that database."""
    return Steps(database, clock)
