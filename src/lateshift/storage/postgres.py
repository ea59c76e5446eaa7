"""PostgreSQL 13 and newer, through psycopg 3.

Every connection is in autocommit mode: a single statement is a transaction, several stand between `begin` and `commit`.
A pooler between us and the server is noticed: then nothing is prepared and nobody listens.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from lateshift.errors import StorageError
from lateshift.storage.arrays import as_arrays
from lateshift.storage.database import Listener, Parameters, Row
from lateshift.storage.dialect import Dialect
from lateshift.storage.server import ABANDONED, GIVEN_UP, Link, ServerDatabase, Trouble

try:
    import psycopg

    from lateshift.storage.postgres_connection import PostgresListener, check_url, open_connection
except ImportError as error:
    raise StorageError(
        f"PostgreSQL needs the driver psycopg 3, which cannot be imported ({error}): pip install 'lateshift[postgres]'."
    ) from error

T = TypeVar("T")

MINIMUM: Final = 130_000
"""The oldest server that the tests' queries were planned for; 12 has been out of support since November 2024."""

ANNOUNCE_PAUSE: Final = 0.01
"""Seconds in which this process tells of new jobs once. A notifying commit takes a lock of the whole server (three
outages of Recall.ai in March 2025), and a worker that was just told looks again every few milliseconds anyway.
"""

_GONE: Final = ("08", "57P", "58", "53", "XX")
"""Classes of SQLSTATE after which another connection, a moment later, may do better: lost, shut down, full, broken."""

_TROUBLES: Final[dict[str, Trouble]] = {
    **dict.fromkeys(("40001", "40P01", "55P03"), "conflict"),  # serialization failure, deadlock, lock not available
    "26000": "gone",  # a prepared statement that the pooler's other server does not know
    "42P05": "gone",  # or that another client has made there
    **dict.fromkeys(("25P03", "25P04"), "gone"),  # too long in a transaction: this process stood still
    "23505": "duplicate",
    "42P01": "no tables",
    "3F000": "no tables",
    "3D000": "denied",
    "42501": "denied",
    "57014": "slow",  # cancelled by its statement_timeout
    "25006": "gone",  # read-only: this is a standby, and the next connection may be to the primary
}

_DENIED: Final = re.compile(
    r"authentication failed|no password supplied|does not exist|pg_hba|no such database|not permitted"
)
"""libpq has no SQLSTATE for a connection that was refused; a server that speaks another language is asked again."""

_ENQUEUE: Final = """
insert into lateshift_jobs (id, name, queue, executor, priority, status, parameters, max_retries,
                            run_at, enqueued_at, options)
select id, name, queue, executor, priority, 'pending', parameters, max_retries, run_at, enqueued_at, options
from unnest(cast(:id as text[]), cast(:name as text[]), cast(:queue as text[]), cast(:executor as text[]),
            cast(:priority as int[]), cast(:parameters as text[]), cast(:max_retries as int[]),
            cast(:run_at as bigint[]), cast(:enqueued_at as bigint[]), cast(:options as text[]))
     with ordinality as new(id, name, queue, executor, priority, parameters, max_retries, run_at, enqueued_at,
                            options, place)
order by place"""

# `|| ''` keeps the index of the running jobs out of it: a generic plan, made while hardly anything ran, joined it with
# the whole batch for each row, which took 123 ms for 500 jobs, where the ids take 15. `select` hides how many they are:
# of a thousand, each connection's first five read all jobs, which took 12 ms in a table of 60,000, and by the ids 9.7.
_COMPLETE: Final = """
update lateshift_jobs as j
set status = 'completed', result = done.result, started_at = done.started_at, finished_at = done.finished_at,
    error_type = null, error_message = null, error_traceback = null
from unnest((select cast(:id as text[])), (select cast(:lease as int[])), (select cast(:started_at as bigint[])),
            (select cast(:finished_at as bigint[])), (select cast(:result as text[])))
     as done(id, lease, started_at, finished_at, result)
where j.id = done.id and j.lease = done.lease and j.status || '' = 'running'"""

