"""What a database is, and what can slow it down or stop it, asked of the database itself: for `lateshift doctor`.

The questions are each database's own, so they stand here by the dialect's name; one that a database has no answer to is
not asked. What the answers mean for a user is said in `doctor/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lateshift.errors import StorageUnavailable
from lateshift.storage.database import Database
from lateshift.storage.dialect import TABLES
from lateshift.storage.schema import MIGRATIONS

DEAD_ROWS: Final = 10_000
"""Fewer dead rows than this are no matter, however few live ones there are."""

_PRODUCT: Final = {
    "sqlite": "select 'SQLite ' || sqlite_version()",
    "postgres": "select 'PostgreSQL ' || current_setting('server_version')",
    "mysql": "select concat(case when instr(version(), 'MariaDB') then 'MariaDB ' else 'MySQL ' end, version())",
}

_SIZE: Final = {
    "sqlite": "select (select page_count from pragma_page_count) * (select page_size from pragma_page_size)",
    "postgres": f"""
select sum(pg_total_relation_size(c.oid)) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = '{{schema}}' and c.relname in {TABLES}""",
    "mysql": """
select sum(data_length + index_length) from information_schema.tables
where table_schema = database() and left(table_name, char_length(:prefix)) = :prefix""",
}

_SEES_OTHERS: Final = {
    "postgres": "select pg_has_role('pg_read_all_stats', 'usage')",
    "mysql": "select count(*) >= 0 from information_schema.innodb_trx",
}

_LONG_TRANSACTIONS: Final = {
    "postgres": """
select concat_ws(', ', 'process ' || pid, 'user ' || usename, nullif(application_name, ''), state),
       cast(extract(epoch from clock_timestamp() - xact_start) as double precision) as age,
       'select pg_terminate_backend(' || pid || ')'
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
      and xact_start < clock_timestamp() - make_interval(secs => cast(:seconds as double precision))
union all
select 'prepared transaction ' || quote_literal(gid) || ', user ' || owner,
       cast(extract(epoch from clock_timestamp() - prepared) as double precision),
       'rollback prepared ' || quote_literal(gid)
from pg_prepared_xacts
where database = current_database()
      and prepared < clock_timestamp() - make_interval(secs => cast(:seconds as double precision))
order by age desc""",
    "mysql": """
select concat_ws(', ', concat('process ', t.trx_mysql_thread_id), concat('user ', p.user), p.host, lower(p.command)),
       timestampdiff(microsecond, t.trx_started, convert_tz(utc_timestamp(6), '+00:00', 'SYSTEM')) / 1000000.0 as age,
       concat('kill ', t.trx_mysql_thread_id)
from information_schema.innodb_trx t left join information_schema.processlist p on p.id = t.trx_mysql_thread_id
where t.trx_mysql_thread_id not in (0, connection_id())
having age > :seconds
order by age desc""",
}

_DEAD_ROWS: Final = {
    "postgres": """
select schemaname || '.' || relname, n_live_tup, n_dead_tup from pg_stat_user_tables
where schemaname = '{schema}' and n_dead_tup > :least and n_dead_tup > 2 * n_live_tup order by relname""",
}

VACUUM_SETTINGS: Final = ("autovacuum", "track_counts")
"""Settings of PostgreSQL that have to be on for dead rows to be cleared."""

_VACUUM_OFF: Final = {
    "postgres": f"""
select name from pg_settings where name in {VACUUM_SETTINGS} and setting = 'off'
union all
select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = '{{schema}}' and exists (
    select 1 from pg_options_to_table(c.reloptions)
    where option_name = 'autovacuum_enabled' and not cast(option_value as boolean))
order by 1""",
}

_LOSABLE: Final = {
    "postgres": """
select name, setting from pg_settings
where name in ('fsync', 'full_page_writes', 'synchronous_commit') and setting = 'off' order by name""",
    "mysql": """
select 'innodb_flush_log_at_trx_commit', @@innodb_flush_log_at_trx_commit from dual
where @@innodb_flush_log_at_trx_commit <> 1""",
}

# (table, index, whether it is unique, its first column, whether the database leaves it out)
_INDEXES: Final = {
    "sqlite": """
select t.name, i.name, i."unique", (select c.name from pragma_index_info(i.name) c where c.seqno = 0), 0
from sqlite_master t join pragma_index_list(t.name) i where t.type = 'table'""",
    "postgres": """
select t.relname, c.relname, i.indisunique,
       (select attname from pg_attribute where attrelid = t.oid and attnum = i.indkey[0]), not i.indisvalid
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
     join pg_namespace n on n.oid = t.relnamespace
where n.nspname = '{schema}'""",
    "mysql": """
select table_name, index_name, non_unique = 0, column_name, {hidden}
from information_schema.statistics where table_schema = database() and seq_in_index = 1""",
}

_UNIQUE_ID: Final = "create unique index lateshift_jobs_id on lateshift_jobs (id)"

_CREATE_INDEX: Final = re.compile(r"create (?:unique )?index (lateshift_\w+) on (lateshift_\w+)")
_DROP_INDEX: Final = re.compile(r"drop index (?:if exists )?(lateshift_\w+)")


@dataclass(frozen=True, slots=True)
class LongTransaction:
    """A transaction of somebody else: who has it, for how many seconds, and the statement that ends it."""

    who: str
    seconds: float
    end: str


@dataclass(frozen=True, slots=True)
class DeadRows:
    """A table whose dead rows outweigh the live ones; both are the database's estimates."""

    table: str
    live: int
    dead: int


