"""Programs that enqueue on connections of their own: one class for each library, all alike for the tests.

What is awaited runs on a loop of the test's own, so that one test serves both.
"""

from __future__ import annotations

import asyncio
import sqlite3
from urllib.parse import unquote, urlsplit

import pytest

from lateshift import Call, Lateshift


def note(number: int) -> None:
    """A job."""


def call(number: int) -> Call:
    return Call(note, parameters={"number": number})


class Program:
    """A transaction in which orders are written and jobs enqueued; `driver` is SQLAlchemy's."""

    def __init__(self, url: str, driver: str | None = None) -> None:
        self.url = url
        self.alchemy_url = url.replace("postgresql://", f"{driver}://").replace("mysql://", f"{driver}://")
        self.open()

    def open(self) -> None:
        """Connect; and begin, where that does not happen by itself."""
        raise NotImplementedError

    def do(self, sql: str) -> None:
        self.connection.execute(sql)

    def order(self, number: int) -> None:
        self.do(f"insert into orders values ({number})")

    def enqueue(self, app: Lateshift, number: int = 1) -> str:
        return app.run_background_job(note, parameters={"number": number}, connection=self.connection)

    def enqueue_many(self, app: Lateshift, numbers) -> list[str]:
        return app.enqueue_many([call(number) for number in numbers], connection=self.connection)

    def in_transaction(self) -> bool:
        raise NotImplementedError

    def commit(self) -> None:
        self.connection.commit()

    def rollback(self) -> None:
        self.connection.rollback()

    def close(self) -> None:
        self.connection.close()


class Sqlite3(Program):
    def open(self):
        self.connection = sqlite3.connect(self.url.removeprefix("sqlite:///"))

    def in_transaction(self):
        return self.connection.in_transaction


class Psycopg(Program):
    def open(self):
        import psycopg

        self.connection = psycopg.connect(self.url)

    def in_transaction(self):
        return self.connection.info.transaction_status.name == "INTRANS"


MYSQL_IN_TRANSACTION = """
select count(*) from performance_schema.events_transactions_current
where thread_id = ps_current_thread_id() and state = 'ACTIVE' and autocommit = 'NO'"""


class PyMysql(Program):
    driver = "pymysql"

    def open(self, **options):
        driver = pytest.importorskip(self.driver)
        url = urlsplit(self.url)
        names = {"host": url.hostname, "port": url.port, "user": url.username, "password": unquote(url.password or "")}
        self.connection = driver.connect(**names, database=url.path[1:], **options)

    def do(self, sql):
        with self.connection.cursor() as cursor:
            cursor.execute(sql)

    def in_transaction(self):
        with self.connection.cursor() as cursor:
            cursor.execute("select version()")
            is_mariadb = "MariaDB" in cursor.fetchone()[0]
            cursor.execute("select @@in_transaction" if is_mariadb else MYSQL_IN_TRANSACTION)
            return cursor.fetchone() == (1,)


class Mysqlclient(PyMysql):
    driver = "MySQLdb"


class AlchemyConnection(Program):
    def open(self):
        import sqlalchemy

        self.engine = sqlalchemy.create_engine(self.alchemy_url)
        self.connection = self.engine.connect()

    def do(self, sql):
        import sqlalchemy

        self.connection.execute(sqlalchemy.text(sql))

    def in_transaction(self):
        return self.connection.in_transaction()

    def close(self):
        self.connection.close()
        self.engine.dispose()


class AlchemySession(AlchemyConnection):
    def open(self):
        from sqlalchemy.orm import Session

        super().open()
        self.connection.close()
        self.connection = Session(self.engine)


class ScopedSession(AlchemyConnection):
    def open(self):
        from sqlalchemy.orm import scoped_session, sessionmaker

        super().open()
        self.connection.close()
        self.connection = scoped_session(sessionmaker(self.engine))

    def in_transaction(self):
        return self.connection().in_transaction()


