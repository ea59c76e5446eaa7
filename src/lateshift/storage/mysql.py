"""MySQL 8 and MariaDB 10.6 and newer, through PyMySQL, or mysqlclient for `mysql+mysqldb://`.

InnoDB has no partial index: a generated column `waits`, which is null for rows that do not wait, leads the waiting
index instead. `update` returns no rows: a claim reads them under their locks first. Every transaction is `read
committed`: under InnoDB's default a claim would lock the gaps between rows too, and enqueuers would wait for it.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from lateshift.errors import StorageError, StorageUnavailable
from lateshift.storage import mysql_address, mysql_batches, mysql_lanes
from lateshift.storage.database import Parameters, Row
from lateshift.storage.dialect import Dialect, names_in
from lateshift.storage.mysql_link import NO_ROOM, MysqlLink, too_large
from lateshift.storage.server import ABANDONED, Link, ServerDatabase, Trouble

T = TypeVar("T")

MINIMUM: Final = {"MySQL": (8, 0, 1), "MariaDB": (10, 6, 0)}
"""Since when they know `skip locked`."""

_NO_TLS: Final = 2026
"""The server has none; or it failed, which the driver tells in the same way."""

_TROUBLES: Final[dict[int, Trouble]] = {
    # Deadlock, lock wait, changed since read, changed on another member of a replication group.
    **dict.fromkeys((1213, 1205, 1020, 3572, 3101), "conflict"),
    **dict.fromkeys((1040, 1047, 1053, 1077, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1927, 4031), "gone"),
    **dict.fromkeys((2000, 2001, 2002, 2003, 2004, 2005, 2006, 2012, 2013, 2014, 2027, 2055), "gone"),
    **dict.fromkeys((1290, 1792, 1836), "gone"),  # read-only: a replica
    **dict.fromkeys((*NO_ROOM, 1180), "gone"),  # disk full, commit failed
    # Access denied, unknown database, host blocked, no privilege, password to be changed, TLS required, account locked.
    **dict.fromkeys((1044, 1045, 1049, 1129, 1130, 1142, 1143, 1227, 1370, 1698, 1820, 1862, 3118, 3159), "denied"),
    **dict.fromkeys((4151, _NO_TLS), "denied"),
    **dict.fromkeys((1317, 1969, 3024), "slow"),
    1062: "duplicate",
    1146: "no tables",
}

_DONE_BEFORE: Final = (1050, 1060, 1061, 1062)
"""Table, column, index or row is there already: MySQL commits each statement of a migration by itself."""

_WHEREABOUTS: Final = """
select count(*), @@hostname, @@port, @@datadir, lower(database()) from information_schema.tables
where table_schema = database() and table_name = 'lateshift_jobs'"""

_ASCII: Final = "character set ascii collate ascii_bin"


_TYPES: Final = {
    "id": f"varchar(36) {_ASCII}",
    "word": f"varchar(32) {_ASCII}",
    "queue": "varchar(100)",
    "worker": "varchar(300)",
    "name": "varchar(1000)",
    "path": "varchar(255)",
    "text": "longtext",
    "int": "int",
    "time": "bigint",
    "seq": "bigint not null auto_increment primary key",
    "id_key": "not null unique",
    "real": "double",
    "only if partial(": "do 0 /* ",
    ")": " */",
}


def mysql_dialect(prefix: str = "lateshift_") -> Dialect:
    """MySQL and MariaDB, with this before the names of tables."""
    end = " engine = InnoDB, character set utf8mb4 collate utf8mb4_bin"
    waits = ",\n    waits tinyint as (case when status in ('pending', 'pending_retry') then 1 end) stored"
    return Dialect(
        name="mysql",
        tables=prefix,
        indexes="lateshift_",
        parameter="%({name})s",
        words={
            "{row}": "seq",
            "{age}": "seq",
            "{waiting}": "waits = 1",
            "{lock}": " for update",
            "{skip_locked}": " for update skip locked",
            "{among ids}": "in :ids",
            "{in_path}": "instr(concat('.', name, '.'), concat('.', :name, '.')) > 0",
            "{position(}": "instr(",
            "{retry}": "seq",
            "{div}": "div",
            "{seq_once}": "1 = 1",
        },
        on_conflict="on duplicate key update",
        new="values({column})",
        returning=False,
        types={
            **_TYPES,
            **dict.fromkeys(("end", "jobs_end", "keyed_end"), end),
            "waits": waits,
            "waiting_key": "(waits, queue, executor, priority desc, run_at, seq)",
            "running_key": "(status, worker)",
            "finished_key": "(status, finished_at)",
            "fingerprint_key": "(fingerprint, job_id)",
        },
        batches=mysql_batches.STATEMENTS,
        whereabouts=_WHEREABOUTS,
        pack=mysql_batches.as_json,
        silence=("set wait_timeout = {seconds}", "set wait_timeout = default"),
    )


class MysqlDatabase(ServerDatabase):
    """A MySQL or MariaDB database, with our tables under a prefix."""

    begin = "start transaction"
    clock_sql = "select timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))"

    def __init__(self, url: str, *, prefix: str = "lateshift_", **options: Any) -> None:
        self._driver = _mysqldb() if "mysqldb" in url.partition("://")[0] else _pymysql()
        self.errors = self._driver.Error
        self._queues = ["default"]  # one, so that what is wrong with the statement of `lanes` shows before a job waits
        self._mariadb = self._encrypts = False
        self._most = math.inf
        super().__init__(mysql_dialect(prefix), url, **options)

    def connect(self, timeout: float) -> Link:
        """A new connection. Raises the driver's errors, and StorageError for a server that is too old or is TiDB."""
        link = MysqlLink(self._log_in(timeout))
        try:
            version, self._most = link.query("select version(), @@max_allowed_packet", {})[0]
            link.most = self._most
            refuse_old(version, self.place)
            self._mariadb = _is_mariadb(version)
            abandoned = _ABANDONED_MARIADB if self._mariadb else _ABANDONED_MYSQL
            for statement in (*_SESSION, abandoned):
                link.execute(statement, {})
        except BaseException:
            link.close()
            raise
        return link

    def _log_in(self, timeout: float) -> Any:
        """A connection of the driver; over TLS where PyMySQL may not be asked for the password without.

        That is how MySQL asks since 8.0, and its own programs use TLS by themselves: without it PyMySQL needs a package
        of cryptography, which took whoever had chosen a password to an error.
        """
        arguments = self._arguments(timeout)
        try:
            return self._driver.connect(**arguments)
        except RuntimeError as error:
            refusal = StorageError(
                f"PyMySQL cannot log in at {self.place} ({error}): have the server offer TLS, or pip install "
                "'pymysql[rsa]'."
            )
            if not arguments.get("ssl_disabled"):
                raise refusal from error
        self._encrypts = True
        try:
            return self._driver.connect(**self._arguments(timeout))
        except (RuntimeError, self.errors) as error:
            if isinstance(error, RuntimeError) or error.args[:1] == (_NO_TLS,):
                raise refusal from error
            raise

    def judge(self, error: Exception) -> Trouble:
        """What an error of the driver means, by its number."""
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        if number == 0 and isinstance(error, self._driver.InterfaceError | self._driver.OperationalError):
            return "gone"
        return _TROUBLES.get(number, "other")

    def explain(self, trouble: Trouble, error: Exception) -> StorageError:
        """As for any server, and what one that logs statements refuses: a transaction that is `read committed`."""
        if error.args[:1] == (1665,):
            return StorageUnavailable(
                f"The server of {self.place} has binlog_format = STATEMENT, with which it refuses our transactions, as "
                "they are `read committed`. Set binlog_format = MIXED or ROW there."
            )
        return super().explain(trouble, error)

    @property
    def as_usual(self) -> tuple[str, ...]:  # type: ignore[override] # known when it is connected
        """The statements that make a session of ours like any other; it stays `read committed`."""
        return (*_AS_USUAL, *(["set idle_transaction_timeout = default"] if self._mariadb else []))

    @property
    def limit_sql(self) -> str:
        """The statement that limits what a statement may take, for the session."""
        if self._mariadb:
            return "set session max_statement_time = {seconds}"
        return "set session max_execution_time = {milliseconds}"

    def within(self, seconds: float, read: Callable[[], T]) -> T:
        """Do `read`, in one transaction, in which each statement may take so long at most. Raises QueryTooSlow."""

        def and_back() -> T:
            try:
                return read()
            finally:
                with contextlib.suppress(self.errors):
                    self.execute(self.limit_sql.format(seconds="default", milliseconds="default"))

        return super().within(seconds, and_back)

    def write_batch(self, name: str, sql: str, rows: Sequence[Parameters]) -> int:
        """As on any database; what is too large for one statement is written by halves, in one transaction.

        What the server has no room for goes in row by row, for which it makes no table of its own: where its tmpdir was
        full, jobs that had been done failed for good.
        """
        own = self.dialect.batches.get(name)
        if own is None or not rows:
            return super().write_batch(name, sql, rows)
        packed = self.dialect.pack(rows, names_in(own))
        if len(rows) > 1 and too_large(own, packed, self._most):
            middle = len(rows) // 2
            halves = rows[:middle], rows[middle:]
            return self.transact(lambda: sum(self.write_batch(name, sql, half) for half in halves))

        def at_once_or_singly() -> int:
            try:
                return self.execute(own, packed)
            except self.errors as error:
                if not NO_ROOM.intersection(error.args[:1]):
                    raise
                return self.execute_many(sql, rows)

        return self._together(at_once_or_singly)

    def query_lanes(
        self,
        sql: str,  # noqa: ARG002 - it has a way of its own
        start: str,
        most: int,
        *,
        only: bool = False,
    ) -> tuple[list[Row], str | None]:
        """The lanes, looked up for the queues that are known to have had waiting jobs."""
        if only:
            return mysql_lanes.of_queues(self, [start]), None
        rows, following, self._queues = mysql_lanes.lanes(self, self._queues, start, most)
        return rows, following

    def has_tables(self) -> bool:
        """Whether it has tables of ours."""
        sql = "select 1 from information_schema.tables where table_schema = database() and table_name = :name"
        return bool(self.query(sql, {"name": f"{self.dialect.tables}meta"}))

    def tables_at(self, whereabouts: list[Row]) -> str | None:
        """As on any database, with our database's name as well: the connection may be led to another one later."""
        tables = super().tables_at(whereabouts)
        name = self._arguments(0)["database"].replace("`", "``")
        return None if tables is None else f"`{name}`.{tables}"

    def alone(self, work: Callable[[], T]) -> T:
        """Do `work` under a lock that the others' migrations ask for; each statement commits by itself."""

        def locked() -> T:
            if self.query(f"select get_lock({self._lock}, 600)") != [(1,)]:
                raise StorageUnavailable(f"Another process migrates {self.place} and does not end. See what it does.")
            try:
                return work()
            finally:
                self.query(f"select release_lock({self._lock})")

        return self.transact(locked)

    @property
    def _lock(self) -> str:
        return f"concat('lateshift ', left(sha2(concat(database(), '.{self.dialect.tables}'), 256), 40))"

    def around_schema(self) -> tuple[list[str], list[str]]:
        """The session as ours is, and the lock of `alone`; each statement commits by itself."""
        return [*_SESSION, f"do get_lock({self._lock}, 600)"], [f"do release_lock({self._lock})"]

    def execute_schema(self, statement: str) -> None:
        """Run a statement of a migration, unless an attempt that was cut off has already."""
        try:
            super().execute_schema(statement)
        except self.errors as error:
            if error.args[0] not in _DONE_BEFORE:
                raise

    def _arguments(self, timeout: float) -> dict[str, Any]:
        mysqlclient = self._driver.__name__ == "MySQLdb"
        return mysql_address.arguments_of(
            self.url, timeout, self.patience, encrypts=self._encrypts, mysqlclient=mysqlclient
        )


