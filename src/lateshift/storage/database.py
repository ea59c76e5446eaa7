"""A database as the functions of this package see it, whichever it is.

The other modules of this package say what is to be done, once, in SQL for all databases; a `Database` knows how its own
is reached. Statements take named parameters (`:name`), see `dialect`.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from lateshift.storage.dialect import Dialect, names_in

T = TypeVar("T")
P = ParamSpec("P")
Row = tuple[Any, ...]
Parameters = Mapping[str, Any]

NONE: Final[Parameters] = {}


class Listener(Protocol):
    """What waits for a server to tell of new jobs; `listening` is whether that works at the moment."""

    listening: bool

    def close(self) -> None:
        """Stop."""


FORK_PATIENCE: Final = 1.0
"""Seconds that a fork waits, in all, for other threads to come out of the databases; then it does not wait any more."""

UNDIVIDED_PATIENCE: Final = 10.0
"""Seconds that a fork waits for what is `undivided`, which ends soon; without its end the child may hang for ever."""


class _Forking(threading.local):
    """What has to be let go of again after the fork that a thread is in the midst of."""

    def __init__(self) -> None:
        self.stack = ExitStack()


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_undivided = threading.RLock()
_forking = _Forking()


def databases() -> list[Database]:
    """All that are open in this process."""
    with undivided():
        return list(_databases)


class Database(ABC):
    """Where the jobs are. Threads may share it; after a fork the child connects anew.

    `place` names it in messages, without its password; `file` is its path where it is one. `pooled` tells, once
    connected, that there is a pooler between us and the server. `begin` begins a transaction for which nobody waits
    before it has written something. `repeats` counts how often something was done again after its connection was lost,
    as what it did the first time may stand. `while_locked` is called again and again while an operation waits for
    others, or for the server to come back. `keeps_file` is set by a worker: it ends when its SQLite file was deleted or
    replaced, where everybody else goes on with what is there now, in which its leases mean nothing. Every method may
    raise StorageError.
    """

    file: str | None = None
    pooled = False
    begin: str = "begin"
    repeats = 0
    keeps_file = False

    def __init__(self, dialect: Dialect, place: str) -> None:
        self.dialect = dialect
        self.place = place
        self.while_locked: Callable[[], None] = lambda: None
        self._rendered: dict[str, str] = {}
        self._whereabouts: list[Row] = []
        with undivided():
            _databases.add(self)

    def render(self, sql: str) -> str:
        """A statement in this database's own words."""
        rendered = self._rendered.get(sql)
        if rendered is None:
            rendered = self._rendered[sql] = self.dialect.render(sql)
        return rendered

    def file_has_gone(self) -> bool:
        """Whether nobody sees what is written any more, as its SQLite file was deleted or replaced."""
        return False

    @abstractmethod
    def now(self) -> int:
        """Microseconds since 1970 in UTC, by the database's clock, whatever this host's says."""

    def reckon(self) -> int:
        """As `now`, but without ever waiting for the database: for threads that run jobs."""
        return self.now()

    @abstractmethod
    def query(self, sql: str, parameters: Parameters = NONE) -> list[Row]:
        """Run one statement and return its rows."""

    @abstractmethod
    def execute(self, sql: str, parameters: Parameters = NONE) -> int:
        """Run one statement and return how many rows it matched."""

    @abstractmethod
    def execute_many(self, sql: str, rows: Sequence[Parameters]) -> int:
        """Run one statement for each row of parameters, inside a transaction; returns how many rows matched."""

    def execute_each(self, sql: str, ids: Sequence[object], **values: object) -> int:
        """Run one statement with `{among ids}` for some rows, with these parameters; returns how many rows matched."""
        return self.execute(sql, {**values, "ids": list(ids)}) if ids else 0

    def query_each(self, sql: str, ids: Sequence[object]) -> list[Row]:
        """Run one statement with `{among ids}` and return its rows, in any order."""
        return self.query(sql, {"ids": list(ids)}) if ids else []

    @abstractmethod
    def within(self, seconds: float, read: Callable[[], T]) -> T:
        """Do `read`, in which each statement may take so long at most. Raises QueryTooSlow."""

    @abstractmethod
    def transact(self, work: Callable[[], T]) -> T:
        """Do `work` in one transaction: what it writes is on disk when this returns, or has not happened.

        Within a transaction of this thread it joins that one. `work` is done again from the start when the database
        broke the transaction up (a deadlock, a lost connection), so it must not have done anything else by then.
        """

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """A transaction over several calls that is not done again when the database breaks it up; see `transact`."""

    @abstractmethod
    def connect_for_job(self) -> Any:
        """A new connection of the driver, in autocommit mode, for statements of a job. Raises its errors too."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether there is anything to connect to yet; only a file may be missing and be made at the first use."""

    @abstractmethod
    def has_tables(self) -> bool:
        """Whether it has tables of ours."""

    @abstractmethod
    def alone(self, work: Callable[[], T]) -> T:
        """Do `work` while no other process changes the schema; in one transaction, where the database can."""

    def tables_at(self, whereabouts: list[Row]) -> str | None:
        """What stands before the names of our tables on somebody else's connection; None if it leads elsewhere.

        `whereabouts` is what `dialect.whereabouts` gave there.
        """
        if whereabouts != self._whereabouts:  # asked again, as the tables may have been made anew
            self._whereabouts = self.query(self.dialect.whereabouts)
        return self.dialect.tables if whereabouts == self._whereabouts else None

    @abstractmethod
    def around_schema(self) -> tuple[list[str], list[str]]:
        """The statements before and after those of migrations, for somebody who runs them by hand."""

    def announcing(self, sql: str) -> str:
        """A statement that stores jobs, made to tell those who `listen` as well, where the database can."""
        return sql

    def announce(self) -> None:  # noqa: B027 - most databases tell nothing
        """Tell those who `listen`, when the transaction ends, that jobs have become due."""

    def listen(self, hear: Callable[[], None]) -> Listener | None:  # noqa: ARG002 - most databases tell nothing
        """Have `hear` called, from another thread, when there is something new; None where that cannot be."""
        return None

    def query_lanes(self, sql: str, start: str, most: int, *, only: bool = False) -> tuple[list[Row], str | None]:
        """Run the statement of `reads.lanes_from`, or what gives such rows faster; the queue to go on with, if any.

        The last queue of `most` rows may have more of them, and comes the next time. `only` is for that queue alone.
        """
        rows = self.query(sql, {"start": start, "most": most, "only": int(only)})
        if len(rows) < most:
            return rows, None
        last = max((row[0] for row in rows), key=_in_order)
        whole = [row for row in rows if row[0] != last]
        return (whole, last) if whole else self.query_lanes(sql, start, 2 * most)

    def execute_schema(self, statement: str) -> None:
        """Run a rendered statement of a migration."""
        self._rendered[statement] = statement  # it is not to be rendered again: a table's name may look like an index's
        self.execute(statement)

    @abstractmethod
    def close(self) -> None:
        """Close what is open; the next use opens it again."""

    def held_inside(self) -> threading.RLock | None:
        """What a thread holds while it is in the midst of something that would stay undone in a child forked then."""
        return None

    @abstractmethod
    def forget_parent(self) -> None:
        """In a forked child: leave the parent's connections and locks alone, and start anew."""

    def write_batch(self, name: str, sql: str, rows: Sequence[Parameters]) -> int:
        """Run `sql` for each row in a transaction, or the dialect's own statement for all; as `execute_many`."""
        own = self.dialect.batches.get(name)
        if own is None:
            return self.transact(lambda: self.execute_many(sql, rows))
        return self.execute(own, self.dialect.pack(rows, names_in(own))) if rows else 0