class Django(Program):
    """An atomic block on `django.db.connection`."""

    def open(self):
        import django.conf
        import django.db.transaction

        if not django.conf.settings.configured:
            django.conf.settings.configure()
            django.setup()
        self.db = django.db
        self.db.connections.settings.update(self.db.connections.configure_settings({"default": self.settings()}))
        try:
            del self.db.connections["default"]
        except AttributeError:
            pass
        self.connection = django.db.connection
        self.atomic = django.db.transaction.atomic()
        self.atomic.__enter__()

    def settings(self):
        if self.url.startswith("sqlite"):
            return {"ENGINE": "django.db.backends.sqlite3", "NAME": self.url.removeprefix("sqlite:///")}
        url = urlsplit(self.url)
        if url.scheme == "mysql":
            pytest.importorskip("MySQLdb")
        engine = {"mysql": "mysql", "postgresql": "postgresql"}[url.scheme]
        names = {"HOST": url.hostname, "PORT": url.port, "USER": url.username, "PASSWORD": unquote(url.password or "")}
        return {"ENGINE": f"django.db.backends.{engine}", "NAME": url.path[1:], **names}

    def do(self, sql):
        with self.connection.cursor() as cursor:
            cursor.execute(sql)

    def in_transaction(self):
        return self.connection.in_atomic_block

    def commit(self):
        self.atomic.__exit__(None, None, None)

    def rollback(self):
        self.db.transaction.set_rollback(True)
        self.commit()

    def close(self):
        if self.connection.in_atomic_block:
            self.rollback()
        self.connection.close()


class AsyncProgram(Program):
    """A program with an event loop; between two steps that one stands still."""

    def open(self):
        self.loop = asyncio.Runner()
        self.run(self.aopen())

    def run(self, coroutine):
        return self.loop.run(coroutine)

    def do(self, sql):
        self.run(self.connection.execute(sql))

    def enqueue(self, app, number=1):
        return self.run(app.arun_background_job(note, parameters={"number": number}, connection=self.connection))

    def enqueue_many(self, app, numbers):
        return self.run(app.aenqueue_many([call(number) for number in numbers], connection=self.connection))

    def commit(self):
        self.run(self.connection.commit())

    def rollback(self):
        self.run(self.connection.rollback())

    def close(self):
        self.run(self.aclose())
        self.loop.close()

    async def aclose(self):
        await self.connection.close()


class AsyncPsycopg(AsyncProgram):
    async def aopen(self):
        import psycopg

        self.connection = await psycopg.AsyncConnection.connect(self.url)

    def in_transaction(self):
        return self.connection.info.transaction_status.name == "INTRANS"


class Asyncpg(AsyncProgram):
    async def aopen(self):
        import asyncpg

        self.connection = await asyncpg.connect(self.url)
        await self.begin()

    async def begin(self):
        self.transaction = self.connection.transaction()
        await self.transaction.start()

    def in_transaction(self):
        return self.connection.is_in_transaction()

    def commit(self):
        self.run(self.transaction.commit())

    def rollback(self):
        self.run(self.transaction.rollback())


class AsyncpgPool(Asyncpg):
    async def aopen(self):
        import asyncpg

        self.pool = await asyncpg.create_pool(self.url, min_size=1, max_size=1)
        self.connection = await self.pool.acquire()
        await self.begin()

    async def aclose(self):
        await self.pool.release(self.connection)
        await self.pool.close()


class AsyncAlchemyConnection(AsyncProgram):
    async def aopen(self):
        from sqlalchemy.ext.asyncio import create_async_engine

        self.engine = create_async_engine(self.alchemy_url)
        self.connection = await self.engine.connect()

    def do(self, sql):
        import sqlalchemy

        self.run(self.connection.execute(sqlalchemy.text(sql)))

    def in_transaction(self):
        return self.connection.in_transaction()

    async def aclose(self):
        await self.connection.close()
        await self.engine.dispose()


class AsyncAlchemySession(AsyncAlchemyConnection):
    async def aopen(self):
        from sqlalchemy.ext.asyncio import AsyncSession

        await super().aopen()
        await self.connection.close()
        self.connection = AsyncSession(self.engine)


class AsyncScopedSession(AsyncAlchemyConnection):
    async def aopen(self):
        from sqlalchemy.ext.asyncio import async_scoped_session, async_sessionmaker

        await super().aopen()
        await self.connection.close()
        self.connection = async_scoped_session(async_sessionmaker(self.engine), lambda: 1)

    def in_transaction(self):
        return self.connection().in_transaction()
