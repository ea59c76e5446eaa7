"""SQLite: one connection for one process, writes in immediate transactions, errors in words.

The rules come from shared experience with SQLite as a queue: WAL and `begin immediate` always (a deferred transaction
that turns into a write fails at once, without waiting); SQLite's own busy timeout backs off to 100 ms and starves old
waiters, so we retry every millisecond ourselves; a connection never crosses a fork; nobody opens the database file
with plain file I/O, because closing it would drop every POSIX lock of the process.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from lateshift.clock import Clock
from lateshift.errors import SchemaTooNew, StorageCorrupt, StorageError, StorageUnavailable
from lateshift.storage.schema import LATEST, MIGRATIONS

T = TypeVar("T")
Row = tuple[Any, ...]
Parameters = dict[str, Any] | Sequence[Any]

MINIMUM: Final = (3, 35, 0)
"""`returning` came with 3.35; CPython 3.11 is built against newer ones everywhere we looked."""

_BUSY: Final = frozenset({5, 6})
_UNAVAILABLE: Final = {
    8: "is read-only",
    10: "could not be read or written (I/O error)",
    13: "cannot grow: the disk is full",
    14: "could not be opened",
    23: "may not be accessed",
}
_CORRUPT: Final = frozenset({11, 26})

_abandoned: list[sqlite3.Connection] = []
"""Connections inherited through a fork: closing them in the child would harm the parent, so they are kept unclosed."""

_databases: weakref.WeakSet[SqliteDatabase] = weakref.WeakSet()


class SqliteDatabase:
    """An SQLite file as the storage functions see it: `query`, `execute_many` and `transaction`.

    Threads may share it; they take turns. After a fork the child opens a connection of its own. `while_locked` is
    called again and again while another process holds the lock.
    """

    def __init__(
        self, path: str, *, durability: str = "full", busy_timeout: float = 30.0, clock: Clock | None = None
    ) -> None:
        self.path = path
        self.clock = clock or Clock()
        self._durability = durability
        self._busy_timeout = busy_timeout
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._depth = 0
        self._seen_version = -1
        self.while_locked: Callable[[], None] = lambda: None
        _databases.add(self)

    def now(self) -> int:
        """Microseconds since 1970 in UTC, by the database's clock: on SQLite that is this host's."""
        return self.clock.now()

    def query(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run one statement and return its rows."""
        with self._lock:
            return self._patiently(lambda connection: connection.execute(sql, parameters).fetchall())

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement and return how many rows it changed."""
        with self._lock:
            return self._patiently(lambda connection: connection.execute(sql, parameters).rowcount)

    def execute_many(self, sql: str, rows: Iterable[Parameters]) -> int:
        """Run one statement for each row of parameters, inside a transaction; returns how many rows changed."""
        with self._lock:
            return self._patiently(lambda connection: connection.executemany(sql, rows).rowcount)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A write transaction: what is done inside is on disk when it ends, or has not happened."""
        with self._lock:
            if self._depth:  # the outer transaction decides for all
                yield
                return
            self._patiently(lambda connection: connection.execute("begin immediate"))
            self._depth = 1
            try:
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

    def version(self) -> int:
        """The number of the newest migration that the file has; 0 for an empty file."""
        if not self.query("select 1 from sqlite_master where name = 'lateshift_meta'"):
            return 0
        rows = self.query("select value from lateshift_meta where name = 'schema'")
        return int(rows[0][0]) if rows else 0

    def migrate(self) -> list[int]:
        """Bring the schema up to date, under the write lock; returns the numbers that were applied."""
        self._refuse_newer(self.version())
        applied: list[int] = []
        with self.transaction():
            present = self.version()
            for migration in MIGRATIONS:
                if migration.number > present:
                    for statement in migration.statements:
                        self.execute(statement)
                    self.execute(
                        "insert into lateshift_meta (name, value) values ('schema', ?)"
                        " on conflict (name) do update set value = excluded.value",
                        (migration.number,),
                    )
                    applied.append(migration.number)
        return applied

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        """An application object that is let go of closes its file; Python 3.13 warns of those that do not."""
        with contextlib.suppress(sqlite3.Error, AttributeError):
            self.close()

    def forget_parent(self) -> None:
        """Called in a forked child: leave the parent's connection and lock alone, start anew."""
        if self._connection is not None:
            _abandoned.append(self._connection)
        self._connection = None
        self._lock = threading.RLock()
        self._depth = 0

    def _refuse_newer(self, version: int) -> None:
        if version > LATEST:
            raise SchemaTooNew(
                f"The database {self.path} has schema {version}, this Lateshift knows up to {LATEST}. "
                "Upgrade the lateshift package in this environment."
            )

    def _roll_back(self) -> None:
        connection = self._connection
        if connection is not None and connection.in_transaction:
            try:
                connection.execute("rollback")
            except sqlite3.Error:  # a broken connection is replaced by a new one, which rolls back just the same
                self.close()

    def _patiently(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Run `action`, waiting for other processes' locks, and turn SQLite's errors into ours."""
        deadline: float | None = None
        pause = 0.0001
        while True:
            try:
                return action(self._open())
            except sqlite3.Error as error:
                if _code(error) not in _BUSY:
                    raise self._explain(error) from error
                now = time.monotonic()
                deadline = deadline or now + self._busy_timeout
                if now >= deadline:
                    raise StorageUnavailable(
                        f"The database {self.path} was locked by another process for {self._busy_timeout:g} s. "
                        "Find the process that holds a transaction open (often a database browser), or raise "
                        "LATESHIFT_BUSY_TIMEOUT."
                    ) from error
                self.while_locked()
                import random  # 1 ms, for who meets a lock

                time.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(0.001, pause * 1.5)

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        self._connection = connection = self._connect()
        try:
            if self.version() != LATEST:
                self.migrate()
        except BaseException:
            self.close()
            raise
        return connection

    def _connect(self) -> sqlite3.Connection:
        if sqlite3.sqlite_version_info < MINIMUM:
            raise StorageError(
                f"This Python is linked to SQLite {sqlite3.sqlite_version}, Lateshift needs "
                f"{'.'.join(map(str, MINIMUM))} or newer. Use a newer Python."
            )
        if self.path != ":memory:":
            _create_private(Path(self.path))
        connection = sqlite3.connect(
            self.path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            for pragma in ("journal_mode = wal", f"synchronous = {self._durability}", "temp_store = memory"):
                connection.execute(f"pragma {pragma}")
            connection.execute("pragma wal_autocheckpoint = 4000")
            connection.execute("pragma journal_size_limit = 67108864")
        except BaseException:
            connection.close()
            raise
        return connection

    def _explain(self, error: sqlite3.Error) -> StorageError:
        code = _code(error)
        if code in _CORRUPT:
            return StorageCorrupt(
                f"The database {self.path} is damaged ({error}). Stop the workers, restore it from a backup, or move "
                "it away: a new one is made at the next use."
            )
        if code in _UNAVAILABLE:
            return StorageUnavailable(
                f"The database {self.path} {_UNAVAILABLE[code]} ({error}). Check the folder's permissions and the free "
                "space; `lateshift doctor` tells more."
            )
        return StorageError(f"The database {self.path} refused a statement: {error}. Please report this.")


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _create_private(path: Path) -> None:
    """Make the file readable by its owner only, before SQLite makes it readable by all."""
    try:
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StorageUnavailable(
            f"The database {path} could not be created: {error.strerror}. Make the folder writable, or point "
            "LATESHIFT_DATABASE_URL somewhere else."
        ) from error


def _after_fork() -> None:
    for database in list(_databases):
        database.forget_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
