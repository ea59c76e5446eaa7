"""The transaction of a transactional job: what it writes and its completion are committed together, or not at all.

It is on a connection of its own, opened when the job first asks for it and used up with the attempt. The completion is
conditional on the lease, as in `writes.settle`. So when another attempt has been allowed meanwhile, both roll back.
"""

from __future__ import annotations

import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, Final, Literal, cast

import msgspec

from lateshift.errors import InvalidOption, StorageError, TransactionEnded
from lateshift.job import Claimed
from lateshift.options import Transactional
from lateshift.outcome import Outcome
from lateshift.settings import Settings
from lateshift.storage import foreign, open_database, reads
from lateshift.storage.database import Database
from lateshift.storage.dialect import Dialect
from lateshift.storage.settlements import Settlement, completion_row
from lateshift.storage.sqlite_errors import code_of
from lateshift.storage.writes import COMPLETE

_logger = logging.getLogger("lateshift")

LONGEST_ANSWER: Final = 3600.0
"""Seconds that a statement of a job may take, as nobody knows what jobs do; the job's own timeout comes before."""

LONGEST_SILENCE: Final = 60.0
"""Seconds between two statements after which the server ends the transaction. A host that vanished would else keep the
rows locked for hours that the next attempt wants to write."""

LAST_SILENCE: Final = 3.0
"""The same between the completion and the commit. Whoever takes the job from a process that is stopped there waits for
its row so long, with all that he has to do besides, such as his heartbeat."""

_SAVEPOINT: Final = "lateshift_job"
"""It is gone when the transaction is: a commit by the job, a schema change on MySQL, a deadlock that was swallowed."""

_ENDED_STATES: Final = ("3B001", "25P01")
"""What PostgreSQL says then: no such savepoint, no transaction."""

_BUSY: Final = 5
"""SQLite's code for a lock that others hold, or for a snapshot behind which others have written."""

Verdict = Literal["stored", "unwritten", "lost", "unknown"]
"""Committed; nothing was written, so that there is nothing to commit; rolled back, as the job had been taken away; the
connection broke at the commit, and the database cannot be asked."""


class Source:
    """Where the transactional jobs of one process get their connections."""

    def __init__(self, settings: Settings) -> None:
        self.db = open_database(settings)
        self.connect = open_database(settings, patience=LONGEST_ANSWER).connect_for_job
        self.silence, self.silence_back = self.db.dialect.silence


