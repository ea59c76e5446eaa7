"""SQLite: one connection for one process, writes in immediate transactions, errors in words.

The rules, here and in `sqlite_connection` and `sqlite_locks`, come from shared experience with SQLite as a queue. The
first: `begin immediate` always, as a deferred transaction that turns into a write fails at once, without waiting.
"""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, TypeVar

from lateshift.clock import Clock, steady
from lateshift.errors import InvalidOption, StorageUnavailable
from lateshift.storage import migrations, sqlite_connection
from lateshift.storage.database import NONE, Database, Parameters, Row, databases
from lateshift.storage.dialect import Numbered, numbered
from lateshift.storage.files import GONE, OpenFile, is_there, same_file
from lateshift.storage.schema import LATEST
from lateshift.storage.sqlite_dialect import CHUNK, COMPLETE_CHUNK, COMPLETED, sqlite_dialect
from lateshift.storage.sqlite_errors import BUSY, code_of, explained
from lateshift.storage.sqlite_locks import Patience

T = TypeVar("T")


class SqliteDatabase(Database):
    """An SQLite file. Threads take turns on one connection; tables are made and brought up to date at the first use."""

    def __init__(
        self,
        path: str,
        *,
        prefix: str = "lateshift_",
        durability: str = "full",
        busy_timeout: float = 30.0,
        clock: Clock | None = None,
        as_is: bool = False,
    ) -> None:
        self.path = self.file = path
        self.clock = clock or Clock()
        self._durability = durability
        self._busy_timeout = busy_timeout
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._depth = 0
        self._seen_version = -1
        self._open_file = OpenFile(path)
        self._as_is = as_is
        self._checked = False
        self._limits: dict[int, float] = {}  # seconds, by thread
        self._numbered: dict[str, Numbered] = {}
        super().__init__(sqlite_dialect(prefix), path)  # from here on a fork looks at it

    def now(self) -> int:
        """Microseconds since 1970 in UTC, by the database's clock: on SQLite that is this host's."""
        return self.clock.now()

    reckon = now

    def query(self, sql: str, parameters: Parameters = NONE) -> list[Row]:
        """Run one statement and return its rows."""
        sql = self.render(sql)
        with self._lock:
            self._let_go_of_gone_file(reading=True)
            if self._limits:
                return self._patiently(lambda connection: self._query_in_time(connection, sql, parameters))
            return self._patiently(lambda connection: connection.execute(sql, parameters).fetchall())

    def execute(self, sql: str, parameters: Parameters = NONE) -> int:
        """Run one statement and return how many rows it changed."""
        sql = self.render(sql)
        with self._lock:
            self._let_go_of_gone_file()
            return self._change(sql, parameters)

    def execute_many(self, sql: str, rows: Sequence[Parameters]) -> int:
        """Run one statement for each row of parameters, inside a transaction; returns how many rows changed."""
        known = self._numbered.get(sql)
        if known is None:
            known = self._numbered[sql] = numbered(self.render(sql))
        sql, values_of = known
        values = list(map(values_of, rows))
        with self._lock:
            return self._patiently(lambda connection: connection.executemany(sql, values).rowcount)

    def write_batch(self, name: str, sql: str, rows: Sequence[Parameters]) -> int:
        """As for any database, but of many jobs most are completed by the chunk."""
        if name != "complete" or len(rows) < CHUNK:
            return super().write_batch(name, sql, rows)
        return self.transact(lambda: self._complete(sql, rows))

    def _complete(self, sql: str, rows: Sequence[Parameters]) -> int:
        rest, many = len(rows) % CHUNK, self.render(COMPLETE_CHUNK)
        written = self.execute_many(sql, rows[:rest])
        for start in range(rest, len(rows), CHUNK):
            values = chain.from_iterable(map(COMPLETED, rows[start : start + CHUNK]))
            written += self._change(many, tuple(values))
        return written

    def _change(self, sql: str, parameters: Parameters | tuple[object, ...]) -> int:
        return self._patiently(lambda connection: connection.execute(sql, parameters).rowcount)

    def execute_each(self, sql: str, ids: Sequence[object], **values: object) -> int:
        """Run one statement for each of some rows, as SQLite takes no lists."""
        return self.execute_many(sql, [{**values, "ids": id_} for id_ in ids]) if ids else 0

    def query_each(self, sql: str, ids: Sequence[object]) -> list[Row]:
        """Run one statement for each of some rows."""
        return [row for id_ in ids for row in self.query(sql, {"ids": id_})]

    def within(self, seconds: float, read: Callable[[], T]) -> T:
        """Do `read`, in which each statement may take so long at most. Raises QueryTooSlow."""
        self._limits[threading.get_ident()] = seconds
        try:
            return read()
        finally:
            del self._limits[threading.get_ident()]

    def transact(self, work: Callable[[], T]) -> T:
        """Do `work` in one write transaction, or in the one that this thread has begun."""
        with self.transaction():
            return work()

    def connect_for_job(self) -> Any:
        """A connection of sqlite3, in autocommit mode. Raises InvalidOption for a database in memory."""
        if self.path == ":memory:":
            raise InvalidOption(
                "A transactional job has a connection of its own, and a database in memory has one only."
            )
        if any(database.file_has_gone() for database in self._of_this_file()):
            raise StorageUnavailable(GONE.format(self.path))
        return sqlite3.connect(self.path, timeout=self._busy_timeout, isolation_level=None)

    def exists(self) -> bool:
        """Whether the file is there. Raises StorageUnavailable if this user may not look."""
        return self.path == ":memory:" or is_there(self.path)

    def has_tables(self) -> bool:
        """Whether it has tables of ours."""
        named = {"name": f"{self.dialect.tables}meta"}
        return bool(self.query("select 1 from sqlite_master where name = :name", named))

    def tables_at(self, whereabouts: list[Row]) -> str | None:
        """What stands before the names of our tables where this file is open, or attached under another name."""
        self._make_tables_beside()
        ours = self.query(self.dialect.whereabouts)[0][-1]
        for _, name, path in whereabouts:
            if same_file(ours, path):
                quoted = os.fsdecode(name).replace('"', '""')
                return f'"{quoted}".{self.dialect.tables}'
        return None

    def alone(self, work: Callable[[], T]) -> T:
        """Do `work` under the write lock."""
        return self.transact(work)

    def around_schema(self) -> tuple[list[str], list[str]]:
        """One write transaction."""
        return ["begin immediate"], ["commit"]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A write transaction: what is done inside is on disk when it ends, or has not happened."""
        with self._lock:
            if self._depth:  # the outer transaction decides for all
                yield
                return
            self._let_go_of_gone_file()
            try:
                self._patiently(lambda connection: connection.execute("begin immediate"))  # Ctrl-C may come just after
                self._depth = 1
                yield
                self._patiently(lambda connection: connection.execute("commit"))
            except BaseException:
                self._roll_back()
                raise
            finally:
                self._depth = 0

    def changed(self) -> bool:
        """Whether another connection has committed since the last call; costs microseconds, reads one shared page."""
        version = self.query("pragma data_version")[0][0]
        before, self._seen_version = self._seen_version, int(version)
        return before != self._seen_version

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                sqlite_connection.close(self._connection, gone=self.file_has_gone())
            self._connection = None
            self._seen_version = -1

    def __del__(self) -> None:
        """An application object that is let go of closes its file; Python 3.13 warns of those that do not."""
        try:
            self.close()
        except Exception:  # SQLite's; or for a name that is None, as modules are emptied when the interpreter ends
            return

    def held_inside(self) -> threading.RLock:
        """The lock: a child inherits SQLite's note in memory that this thread writes, and would wait for ever."""
        return self._lock

    def forget_parent(self) -> None:
        """Called in a forked child: leave the parent's connection and lock alone, start anew."""
        if self._connection is not None:
            sqlite_connection.abandon(self.path, self._connection)
        self._connection = None
        self._lock = threading.RLock()
        self._depth = 0

    def file_has_gone(self, *, trust: bool = False) -> bool:
        """Whether the file that is open was deleted or replaced, or its -wal removed."""
        return self._connection is not None and self.path != ":memory:" and self._open_file.has_gone(trust=trust)

    def _let_go_of_gone_file(self, *, reading: bool = False) -> None:
        """Open anew what was deleted or replaced: nobody else would see what is written to the file that is open."""
        if self._depth or (reading and self.keeps_file) or not self.file_has_gone(trust=reading):
            return
        if self.keeps_file:
            raise StorageUnavailable(GONE.format(self.path))
        for database in self._of_this_file():
            database.let_go()
        sqlite_connection.close_abandoned(self.path)

    def _of_this_file(self) -> list[SqliteDatabase]:
        """All of this process, for SQLite gives connections to one file what an older one has open."""
        return [one for one in databases() if isinstance(one, SqliteDatabase) and one.path == self.path]

    def let_go(self) -> None:
        """Close the connection to what has gone, unless another thread is at it; that one notices by itself."""
        if self.keeps_file or not self._lock.acquire(timeout=1.0):
            return
        try:
            if not self._depth and self.file_has_gone():
                self.close()
                self._checked = False
        finally:
            self._lock.release()

    def _make_tables_beside(self) -> None:
        """Make the tables at the first use, without waiting long for a lock that the caller itself may hold."""
        if self._connection is not None:
            return
        patience = min(1.0, self._busy_timeout)
        hasty = SqliteDatabase(
            self.path, prefix=self.dialect.tables, durability=self._durability, busy_timeout=patience
        )
        try:
            hasty.query("select 1")
        except StorageUnavailable as error:
            if not isinstance(error.__cause__, sqlite3.Error) or code_of(error.__cause__) not in BUSY:
                raise
            raise InvalidOption(
                f"The tables of Lateshift in {self.path} have to be made or brought up to date, which your open "
                "transaction prevents. Run `lateshift migrate` once, or enqueue the first job before you begin it."
            ) from error
        finally:
            hasty.close()

    def _query_in_time(self, connection: sqlite3.Connection, sql: str, parameters: Parameters) -> list[Row]:
        deadline = steady() + self._limits.get(threading.get_ident(), math.inf)
        connection.set_progress_handler(lambda: steady() > deadline, 10_000)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.set_progress_handler(None, 0)

    def _roll_back(self) -> None:
        connection = self._connection
        if connection is not None and connection.in_transaction:
            try:
                connection.execute("rollback")
            except sqlite3.Error:  # a broken connection is replaced by a new one, which rolls back just the same
                self.close()

    def _patiently(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Run `action`, waiting for other processes' locks, and turn SQLite's errors into ours."""
        patience: Patience | None = None
        while True:
            try:
                return action(self._connection or self._open())
            except sqlite3.Error as error:
                if self._connection is not None and sqlite_connection.take_bytes(self._connection, error):
                    self.repeats += 1  # the statement may have been done: it failed as its rows were read
                    continue
                if code_of(error) not in BUSY:
                    raise explained(self.path, error) from error
                patience = patience or Patience(self.path, self._busy_timeout)
                if patience.over:
                    raise patience.refusal() from error
                self.while_locked()
                self._wait(patience.pause())

    def _wait(self, seconds: float) -> None:
        """Let other threads have the connection meanwhile, if nothing is begun on it.

        One of them may be in the transaction of its own for which this one waits, and enqueue with `connection=`.
        """
        if self._depth:
            time.sleep(seconds)
            return
        lock = self._lock
        lock.release()
        try:
            time.sleep(seconds)
        finally:
            lock.acquire()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        self._connection = connection = sqlite_connection.connect(self.path, self._durability, self._open_file)
        try:
            if not self._as_is:
                self._bring_up_to_date()
        except BaseException:
            self.close()
            raise
        return connection

    def _bring_up_to_date(self) -> None:
        """What has used the file before goes on when another process has given it a newer schema meanwhile."""
        present = migrations.version(self)
        if present < LATEST or not self._checked:
            migrations.migrate(self)
        self._checked = True