@dataclass(frozen=True, slots=True)
class FaultyIndex:
    """An index that should be there and serve; `unused` when it is there, and the SQL that repairs it."""

    name: str
    unused: bool
    repair: str


def product(db: Database) -> str:
    """The database's name and version."""
    return str(db.query(_PRODUCT[db.dialect.name])[0][0])


def size(db: Database) -> int:
    """The bytes that our tables and their indexes take, or the whole file; MySQL's answer may be a day old."""
    rows = db.query(_SIZE[db.dialect.name], {"prefix": db.dialect.tables})
    return int(rows[0][0] or 0)


def sees_others(db: Database) -> bool:
    """Whether this user may know of other users' transactions."""
    sql = _SEES_OTHERS.get(db.dialect.name)
    try:
        return sql is None or bool(db.query(sql)[0][0])
    except StorageUnavailable:  # MySQL refuses to tell
        return False


def long_transactions(db: Database, seconds: float) -> list[LongTransaction]:
    """Transactions of others that have been open for longer, the oldest first, as far as this user may know."""
    sql = _LONG_TRANSACTIONS.get(db.dialect.name)
    try:
        rows = db.query(sql, {"seconds": seconds}) if sql else []
    except StorageUnavailable:  # MySQL refuses to tell, see `sees_others`
        return []
    return [LongTransaction(str(who), float(age), str(end)) for who, age, end in rows]


def has_dead_rows(db: Database) -> bool:
    """Whether this kind of database leaves rows behind that have to be cleared, and tells how many."""
    return db.dialect.name in _DEAD_ROWS


def dead_rows(db: Database) -> list[DeadRows]:
    """Tables of ours with more than `DEAD_ROWS` dead rows, and twice as many as live ones."""
    sql = _DEAD_ROWS.get(db.dialect.name)
    return [DeadRows(*row) for row in db.query(sql, {"least": DEAD_ROWS})] if sql else []


def vacuum_off(db: Database) -> list[str]:
    """What keeps the database from clearing dead rows by itself: settings of the server, and tables of ours."""
    sql = _VACUUM_OFF.get(db.dialect.name)
    return [str(row[0]) for row in db.query(sql)] if sql else []


def losable(db: Database) -> list[tuple[str, str]]:
    """Settings of the server, each with its value, by which a commit may be lost when its machine goes down."""
    sql = _LOSABLE.get(db.dialect.name)
    return [(str(name), str(value)) for name, value in db.query(sql)] if sql else []


def faulty_indexes(db: Database) -> list[FaultyIndex]:
    """Indexes of the current schema that are missing, or that the database does not use."""
    rows = _indexes(db)
    found = {(table, name): bool(unused) for table, name, _, _, unused in rows}
    faults = []
    for (table, name), create in _expected().items():
        place = (_bare(db, table), db.dialect.render(name))
        if place not in found:
            faults.append(FaultyIndex(place[1], unused=False, repair=_create(db, create)))
        elif found[place]:
            faults.append(FaultyIndex(place[1], unused=True, repair=_revive(db, table, name)))
    jobs = _bare(db, "lateshift_jobs")
    if not any(table == jobs and unique and column == "id" for table, _, unique, column, _ in rows):
        faults.append(FaultyIndex(db.dialect.render("lateshift_jobs_id"), unused=False, repair=_create(db, _UNIQUE_ID)))
    return faults


def _indexes(db: Database) -> list[tuple[str, str, int, str, int]]:
    sql = _INDEXES[db.dialect.name]
    if db.dialect.name == "mysql":
        hidden = "ignored = 'YES'" if product(db).startswith("MariaDB") else "is_visible = 'NO'"
        sql = sql.replace("{hidden}", hidden)
    return [(row[0], row[1], row[2], row[3], row[4]) for row in db.query(sql)]


def _expected() -> dict[tuple[str, str], str]:
    """By (table, index) the statement that makes it, after all migrations."""
    expected: dict[tuple[str, str], str] = {}
    for sql in _schema_statements():
        if made := _CREATE_INDEX.match(sql):
            expected[made[2], made[1]] = sql
        elif gone := _DROP_INDEX.match(sql):
            expected = {place: create for place, create in expected.items() if place[1] != gone[1]}
    return expected


def _schema_statements() -> Iterator[str]:
    for migration in MIGRATIONS:
        for sql in migration.statements:
            yield sql.strip()


def _bare(db: Database, table: str) -> str:
    """A table's name as the catalogue has it, without the schema."""
    return db.dialect.render(table).rpartition(".")[2]


def _create(db: Database, create: str) -> str:
    sql = " ".join(db.dialect.render_schema(create).split())
    return sql.replace(" index ", " index concurrently ", 1) if db.dialect.name == "postgres" else sql


def _revive(db: Database, table: str, name: str) -> str:
    if db.dialect.name == "postgres":
        return db.render(f'reindex index concurrently "{{schema}}".{name}')
    visible = "not ignored" if product(db).startswith("MariaDB") else "visible"
    return db.render(f"alter table {table} alter index {name} {visible}")
