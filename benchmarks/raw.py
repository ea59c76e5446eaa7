"""How fast a database itself is at this: claim and complete rows of our table in batches, with no job in between.

`python raw.py URL` is one process of it: says "ready", waits for a line, and goes on until nothing is left.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from place import Broken, Place, wait_until

BATCH = 400

Turn = Callable[[list[Any]], list[Any]]
"""Completes the rows that it claimed the last time and claims some more, in one transaction."""

_LINE = """
from {table} where {waits} and queue = 'default' and executor = 'thread' and priority = 1 and run_at <= {now}
order by run_at, seq limit 400"""
_TAKE = """
update {table}
set status = 'running', lease = lease + 1, attempts = attempts + 1, worker = 'raw', started_at = {now}"""
_COMPLETE = "status = 'completed', result = 'null', finished_at = {now}"

PENDING = "status in ('pending', 'pending_retry')"


def drain(place: Place, count: int) -> float:
    """Rows a second with two processes on a filled database."""
    with _process(place.url) as first, _process(place.url) as second:
        for process in (first, second):
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        began = time.perf_counter()
        wait_until(lambda: first.poll() is not None and second.poll() is not None)
        rate = count / (time.perf_counter() - began)
    completed = place.ask("select count(*) from lateshift_jobs where status = 'completed'")
    if completed != count:
        raise Broken(f"{completed} rows completed where {count} were there")
    return rate


def on_sqlite(url: str) -> Turn:
    """SQLite, as durable as ours."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=10)
    for pragma in ("synchronous = full", "temp_store = memory"):
        connection.execute(f"pragma {pragma}")
    words = {"table": "lateshift_jobs", "waits": PENDING, "now": ":now"}
    many = 50  # rows that one statement completes, which is its fastest way
    values = ", ".join(["(?, ?)"] * many)
    complete = f"update lateshift_jobs set {_COMPLETE}".format(now="?")
    complete_one = f"{complete} where id = ? and lease = ? and status = 'running'"
    complete_many = f"{complete} from (values {values}) where id = column1 and lease = column2 and status = 'running'"
    claim = f"{_TAKE} where seq in (select seq {_LINE}) returning id, lease".format(**words)

    def turn(rows: list[Any]) -> list[Any]:
        now = _now()
        connection.execute("begin immediate")
        rest = len(rows) % many
        connection.executemany(complete_one, [(now, *row) for row in rows[:rest]])
        for start in range(rest, len(rows), many):
            connection.execute(complete_many, (now, *chain.from_iterable(rows[start : start + many])))
        claimed = connection.execute(claim, {"now": now}).fetchall()
        connection.execute("commit")
        return claimed

    return turn


def on_postgres(url: str) -> Turn:
    """PostgreSQL through psycopg."""
    import psycopg

    connection = psycopg.connect(url, autocommit=True, prepare_threshold=1)
    words = {"table": "lateshift.jobs", "waits": PENDING, "now": "%(now)s"}
    claim = f"{_TAKE} where ctid = any (array(select ctid {_LINE} for update skip locked)) returning id, lease"
    complete = f"""
        update {{table}} j set {_COMPLETE} from unnest(%(ids)s::text[], %(leases)s::int[]) done(id, lease)
        where j.id = done.id and j.lease = done.lease and j.status || '' = 'running'"""
    # `status || ''`: else the planner reads the index of the running rows instead of that of ids
    claim, complete = claim.format(**words), complete.format(**words)

    def turn(rows: list[Any]) -> list[Any]:
        now = _now()
        with connection.transaction():
            if rows:
                ids, leases = map(list, zip(*sorted(rows), strict=True))
                connection.execute(complete, {"now": now, "ids": ids, "leases": leases})
            return connection.execute(claim, {"now": now}).fetchall()

    return turn


def on_mariadb(url: str) -> Turn:
    """MariaDB through PyMySQL; rows are named by their primary key alone, which is its fastest way."""
    from lateshift.storage.mysql import MysqlDatabase

    link: Any = MysqlDatabase(url, as_is=True).connect(10)
    cursor = link.connection.cursor()
    words = {"table": "lateshift_jobs", "waits": "waits = 1", "now": "%(now)s"}
    choose = f"select seq {_LINE} for update skip locked".format(**words)
    take = f"{_TAKE} where seq in %(rows)s".format(**words)
    complete = f"update lateshift_jobs set {_COMPLETE} where seq in %(rows)s and status = 'running'"
    complete = complete.format(**words)

    def turn(rows: list[Any]) -> list[Any]:
        now = _now()
        cursor.execute("start transaction")
        if rows:
            cursor.execute(complete, {"now": now, "rows": rows})
        cursor.execute(choose, {"now": now})
        if claimed := [seq for (seq,) in cursor.fetchall()]:
            cursor.execute(take, {"now": now, "rows": claimed})
        cursor.execute("commit")
        return claimed

    return turn


ON = {"sqlite": on_sqlite, "postgresql": on_postgres, "mysql": on_mariadb}


def work(url: str) -> None:
    """Claim and complete until nothing is left."""
    turn = ON[url.partition("://")[0]](url)
    print("ready", flush=True)
    sys.stdin.readline()
    rows: list[Any] = []
    while rows := turn(rows):
        pass


def _now() -> int:
    return time.time_ns() // 1000


@contextmanager
def _process(url: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, __file__, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


if __name__ == "__main__":
    work(sys.argv[1])