_RELEASE: Final = """
update lateshift_jobs as j
set status = case when cancel_requested = 1 then 'cancelled'
                  when exists (select 1 from lateshift_attempts a where a.job_id = j.id)
                  then 'pending_retry' else 'pending' end,
    attempts = attempts - 1,
    worker = case when cancel_requested = 1 then worker end,
    started_at = case when cancel_requested = 1 then started_at end,
    finished_at = case when cancel_requested = 1 then held.released_at else finished_at end
from unnest((select cast(:id as text[])), (select cast(:lease as int[])), (select cast(:now as bigint[])))
     as held(id, lease, released_at)
where j.id = held.id and j.lease = held.lease and j.status || '' = 'running'"""

# A shorter statement_timeout of the user's role, or of the URL, stays.
_LIMITS: Final = """
select set_config('idle_in_transaction_session_timeout', '{abandoned:.0f} s', false),
       set_config('statement_timeout', case
           when cast(current_setting('statement_timeout') as interval) between '1 ms' and '{patience} s'
           then current_setting('statement_timeout') else '{patience} s' end, false)"""

_WAITING: Final = "status in ('pending', 'pending_retry')"

# Servers that were set up alike have the same names and numbers, and a copy of the files has all that stands in them.
_WHEREABOUTS: Final = """
select cast(cast(to_regclass('lateshift_jobs') as oid) as bigint),
       cast(extract(epoch from pg_postmaster_start_time()) * 1000000 as bigint), cast(current_database() as text)"""

_ANNOUNCE: Final = "select pg_notify('{schema}', '')"

_MIGRATION_LOCK: Final = "select pg_advisory_xact_lock(hashtext('lateshift migrate {schema}'))"
_CREATE_SCHEMA: Final = 'create schema if not exists "{schema}"'

_HOT: Final = (
    " with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,"
    " autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02,"
    " autovacuum_vacuum_cost_delay = 0)"
)
"""Each job leaves two dead rows; with the defaults a vacuum would come only when a fifth of the table is dead."""

_TYPES: Final = {
    **dict.fromkeys(("name", "text"), "text"),
    **dict.fromkeys(("id", "path", "queue", "word", "worker"), 'text collate "C"'),
    **dict.fromkeys(("end", "waits", "only if partial(", ")"), ""),
    **dict.fromkeys(("jobs_end", "keyed_end"), _HOT),
    "int": "int",
    "time": "bigint",
    "real": "double precision",
}


def postgres_dialect(schema: str = "lateshift") -> Dialect:
    """PostgreSQL, with the tables in this schema."""
    return Dialect(
        name="postgres",
        tables=f'"{schema}".',
        parameter="%({name})s",
        words={
            "{schema}": schema,
            "{row}": "ctid",
            "{age}": "id",
            "{waiting}": _WAITING,
            "{lock}": " for update",
            "{skip_locked}": " for update skip locked",
            "{among ids}": "= any (:ids)",
            # Not `in (select ... limit)`: the planner may run that again for each row, and take more than the limit.
            "{first(}": "= any (array(",
            "{)}": "))",
            "{in_path}": "strpos('.' || name || '.', '.' || :name || '.') > 0",
            "{position(}": "strpos(",
            "{retry}": "run_at",
            "{div}": "/",
            "{seq_once}": "1 = 0",
        },
        on_conflict="on conflict ({keys}) do update set",
        new="excluded.{column}",
        types={
            **_TYPES,
            # No index of its own: every update of a job is a new entry in each index, and `ctid` and `id` serve too.
            "seq": "bigint generated by default as identity",
            "id_key": "not null primary key",
            "waiting_key": f"(queue, executor, priority desc, run_at, seq) where {_WAITING}",
            "running_key": "(worker) where status = 'running'",
            "finished_key": "(status, finished_at) where finished_at is not null",
            "fingerprint_key": "(fingerprint, job_id) where fingerprint is not null",
        },
        batches={"enqueue": _ENQUEUE, "complete": _COMPLETE, "release": _RELEASE},
        pack=as_arrays,
        whereabouts=_WHEREABOUTS,
        announce=_ANNOUNCE,
        silence=("set local idle_in_transaction_session_timeout = {milliseconds}", ""),
    )


