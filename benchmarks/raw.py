"""How fast SQLite itself is at this: claim and complete rows of our table in batches, with no job in between.

`python raw.py DATABASE` is one process of it: says "ready", waits for a line, and goes on until nothing is left.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from place import Broken, Place, wait_until

BATCH = 400

_CLAIM = """
update lateshift_jobs
set status = 'running', lease = lease + 1, attempts = attempts + 1, worker = :worker, started_at = :now
where seq in (select seq from lateshift_jobs
              where status in ('pending', 'pending_retry') and queue = 'default' and executor = 'thread'
                and priority = 1 and run_at <= :now
              order by run_at, seq limit :limit)
returning id, lease"""

_COMPLETE = """
update lateshift_jobs set status = 'completed', result = 'null', finished_at = ?
where id = ? and lease = ? and status = 'running'"""


def drain(place: Place, count: int) -> float:
    """Rows a second with two processes on a filled database."""
    with _process(place.database) as first, _process(place.database) as second:
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


def work(database: str) -> None:
    """Claim and complete until nothing is left."""
    connection = sqlite3.connect(database, isolation_level=None, timeout=10)
    for pragma in ("synchronous = full", "temp_store = memory", "wal_autocheckpoint = 4000"):
        connection.execute(f"pragma {pragma}")
    print("ready", flush=True)
    sys.stdin.readline()
    rows: list[tuple[str, int]] = []
    while True:
        now = time.time_ns() // 1000
        connection.execute("begin immediate")
        connection.executemany(_COMPLETE, [(now, *row) for row in rows])
        rows = connection.execute(_CLAIM, {"worker": "raw", "now": now, "limit": BATCH}).fetchall()
        connection.execute("commit")
        if not rows:
            return


@contextmanager
def _process(database: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, __file__, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


if __name__ == "__main__":
    work(sys.argv[1])
