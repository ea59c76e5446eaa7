"""Enqueuing on a connection of the caller's own, in the transaction that it has open there.

That is one insert, handed to whatever executes statements there; nothing is begun, committed or looked at besides. A
connection is known by the names of its class and that class's bases, so no library is imported that is not there
already. What has to be awaited on some connections is written once, as coroutines; on the others they wait for nothing.
"""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any, ClassVar, Final, TypeVar
from weakref import WeakKeyDictionary

import msgspec

from lateshift.errors import InvalidOption
from lateshift.job import NewJob
from lateshift.storage.database import Database, Parameters, Row
from lateshift.storage.dialect import PARAMETER
from lateshift.storage.writes import INSERT_JOB
from lateshift.texts import in_three_bytes, type_name

T = TypeVar("T")

_DIALECTS: Final = {"postgresql": "postgres", "mariadb": "mysql"}
"""Our names for what SQLAlchemy and Django call otherwise."""

_SQL_NAMES: Final = {"postgres": "PostgreSQL", "mysql": "MySQL or MariaDB", "sqlite": "SQLite"}

_GIVERS: Final = frozenset({
    "asyncpg.Pool",
    "psycopg_pool.AsyncConnectionPool",
    "psycopg_pool.ConnectionPool",
    "sqlalchemy.AsyncEngine",
    "sqlalchemy.Engine",
    "sqlalchemy.async_sessionmaker",
    "sqlalchemy.sessionmaker",
})  # fmt: skip
"""What gives out connections: which of them the transaction is on, they cannot know."""

_known: WeakKeyDictionary[Database, WeakKeyDictionary[Any, str]] = WeakKeyDictionary()
"""For the connections of which it was seen that they lead to a database, or their engines: what `_tables` gives."""


def insert(db: Database, connection: object, jobs: Sequence[NewJob]) -> None:
    """Insert jobs on the caller's connection: they exist when it commits, and those who listen hear of them then.

    Raises InvalidOption for what is no connection to `db` or has to be awaited, and what the connection itself raises.
    """
    _finish(_insert(db, connection, jobs, awaited=False))


async def ainsert(db: Database, connection: object, jobs: Sequence[NewJob]) -> None:
    """As `insert`, on a connection that is awaited."""
    await _insert(db, connection, jobs, awaited=True)


def tables_on(db: Database, connection: object) -> str:
    """What stands before the names of our tables on a connection. Raises InvalidOption if it leads elsewhere."""
    return _finish(_tables(db, _caller(connection)))


async def _insert(db: Database, connection: object, jobs: Sequence[NewJob], *, awaited: bool) -> None:
    caller = _caller(connection)
    if caller.awaited != awaited:
        raise InvalidOption(_REFUSALS[awaited].format(name=type_name(type(connection))))
    dialect = msgspec.structs.replace(db.dialect, tables=await _tables(db, caller), parameter=caller.parameter)
    for sql, rows in _statements(db, jobs):
        await caller.run(dialect.render(sql), rows)


async def _tables(db: Database, caller: _Caller) -> str:
    """What stands before the names of our tables there, seen before the first insert. Raises InvalidOption.

    On PostgreSQL a statement that fails would abort the whole transaction.
    """
    if caller.database != db.dialect.name:
        raise InvalidOption(_elsewhere(_SQL_NAMES.get(caller.database, caller.database), db))
    known = _known.setdefault(db, WeakKeyDictionary())
    home = None if caller.database == "sqlite" else caller.home  # there a file may be attached by another name later
    if home is not None and home in known:
        return known[home]
    told = await caller.ask(db.render(db.dialect.whereabouts))
    tables = db.tables_at(told)
    if tables is None:
        names = " and ".join(str(row[-1]) for row in told if row[-1])
        raise InvalidOption(_elsewhere(f"the database {names}" if names else "a database in memory", db))
    if home is not None:
        known[home] = tables
    return tables


def _statements(db: Database, jobs: Sequence[NewJob]) -> Iterator[tuple[str, list[Parameters]]]:
    """What is to be run, each once for each of its rows.

    Unlike `db.announcing` it always tells of the jobs: what was told just before may have been heard before the commit.
    """
    if db.dialect.name == "mysql":
        jobs = [msgspec.structs.replace(job, parameters=in_three_bytes(job.parameters)) for job in jobs]
    rows: list[Parameters] = [msgspec.structs.asdict(job) for job in jobs]
    announce = db.dialect.announce
    if announce and len(rows) == 1:
        yield f"with stored as ({INSERT_JOB}) {announce}", rows
        return
    yield INSERT_JOB, rows
    if announce:
        yield announce, [{}]