class PostgresDatabase(ServerDatabase):
    """A PostgreSQL database, with our tables in a schema of their own.

    `prepare` is "auto", or "off" where a pooler in between is not noticed by itself.
    """

    errors = psycopg.Error
    begin = "begin isolation level read committed"
    limit_sql = "set local statement_timeout = {milliseconds}"
    clock_sql = "select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint)"

    def __init__(self, url: str, *, schema: str = "lateshift", prepare: str = "auto", **options: Any) -> None:
        check_url(url)
        self.schema = schema
        self._prepare = prepare != "off"
        self._announced_at = 0.0
        super().__init__(postgres_dialect(schema), url, **options)

    def connect(self, timeout: float) -> Link:
        """A new connection. Raises psycopg.Error, and StorageError for a server that is too old."""
        connection = open_connection(self.url, timeout, self.patience)
        link = PostgresLink(connection)
        try:
            refuse_old(connection.info.server_version, self.place)
            ((backend,),) = link.query("select pg_backend_pid()", {})
            self.pooled = backend != connection.info.backend_pid
            if not self.pooled:  # behind a pooler the setting would be left to others
                link.query(_LIMITS.format(abandoned=ABANDONED, patience=self.patience + GIVEN_UP), {})
        except BaseException:
            link.close()
            raise
        connection.prepare_threshold = 2 if self._prepare and not self.pooled else None
        return link

    def judge(self, error: Exception) -> Trouble:
        """What an error of psycopg means, by its SQLSTATE; one without came from the connection itself."""
        state = getattr(error, "sqlstate", None)
        if state is None:
            if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
                return "other"
            return "denied" if _DENIED.search(str(error)) else "gone"
        if state in ("26000", "42P05"):
            self._prepare = False
        if state.startswith("28"):
            return "denied"
        return _TROUBLES.get(state, "gone" if state.startswith(_GONE) else "other")

    def announcing(self, sql: str) -> str:
        """A statement that stores jobs, and tells of them; most of the time, as the one before was heard as well."""
        now = time.monotonic()
        if now - self._announced_at < ANNOUNCE_PAUSE:
            return sql
        self._announced_at = now
        return f"with stored as ({sql}) {self.dialect.announce}"

    def announce(self) -> None:
        """Tell those who listen, when the transaction ends."""
        self.query(self.dialect.announce)

    def listen(self, hear: Callable[[], None]) -> Listener | None:
        """Have `hear` called when somebody tells of new jobs; None behind a pooler, which would swallow that."""
        self.query("select 1")  # connects, and so finds out about a pooler
        return None if self.pooled else PostgresListener(self.url, self.schema, self.timeout, hear)

    def has_tables(self) -> bool:
        """Whether it has tables of ours."""
        named = {"name": f"{self.dialect.tables}meta"}
        return self.query("select to_regclass(:name) is not null", named)[0][0] is True

    def alone(self, work: Callable[[], T]) -> T:
        """Do `work` in one transaction, under a lock that the others' migrations ask for."""

        def locked() -> T:
            self.query(_MIGRATION_LOCK)
            if self.query("select to_regnamespace('{schema}')") == [(None,)]:  # only then, as it wants the right to
                self.execute(_CREATE_SCHEMA)
            return work()

        return self.transact(locked)

    def around_schema(self) -> tuple[list[str], list[str]]:
        """One transaction, under the lock of `alone`, and the schema itself."""
        return ["begin", self.render(_MIGRATION_LOCK), self.render(_CREATE_SCHEMA)], ["commit"]


class PostgresLink(Link):
    """A psycopg connection in autocommit mode."""

    connection: psycopg.Connection[Row]

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self.connection = connection

    def query(self, sql: str, parameters: Parameters) -> list[Row]:
        """Run a statement, return its rows."""
        return self.connection.execute(sql, parameters or None).fetchall()

    def execute(self, sql: str, parameters: Parameters) -> int:
        """Run a statement, return how many rows matched."""
        return self.connection.execute(sql, parameters or None).rowcount

    def execute_many(self, sql: str, rows: Sequence[Parameters]) -> int:
        """Run a statement for each row of parameters, all in one round trip."""
        with self.connection.cursor() as cursor:
            cursor.executemany(sql, rows)
            return cursor.rowcount

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def refuse_old(version: int, place: str) -> None:
    """Raise StorageError for a server that is too old; `version` is as libpq gives it, 150004 for 15.4."""
    if version < MINIMUM:
        minor = version % 10_000 if version >= 100_000 else version // 100 % 100  # three numbers before 10
        raise StorageError(
            f"The server of {place} is PostgreSQL {version // 10_000}.{minor}; Lateshift needs {MINIMUM // 10_000} or "
            "newer. Upgrade the server."
        )