_SESSION: Final = (
    "set session transaction isolation level read committed",
    "set sql_mode = 'ANSI_QUOTES,STRICT_TRANS_TABLES'",
    "set innodb_lock_wait_timeout = 10, optimizer_switch = 'index_merge=off'",
)
"""An index merge in an update locks in two orders, which deadlocks (bugs.mysql.com/77209)."""

_AS_USUAL: Final = ("set sql_mode = default, innodb_lock_wait_timeout = default, optimizer_switch = default",)

_ABANDONED_MARIADB: Final = f"set idle_transaction_timeout = {round(ABANDONED)}"
_ABANDONED_MYSQL: Final = f"set wait_timeout = {round(ABANDONED)}"
"""MySQL knows no such limit for transactions alone; a connection that it closes between two of ours is replaced."""


def refuse_old(version: str, place: str) -> None:
    """Raise StorageError for a server that cannot skip locked rows; `version` is what `select version()` gives."""
    if "tidb" in version.lower():
        raise StorageError(f"{place} is TiDB, which does not skip locked rows. Use MySQL, MariaDB or PostgreSQL.")
    product = "MariaDB" if _is_mariadb(version) else "MySQL"
    version = version.removeprefix("5.5.5-")  # what MariaDB puts before its own, for old programs
    numbers = re.findall(r"\d+", version)[:3]
    if tuple(map(int, numbers)) < MINIMUM[product]:
        least = ".".join(map(str, MINIMUM[product]))
        raise StorageError(
            f"The server of {place} is {product} {version}; Lateshift needs {least} or newer. Upgrade it."
        )


def _is_mariadb(version: str) -> bool:
    return "mariadb" in version.lower()


def _pymysql() -> Any:
    try:
        import pymysql
    except ImportError as error:
        raise StorageError(
            f"MySQL needs the driver PyMySQL, which cannot be imported ({error}): pip install 'lateshift[mysql]'."
        ) from error
    return pymysql


def _mysqldb() -> Any:
    try:
        import MySQLdb  # type: ignore[import-untyped,unused-ignore] # there only where the user has it
    except ImportError as error:
        raise StorageError(
            f"mysql+mysqldb:// needs the driver mysqlclient, which cannot be imported ({error}): pip install "
            "mysqlclient, or write mysql:// for PyMySQL."
        ) from error
    return MySQLdb