class Effects:
    """The transaction of one attempt, for the job's own thread alone."""

    def __init__(self, source: Source, job: Claimed, kind: Transactional) -> None:
        self._source, self._job, self._kind = source, job, kind
        self._way: _Way | None = None
        self._ended = False

    @property
    def connection(self) -> Any:
        """What the job writes through; begins the transaction at the first use. Raises TransactionEnded afterwards."""
        if self._ended:
            raise TransactionEnded(
                f"The transaction of job {self._job.id} is over: its failed() hook needs a connection of its own."
            )
        if self._way is None:
            self._begin()
        return cast("_Way", self._way).given

    @property
    def begun(self) -> bool:
        """Whether there is anything to commit or to roll back."""
        return self._way is not None

    def keeps_out(self, place: str) -> bool:
        """Whether the job has written to the SQLite file at this place, so that nobody else can before it ends."""
        way = None if self._ended or self._source.db.place != place else self._way
        return way is not None and way.dialect.name == "sqlite" and way.file.in_transaction and way.changes > 0

    def enter(self) -> None:
        """Begin at once where the job's code writes without asking for the connection, as with Django's models."""
        if self._kind == "django":
            self._begin()

    def complete(self, outcome: Outcome) -> Verdict:
        """Commit, with the job completed by `outcome`, if it is still this attempt's. Raises what made it fail.

        Raises TransactionEnded when the transaction is not the one that was begun.
        """
        way = cast("_Way", self._way)
        self._release_savepoint(way)
        self._limit_silence(LAST_SILENCE)
        try:
            matched = way.execute(COMPLETE, completion_row(Settlement(self._job, outcome)))
        except Exception as error:
            if self.was_overtaken(error):  # with a change it would have the lock
                return "unwritten"
            raise
        if matched != 1:
            return "lost"
        try:
            way.commit()
        except Exception:
            way.close()
            verdict = self._look()
            if verdict is None:
                raise
            _logger.warning("The commit was followed by an error; the job is completed all the same.", exc_info=True)
            return verdict
        return "stored"

    def was_overtaken(self, error: BaseException) -> bool:
        """Whether a job failed as SQLite did not let it write, though it had written nothing yet.

        Nobody is at fault: who has read is refused at once while others write, and when they have written since, as no
        waiting would help. With a new transaction it goes well.
        """
        ours = not isinstance(error, StorageError)  # which another connection raised, perhaps for this one's lock
        return self._way is not None and ours and _refused_lock(error) and self._way.changes == 0

    def close(self) -> None:
        """Roll back what is not committed, and let go of the connection; may be called again."""
        self._ended = True
        if self._way is not None:
            self._way.close()

    def _begin(self) -> None:
        self._way = way = _WAYS[self._kind](self._source)
        way.begin()
        self._limit_silence(LONGEST_SILENCE)
        way.execute(f"savepoint {_SAVEPOINT}")

    def _release_savepoint(self, way: _Way) -> None:
        try:
            way.execute(f"release savepoint {_SAVEPOINT}")
        except Exception as error:
            state = getattr(error.__cause__ or error, "sqlstate", None)
            if state not in _ENDED_STATES and "savepoint" not in str(error).lower():
                raise
            raise TransactionEnded(
                "The transaction was over before the job was: the job must not commit or roll back "
                "`current_job().connection`, use it as `with connection:`, change the schema on it (MySQL), or go on "
                "after a deadlock. What it has committed itself stays, so it is not tried again."
            ) from error

    def _limit_silence(self, seconds: float) -> None:
        if self._source.silence:
            limit = self._source.silence.format(seconds=round(seconds), milliseconds=round(seconds * 1000))
            cast("_Way", self._way).execute(limit)

    def _look(self) -> Verdict | None:
        """What became of a commit whose answer did not come; None if it was refused. Waits for one still under way."""
        db = self._source.db
        try:
            _, done = db.transact(lambda: (reads.locked_status(db, self._job.id), reads.completion(db, self._job)))
        except Exception:
            return "unknown"
        finally:
            db.close()
        return None if done is None else "stored"


class _Way(ABC):
    """How to get at the database. `given` is what the job sees of it."""

    given: Any
    dialect: Dialect
    _changes_before = 0

    @abstractmethod
    def begin(self) -> None:
        """Begin the transaction; on SQLite a deferred one: nobody waits for it before the job has written something."""

    @abstractmethod
    def commit(self) -> None:
        """Commit. What it raises may have happened after the commit as well."""

    @abstractmethod
    def close(self) -> None:
        """Roll back what is not committed, and let go of the connection, as far as it is not done."""

    @property
    @abstractmethod
    def raw(self) -> Any:
        """The connection of the driver, or what has cursors like it."""

    @property
    @abstractmethod
    def file(self) -> Any:
        """The connection of sqlite3, where that is the driver."""

    @property
    def changes(self) -> int:
        """How many rows of an SQLite file the job has written."""
        return int(self.file.total_changes) - self._changes_before

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> int:
        """Run a statement; how many rows it matched."""
        with closing(self.raw.cursor()) as cursor:
            sql = self.dialect.render(sql)
            cursor.execute(sql) if parameters is None else cursor.execute(sql, parameters)
            return int(cursor.rowcount)


class _Driver(_Way):
    """The driver's own connection, opened for this attempt."""

    raw: Any = None

    def __init__(self, source: Source) -> None:
        self.dialect = source.db.dialect
        self._begin = source.db.begin
        self.given = self.raw = source.connect()

    @property
    def file(self) -> Any:
        """The connection of sqlite3, where that is the driver."""
        return self.raw

    def begin(self) -> None:
        """Begin the transaction."""
        self.execute(self._begin)

    def commit(self) -> None:
        """Commit."""
        self.execute("commit")

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(Exception):  # broken, or closed already, which PyMySQL calls an error
            self.raw.close()