_REFUSALS: Final = {
    False: "connection= is a {name}, which has to be awaited: use it with `await arun_background_job(...)`, "
    "`aenqueue_many` or `.aenqueue`.",
    True: "connection= is a {name}, which would hold up the event loop: use it in sync code, with "
    "`run_background_job(...)`, `enqueue_many` or `.enqueue`.",
}


def _elsewhere(there: str, db: Database) -> str:
    return (
        f"connection= leads to {there}, but the jobs are in {db.place}, and only one and the same database commits job "
        "and data together. Set LATESHIFT_DATABASE_URL to your own database and run `lateshift migrate`, or enqueue "
        "after your commit, without connection=. Of tests docs/testing-your-jobs.md tells."
    )


class _Caller(ABC):
    """Somebody else's connection. `database` is the dialect spoken there, `parameter` how parameters are written."""

    awaited: ClassVar[bool] = False
    parameter: ClassVar[str] = "%({name})s"
    database: str

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    @property
    def home(self) -> object:
        """What leads to the same database for as long as it lives; None for what nobody can refer to weakly."""
        return self.connection

    @abstractmethod
    async def ask(self, sql: str) -> list[Row]:
        """Run a statement without parameters, return its rows."""

    @abstractmethod
    async def run(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Run a statement once for each row of parameters."""


class _DbApi(_Caller):
    """A connection as PEP 249 has it: PyMySQL's and mysqlclient's."""

    database = "mysql"

    def cursor(self) -> Any:
        return self.connection.cursor()

    async def ask(self, sql: str) -> list[Row]:
        with closing(self.cursor()) as cursor:
            cursor.execute(sql)
            return _as_tuples(cursor.fetchall())

    async def run(self, sql: str, rows: Sequence[Parameters]) -> None:
        with closing(self.cursor()) as cursor:
            if len(rows) == 1:
                cursor.execute(sql, rows[0])
            else:
                cursor.executemany(sql, rows)


class _Sqlite(_DbApi):
    """A connection of the standard library's sqlite3."""

    database = "sqlite"
    parameter = ":{name}"

    def cursor(self) -> Any:
        """A new cursor, which gives tuples whatever the connection's own give."""
        cursor = self.connection.cursor()
        cursor.row_factory = None
        return cursor


class _Django(_DbApi):
    """`django.db.connection`, or one of `connections`; the first is a stand-in for a thread's own."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection.ops.connection)
        self.database = _DIALECTS.get(self.connection.vendor, self.connection.vendor)


class _Psycopg(_DbApi):
    """A connection of psycopg 3."""

    database = "postgres"
    kind: ClassVar[str] = "Cursor"

    def cursor(self) -> Any:
        """A new cursor, which takes names and gives tuples whatever the connection's own do."""
        return getattr(sys.modules["psycopg"], self.kind)(self.connection, row_factory=lambda _: tuple)


class _AsyncPsycopg(_Psycopg):
    """An AsyncConnection of psycopg 3."""

    awaited = True
    kind = "AsyncCursor"

    async def ask(self, sql: str) -> list[Row]:
        async with self.cursor() as cursor:
            await cursor.execute(sql)
            return _as_tuples(await cursor.fetchall())

    async def run(self, sql: str, rows: Sequence[Parameters]) -> None:
        async with self.cursor() as cursor:
            if len(rows) == 1:
                await cursor.execute(sql, rows[0])
            else:
                await cursor.executemany(sql, rows)


class _Asyncpg(_Caller):
    """A connection of asyncpg, or what stands for it while it is lent from a pool."""

    awaited = True
    database = "postgres"
    parameter = ":{name}"

    @property
    def home(self) -> object:
        """The connection itself, as each lending has another stand-in."""
        return getattr(self.connection, "_con", self.connection)

    async def ask(self, sql: str) -> list[Row]:
        return _as_tuples(await self.connection.fetch(sql))

    async def run(self, sql: str, rows: Sequence[Parameters]) -> None:
        numbered, names = _numbered(sql)
        values = [[row[name] for name in names] for row in rows]
        if len(values) == 1:
            await self.connection.execute(numbered, *values[0])
        else:
            await self.connection.executemany(numbered, values)


class _Alchemy(_Caller):
    """A Connection of SQLAlchemy, over whatever driver."""

    parameter = ":{name}"

    @property
    def bind(self) -> Any:
        """The connection, or the engine from which it will come."""
        return self.connection

    @property
    def database(self) -> str:  # type: ignore[override] # elsewhere it is known from the start
        name: str = self.bind.dialect.name
        return _DIALECTS.get(name, name)

    @property
    def home(self) -> object:
        return self.bind.engine

    def opened(self) -> Any:
        return self.connection

    def execute(self, sql: str, rows: Any = None) -> Any:
        from sqlalchemy import text

        return self.opened().execute(text(sql), rows)

    async def ask(self, sql: str) -> list[Row]:
        return _as_tuples(self.execute(sql).fetchall())

    async def run(self, sql: str, rows: Sequence[Parameters]) -> None:
        self.execute(sql, rows[0] if len(rows) == 1 else rows).close()


class _AlchemySession(_Alchemy):
    """A Session of SQLAlchemy. What it has pending stays so: that is flushed by `Session.execute`, but not here."""

    @property
    def bind(self) -> Any:
        """The connection or engine that it is bound to."""
        return self.connection.get_bind()

    def opened(self) -> Any:
        """The connection of its transaction."""
        return self.connection.connection()


class _AsyncAlchemy(_Caller):
    """An AsyncConnection or AsyncSession of SQLAlchemy: the sync one inside, run where it may wait."""

    awaited = True
    parameter = _Alchemy.parameter

    def __init__(self, connection: Any, inside: _Alchemy) -> None:
        super().__init__(connection)
        self._inside = inside
        self.database = inside.database

    @property
    def home(self) -> object:
        return self._inside.home

    async def ask(self, sql: str) -> list[Row]:
        rows: list[Row] = await self.connection.run_sync(lambda _: _finish(self._inside.ask(sql)))
        return rows

    async def run(self, sql: str, rows: Sequence[Parameters]) -> None:
        await self.connection.run_sync(lambda _: _finish(self._inside.run(sql, rows)))


def _async_connection(connection: Any) -> _Caller:
    if connection.sync_connection is None:
        raise InvalidOption(
            "connection= is an AsyncConnection that is not open yet: `async with engine.begin() as connection`."
        )
    return _AsyncAlchemy(connection, _Alchemy(connection.sync_connection))


def _async_session(session: Any) -> _Caller:
    return _AsyncAlchemy(session, _AlchemySession(session.sync_session))


_CALLERS: Final[Mapping[str, Callable[[Any], _Caller]]] = {
    "MySQLdb.Connection": _DbApi,
    "asyncpg.Connection": _Asyncpg,
    "asyncpg.PoolConnectionProxy": _Asyncpg,
    "django.BaseDatabaseWrapper": _Django,
    "django.ConnectionProxy": _Django,
    "psycopg.AsyncConnection": _AsyncPsycopg,
    "psycopg.Connection": _Psycopg,
    "pymysql.Connection": _DbApi,
    "sqlalchemy.AsyncConnection": _async_connection,
    "sqlalchemy.AsyncSession": _async_session,
    "sqlalchemy.Connection": _Alchemy,
    "sqlalchemy.Session": _AlchemySession,
    "sqlalchemy.async_scoped_session": lambda scoped: _async_session(scoped()),
    "sqlalchemy.scoped_session": lambda scoped: _AlchemySession(scoped()),
    "sqlite3.Connection": _Sqlite,
}
"""By package and class: in which module of the package a class is defined changes from release to release."""


def _caller(connection: object) -> _Caller:
    names = [f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(connection).__mro__]
    for name in names:
        if name in _CALLERS:
            return _CALLERS[name](connection)
    kind = type_name(type(connection))
    if not _GIVERS.isdisjoint(names):
        raise InvalidOption(
            f"connection= is a {kind}, which gives out connections: take the one that your transaction is on."
        )
    raise InvalidOption(
        "connection= takes a connection or session of SQLAlchemy, or a connection of Django, psycopg 3, asyncpg, "
        f"sqlite3, PyMySQL or mysqlclient, not a {kind}."
    )


def _as_tuples(rows: Iterable[Any]) -> list[Row]:
    return [tuple(row.values() if isinstance(row, Mapping) else row) for row in rows]


@lru_cache
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """A statement with `$1` in place of the first named parameter and so on, and the names in that order."""
    places: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"${places.setdefault(found[1], len(places) + 1)}"

    return PARAMETER.sub(number, sql), tuple(places)


def _finish(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waited for something")