def transactional(
    function: Callable[Concatenate[Database, P], T],
) -> Callable[Concatenate[Database, P], T]:
    """Let a storage function run in one transaction: that of its caller, or one of its own."""

    @wraps(function)
    def run(db: Database, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return db.transact(lambda: function(db, *args, **kwargs))

    return run


def repeatable(
    nothing: object,
) -> Callable[[Callable[Concatenate[Database, P], T]], Callable[Concatenate[Database, P], T]]:
    """As `transactional`, for a function that returns `nothing` when it finds nothing to do.

    When the answer to its commit got lost it is done again and finds its own work: then its first answer counts.
    """

    def decorate(function: Callable[Concatenate[Database, P], T]) -> Callable[Concatenate[Database, P], T]:
        @wraps(function)
        def run(db: Database, /, *args: P.args, **kwargs: P.kwargs) -> T:
            answers: list[T] = []
            db.transact(lambda: answers.append(function(db, *args, **kwargs)))
            return answers[0] if answers[-1] == nothing else answers[-1]

        return run

    return decorate


def undivided() -> threading.RLock:
    """Held in the midst of what a forked child could not go on with, such as an import; a fork waits for it."""
    return _undivided


def _before_fork() -> None:
    stack = _forking.stack
    if _undivided.acquire(timeout=UNDIVIDED_PATIENCE):
        stack.callback(_undivided.release)
    deadline = time.monotonic() + FORK_PATIENCE
    databases = list(_databases)
    stack.callback(databases.clear)  # until then nobody lets go of one, and closes it, while this thread has its lock
    for lock in [database.held_inside() for database in databases]:
        if lock and lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            stack.callback(lock.release)


def _after_fork() -> None:
    _forking.stack.close()


def _after_fork_in_child() -> None:
    global _undivided  # noqa: PLW0603 - the parent's may be held by a thread that is not here
    _forking.stack.close()
    _undivided = threading.RLock()
    for database in list(_databases):
        database.forget_parent()


if hasattr(os, "register_at_fork"):  # by now, as a fork that waits for a first use calls nothing that comes meanwhile
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)


def _in_order(queue: object) -> tuple[bool, Any]:
    """As databases sort queues. SQLite lets a row of other hands hold bytes there, which come after all text."""
    return isinstance(queue, bytes), queue