class _Alchemy(_Driver):
    """A Connection of SQLAlchemy over the driver's, in a transaction that a Session bound to it does not end."""

    def __init__(self, source: Source) -> None:
        from sqlalchemy import create_engine, pool

        super().__init__(source)
        driver = type(self.raw).__module__.partition(".")[0].lower()
        name = {"sqlite3": "sqlite", "lateshift": "postgresql+psycopg"}.get(driver, f"mysql+{driver}")
        self._engine = create_engine(f"{name}://", creator=lambda: self.raw, poolclass=pool.NullPool)
        self.given = self._engine.connect()

    def begin(self) -> None:
        """Begin the transaction."""
        super().begin()
        self.given.begin()

    def close(self) -> None:
        """Close both connections."""
        with contextlib.suppress(Exception):
            self.given.close()
        super().close()


class _Django(_Way):
    """This thread's connection to the one of Django's DATABASES that is the jobs', in `transaction.atomic`."""

    def __init__(self, source: Source) -> None:
        from django.db import transaction  # type: ignore[import-untyped] # it has no types of its own

        self._alias, self.given, tables = _in_django(source.db)
        if self.given.in_atomic_block:  # which the commit would not end
            raise InvalidOption(
                'A job with transactional="django" commits what it writes, and here it runs inside '
                "`transaction.atomic`. So does all of a TestCase, which never commits: use a TransactionTestCase, or "
                "`django_db(transaction=True)` of pytest-django."
            )
        self.given.close_if_unusable_or_obsolete()
        self.dialect = msgspec.structs.replace(source.db.dialect, tables=tables, parameter="%({name})s")
        self._block = transaction.atomic(using=self._alias)
        self._step: Literal["entering", "inside", "leaving", "left"] = "left"
        self._silence_back = source.silence_back

    @property
    def raw(self) -> Any:
        """Django's connection: it refuses statements in a transaction that it means to roll back."""
        return self.given

    @property
    def file(self) -> Any:
        """The connection of sqlite3, where that is the driver."""
        return self.given.connection

    def begin(self) -> None:
        """Enter the atomic block."""
        self._step = "entering"
        self._block.__enter__()
        self._step = "inside"
        self._changes_before = getattr(self.file, "total_changes", 0)

    def commit(self) -> None:
        """Leave the atomic block; then Django calls what the job gave to `on_commit`."""
        self._leave(None)

    def close(self) -> None:
        """Leave the atomic block with an error, and the connection as it was; it is the thread's, and stays."""
        with contextlib.suppress(Exception):
            if self._step == "inside":
                self._leave(TransactionEnded("rolled back"))
        if self._step != "left":  # a timeout came in between, and nobody knows how the connection stands
            self._drop()
        elif self._silence_back:
            with contextlib.suppress(Exception):
                self.execute(self._silence_back)

    def _leave(self, error: Exception | None) -> None:
        self._step = "leaving"
        try:
            self._block.__exit__(None if error is None else type(error), error, None)
        except Exception:
            self._step = "left"
            raise
        self._step = "left"

    def _drop(self) -> None:
        from django.db import connections

        with contextlib.suppress(Exception):
            self.given.connection.close()
        with contextlib.suppress(AttributeError):
            del connections[self._alias]
        self._step = "left"


def _in_django(db: Database) -> tuple[str, Any, str]:
    """The alias of the jobs' database, its connection, and what stands before the names of our tables there."""
    from django.db import connections

    for alias in connections:
        with contextlib.suppress(InvalidOption):
            return alias, connections[alias], foreign.tables_on(db, connections[alias])
    raise InvalidOption(
        f"None of Django's DATABASES ({', '.join(connections)}) is the jobs' database, {db.place}. Only one and the "
        'same commits both together: set LATESHIFT_DATABASE_URL to it, or leave transactional="django" out.'
    )


def _refused_lock(error: BaseException) -> bool:
    """Whether SQLite did not give its write lock, by the driver's error or Django's or SQLAlchemy's around it."""
    return code_of(error.__cause__ or error) == _BUSY


_WAYS: Final[Mapping[Transactional, Callable[[Source], _Way]]] = {
    True: _Driver,
    "sqlalchemy": _Alchemy,
    "django": _Django,
}
