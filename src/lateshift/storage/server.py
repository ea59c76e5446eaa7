"""What the database servers have in common: connections that come and go, their clock, and what is tried again.

A driver's connection is wrapped as a `Link`; the driver's file says how one is made and what its errors mean. Threads
take a link for each operation from a small pool of our own: psycopg's and PyMySQL's have little in common (PyMySQL has
none), and what we need is a list, a semaphore, and to forget it all after a fork.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, TypeVar

from lateshift.clock import Clock, elapsed_ns, steady
from lateshift.errors import AlreadyStored, QueryTooSlow, SchemaTooOld, StorageError, StorageUnavailable
from lateshift.settings import mask_secrets, mask_url
from lateshift.storage import migrations
from lateshift.storage.away import away
from lateshift.storage.database import NONE, Database, Parameters, Row
from lateshift.storage.dialect import Dialect

T = TypeVar("T")

Trouble = Literal["conflict", "gone", "denied", "duplicate", "no tables", "slow", "other"]
"""What an error asks for: the transaction again; another connection; rights; nothing, it is there; `migrate`; less."""

CONFLICTS: Final = 20
"""How often a transaction is begun anew that the database has broken up, before it is reported."""

ABANDONED: Final = 8.0
"""Seconds after which the server ends a transaction of ours in which nothing comes any more. A host whose cable was cut
would else keep its rows locked for hours (the system's keep-alive), and nobody could take its jobs back."""

GIVEN_UP: Final = 1.0
"""Seconds after which the server ends a statement that nobody here waits for any more. PostgreSQL does not notice that
a client has gone while its statement waits for a lock: on a table that was locked for 75 s four workers, who tried
again and again, used up all 100 connections of the server.
"""

CLOCK_AGE: Final = 10.0
"""Seconds after which the server's clock is asked again. Quartz clocks drift apart by some 0.1 ms in that time."""


class Link(ABC):
    """One connection; its methods raise the driver's errors."""

    connection: Any
    """The driver's own."""

    @abstractmethod
    def query(self, sql: str, parameters: Parameters) -> list[Row]:
        """Run a statement, return its rows."""

    @abstractmethod
    def execute(self, sql: str, parameters: Parameters) -> int:
        """Run a statement, return how many rows matched."""

    @abstractmethod
    def execute_many(self, sql: str, rows: Sequence[Parameters]) -> int:
        """Run a statement for each row of parameters."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection, whatever state it is in."""


class ServerDatabase(Database):
    """A database on a server. `conflicts` counts the transactions that had to be begun anew.

    `timeout` is how many seconds an operation may wait for a connection or an answer before StorageUnavailable; with
    `patience` an answer may take so many instead. `pool` is how many connections this process opens at most. With
    `clock` that one is the time (tests); else the server's is.
    """

    errors: type[Exception]

    as_usual: tuple[str, ...] = ()
    """The statements that make a session of ours like any other on that server."""

    def __init__(
        self,
        dialect: Dialect,
        url: str,
        *,
        timeout: float = 10.0,
        patience: float | None = None,
        pool: int = 10,
        clock: Clock | None = None,
        as_is: bool = False,
    ) -> None:
        self.url = url
        self.clock = clock
        self.timeout = timeout
        self.patience = timeout if patience is None else patience
        self.conflicts = 0
        self._pool = pool
        self._checked = as_is
        self._told_at = self._ahead = 0
        self._start_anew()
        super().__init__(dialect, mask_url(url))  # from here on a fork looks at it

    @abstractmethod
    def connect(self, timeout: float) -> Link:
        """A new connection, with the server's version looked at. Raises the driver's errors, StorageError."""

    @abstractmethod
    def judge(self, error: Exception) -> Trouble:
        """What an error of the driver means."""

    @property
    @abstractmethod
    def limit_sql(self) -> str:
        """The statement that limits, for the transaction, what a statement may take: {seconds}, {milliseconds}."""

    @property
    @abstractmethod
    def clock_sql(self) -> str:
        """The statement that asks the server for microseconds since 1970 in UTC."""

    def connect_for_job(self) -> Any:
        """A new connection of the driver, in autocommit mode, with a session like any other on that server."""
        link = self._connect(steady() + self.timeout)
        try:
            for statement in self.as_usual:
                link.execute(statement, NONE)
        except BaseException:
            link.close()
            raise
        return link.connection

    def now(self) -> int:
        """Microseconds since 1970 in UTC by the server's clock, asked every ten seconds and carried on in between."""
        if self.clock is not None:
            return self.clock.now()
        if not self._told_at or elapsed_ns() - self._told_at > CLOCK_AGE * 1e9:
            self._ahead, self._told_at = self._run(self._ask_clock)  # in this order: others may look
        return self.reckon()

    def reckon(self) -> int:
        """The time as it was told last, carried on; asked for only when it never was."""
        if self.clock is not None or not self._told_at:
            return self.now()
        return (elapsed_ns() + self._ahead) // 1000

    def query(self, sql: str, parameters: Parameters = NONE) -> list[Row]:
        """Run one statement and return its rows."""
        return self._run(lambda link: link.query(self.render(sql), parameters))

    def execute(self, sql: str, parameters: Parameters = NONE) -> int:
        """Run one statement and return how many rows it matched."""
        return self._run(lambda link: link.execute(self.render(sql), parameters))

    def execute_many(self, sql: str, rows: Sequence[Parameters]) -> int:
        """Run one statement for each row of parameters, inside a transaction; returns how many rows matched."""
        return self._run(lambda link: link.execute_many(self.render(sql), rows)) if rows else 0

    def transact(self, work: Callable[[], T]) -> T:
        """Do `work` in one transaction of this thread, again from the start when it was broken up."""
        if self._held.link is not None:
            return work()
        return self._attempt(lambda link: self._transact_on(link, work))

    def within(self, seconds: float, read: Callable[[], T]) -> T:
        """Do `read`, in one transaction, in which each statement may take so long at most. Raises QueryTooSlow."""

        def limited() -> T:
            self.execute(self.limit_sql.format(seconds=seconds, milliseconds=round(seconds * 1000)))
            return read()

        self._held.limited = True
        try:
            return self.transact(limited)
        finally:
            self._held.limited = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction over several calls, which is not done again."""
        if self._held.link is not None:
            yield
            return
        link = self._take(steady() + self.timeout)
        broken = True
        try:
            with self._begun(link):
                yield
            broken = False
        except self.errors as error:
            raise self.explain(self.judge(error), error) from error
        finally:
            self._give_back(link, broken=broken)

    def exists(self) -> bool:
        """Servers make no database at the first use: there is one, or connecting says that there is none."""
        return True

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            with contextlib.suppress(IndexError):
                self._idle.pop().close()

    def forget_parent(self) -> None:
        """Leave the parent's connections unclosed: closing them would end its sessions."""
        _abandoned.extend(self._idle)
        self._start_anew()

    def __del__(self) -> None:
        """An application object that is let go of closes its connections."""
        with contextlib.suppress(Exception):
            self.close()

    def _start_anew(self) -> None:
        self._idle: list[Link] = []
        self._room = threading.Semaphore(self._pool)
        self._held = _Held()

    def _ask_clock(self, link: Link) -> tuple[int, int]:
        """How far the server's clock is ahead of ours, and when it said so by ours; both in nanoseconds.

        What `_attempt` waits is no part of the round trip.
        """
        before = elapsed_ns()
        told = int(link.query(self.clock_sql, NONE)[0][0])
        after = elapsed_ns()
        return told * 1000 - (before + after) // 2, after

    def _run(self, action: Callable[[Link], T]) -> T:
        if self._held.link is not None:
            return action(self._held.link)  # what it raises is dealt with where the transaction began
        return self._attempt(action)

    def _together(self, work: Callable[[], T]) -> T:
        """Do `work` on one connection, where its statements raise the driver's errors; no transaction is begun."""
        return work() if self._held.link is not None else self._attempt(lambda link: self._on(link, work))

    def _on(self, link: Link, work: Callable[[], T]) -> T:
        self._held.link = link
        try:
            return work()
        finally:
            self._held.link = None

    def _transact_on(self, link: Link, work: Callable[[], T]) -> T:
        with self._begun(link):
            return work()

    @contextmanager
    def _begun(self, link: Link) -> Iterator[None]:
        link.execute(self.begin, NONE)
        self._held.link = link
        try:
            yield
            link.execute("commit", NONE)
        except BaseException:
            with contextlib.suppress(self.errors):
                link.execute("rollback", NONE)
            raise
        finally:
            self._held.link = None

    def _attempt(self, action: Callable[[Link], T]) -> T:
        """Run `action` on a connection, again on a new one or after a conflict, until `timeout` has passed."""
        deadline, conflicts = steady() + self.timeout, 0
        while True:
            link = self._take(deadline)
            try:
                result = action(link)
            except BaseException as error:
                trouble = self.judge(error) if isinstance(error, self.errors) else "other"
                self._give_back(link, broken=trouble == "gone" or not isinstance(error, (StorageError, self.errors)))
                if not isinstance(error, self.errors):
                    raise
                conflicts += trouble == "conflict"
                self._bear(trouble, error, conflicts, deadline)
                continue
            self._give_back(link, broken=False)
            return result

    def _bear(self, trouble: Trouble, error: Exception, conflicts: int, deadline: float) -> None:
        """Wait a moment before another try, or raise what there is to say."""
        in_time = steady() < deadline
        if trouble == "conflict" and conflicts <= CONFLICTS and in_time:
            self.conflicts += 1
            self.while_locked()
            time.sleep(random.uniform(0, 0.002) * conflicts)
        elif trouble == "gone" and in_time:
            self.repeats += 1
            self.close()  # the others were cut by the same event
            self.while_locked()
            time.sleep(0.01)
        else:
            raise self.explain(trouble, error) from error

    def explain(self, trouble: Trouble, error: Exception) -> StorageError:
        """An error of the driver in our words."""
        told = ": ".join(map(str, error.args)).replace("\n\t", ". ")  # libpq's hint is a sentence in a line of its own
        said = mask_secrets(" ".join(told.split()), self.url)
        if trouble == "gone":
            what, remedy = away(getattr(error, "sqlstate", None) or "", said, self.timeout)
            return StorageUnavailable(f"The database {self.place} {what} ({said}). {remedy}")
        if trouble == "denied":
            return StorageUnavailable(
                f"The database {self.place} does not let us do this ({said}). Correct LATESHIFT_DATABASE_URL, or "
                "create the user or the database on the server, or grant the missing right."
            )
        if trouble == "duplicate":
            return AlreadyStored(f"A row of this key is stored already: {said}")
        if trouble == "no tables":
            return SchemaTooOld(
                f"The database {self.place} lacks tables of Lateshift ({said}). Run `lateshift migrate`; or wait, if "
                "it is being restored."
            )
        if trouble == "slow" and self._held.limited:
            return QueryTooSlow()
        if trouble in ("slow", "conflict"):
            return StorageUnavailable(
                f"The database {self.place} ended a statement of ours before it was done ({said}). Look who holds a "
                "lock on the jobs, and give the user of LATESHIFT_DATABASE_URL more time: statement_timeout on "
                "PostgreSQL, max_statement_time on MariaDB."
            )
        return StorageError(f"The database {self.place} refused a statement: {said}. Please report this.")

    def _take(self, deadline: float) -> Link:
        if not self._room.acquire(timeout=max(0.0, deadline - steady())):
            raise StorageUnavailable(
                f"All {self._pool} connections of this process to {self.place} were in use for {self.timeout:g} s. "
                "Raise LATESHIFT_POOL, or start fewer threads."
            )
        try:
            link = self._idle.pop() if self._idle else self._connect(deadline)
        except BaseException:
            self._room.release()
            raise
        return link

    def _give_back(self, link: Link, *, broken: bool) -> None:
        if broken:
            link.close()
        else:
            self._idle.append(link)
        self._room.release()

    def _connect(self, deadline: float) -> Link:
        """Connect, trying again with growing pauses while the server cannot be reached."""
        pause = 0.05
        while True:
            left = deadline - steady()
            try:
                link = self.connect(max(0.1, left))
            except self.errors as error:
                trouble = self.judge(error)
                if trouble != "gone" or left < pause:
                    raise self.explain(trouble, error) from error
                self.while_locked()
                time.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(1.0, pause * 2)
                continue
            self._check_schema(link)
            return link

    def _check_schema(self, link: Link) -> None:
        """Once for each process: a worker that reconnects after a migration goes on with the schema that it knows."""
        if self._checked:
            return
        try:
            self._on(link, lambda: migrations.refuse_other(self))
        except self.errors as error:
            link.close()
            raise self.explain(self.judge(error), error) from error
        except StorageError:
            link.close()
            raise
        self._checked = True


class _Held(threading.local):
    """The connection on which this thread's transaction runs, and whether it is one of `within`."""

    link: Link | None = None
    limited = False


_abandoned: list[Any] = []
"""Connections inherited through a fork, kept unclosed."""
