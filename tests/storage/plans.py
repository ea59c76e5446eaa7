"""How a database finds the rows of the statements that an operation runs, and how many it touches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lateshift.storage import health
from lateshift.storage.database import NONE


@dataclass(frozen=True)
class Plan:
    """What a database would do: whether it would read all jobs, and whether it would sort. `text` is its own."""

    sql: str
    reads_all: bool
    sorts: bool
    text: str


class Undone(Exception):
    """Ends a transaction without a trace."""


@contextmanager
def undone(db) -> Iterator[None]:
    """A transaction that is rolled back."""
    try:
        with db.transaction():
            yield
            raise Undone
    except Undone:
        return


def plans(db, act: Callable[[], object], *, generic: bool = False) -> list[Plan]:
    """The plans of the statements that `act` runs, each asked for just before it runs; nothing is changed.

    `generic` asks PostgreSQL for the plan that a prepared statement may have for any parameters.
    """
    explain, found = EXPLAIN[db.dialect.name], []

    def watched(name: str) -> Callable[..., Any]:
        run = getattr(type(db), name)

        def method(sql: str, parameters: Any = NONE) -> Any:
            values = parameters[0] if name == "execute_many" and parameters else parameters
            if not (name == "execute_many" and not parameters):
                found.append(explain(db, sql, values, generic))
            return run(db, sql, parameters)

        return method

    with undone(db):
        for name in ("query", "execute", "execute_many"):
            setattr(db, name, watched(name))
        try:
            act()
        finally:
            for name in ("query", "execute", "execute_many"):
                delattr(db, name)
    return found


def examined(db, act: Callable[[], object]) -> int:
    """How many rows or index entries `act` makes the database look at, by its own count; nothing is changed."""
    with undone(db):
        return COUNT[db.dialect.name](db, act)


def sqlite_plan(db, sql: str, values: Any, _: bool) -> Plan:
    lines = [row[3] for row in type(db).query(db, f"explain query plan {sql}", values)]
    reads_all = "SCAN lateshift_jobs" in lines and "order by {age} desc limit" not in sql  # its own order, to an end
    return Plan(sql, reads_all, any("TEMP B-TREE" in line for line in lines), "\n".join(lines))


def postgres_plan(db, sql: str, values: Any, generic: bool) -> Plan:
    query = type(db).query
    if generic:
        names: list[str] = []
        rendered = re.sub(r"%\((\w+)\)s", lambda found: numbered(names, found[1], values), db.render(sql))
        connection = db._held.link.connection  # which would prepare it at the third time, parameters and all
        [(answer,)] = connection.execute(f"explain (generic_plan, format json) {rendered}", prepare=False).fetchall()
    else:
        [(answer,)] = query(db, f"explain (format json) {sql}", values)
    nodes = list(walk(answer, "Node Type"))
    reads_all = any(node["Node Type"] == "Seq Scan" and node["Relation Name"] == "jobs" for node in nodes)
    sorts = any(node["Node Type"] in ("Sort", "Incremental Sort") for node in nodes)
    return Plan(sql, reads_all, sorts, json.dumps(answer, indent=1))


def numbered(names: list[str], name: str, values: Any) -> str:
    """A parameter as PostgreSQL itself has them, with the type that psycopg would give it."""
    if name not in names:
        names.append(name)
    number = f"${names.index(name) + 1}"
    return f"cast({number} as bigint)" if isinstance(values[name], int) else number


def mysql_plan(db, sql: str, values: Any, _: bool) -> Plan:
    # MariaDB does not escape the quotes in what it quotes from the statement.
    [(answer,)] = type(db).query(db, f"explain format=json {sql}", values)
    answer = re.sub(r'(?m)^( *"\w+": )"(.*)"(,?)$', lambda line: f"{line[1]}{json.dumps(line[2])}{line[3]}", answer)
    told = json.loads(answer)
    tables = [table for table in walk(told, "access_type") if "materialized_from_subquery" not in table]
    reads_all = any(
        table["access_type"] == "ALL" and table["table_name"] in ("lateshift_jobs", "j") for table in tables
    )
    sorts = any(walk(told, "filesort")) or any(node["using_filesort"] for node in walk(told, "using_filesort"))
    return Plan(sql, reads_all, sorts, answer)


def walk(node: Any, key: str) -> Iterator[dict[str, Any]]:
    """The objects inside that have this key."""
    if isinstance(node, dict):
        if key in node:
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from walk(child, key)


def sqlite_count(db, act: Callable[[], object]) -> int:
    """SQLite counts steps of its virtual machine; a row takes some ten."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    db._connection.set_progress_handler(count, 10)
    try:
        act()
    finally:
        db._connection.set_progress_handler(None, 0)
    return steps


def postgres_count(db, act: Callable[[], object]) -> int:
    sql = "select coalesce(sum(seq_tup_read), 0) + coalesce(sum(idx_tup_fetch), 0) from pg_stat_xact_user_tables"
    before = db.query(f"{sql} where schemaname = 'lateshift'")[0][0]
    act()
    return int(db.query(f"{sql} where schemaname = 'lateshift'")[0][0] - before)


def mysql_count(db, act: Callable[[], object]) -> int:
    """MySQL's handlers also count the rows of json_table, and of tables that it makes for a statement."""
    sql = "show session status like 'Handler_read%'"
    if "MySQL" in health.product(db):
        sql = "select object_name, count_fetch from performance_schema.table_io_waits_summary_by_table"
        sql += " where object_schema = database()"
    before = sum(int(value) for _, value in db.query(sql))
    act()
    return sum(int(value) for _, value in db.query(sql)) - before


EXPLAIN = {"sqlite": sqlite_plan, "postgres": postgres_plan, "mysql": mysql_plan}
COUNT = {"sqlite": sqlite_count, "postgres": postgres_count, "mysql": mysql_count}
