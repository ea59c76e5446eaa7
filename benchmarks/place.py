"""A Lateshift installation with a folder and a database of its own, and the processes that work on it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jobs
from servers import server

from lateshift import Call, Lateshift
from lateshift.storage import open_database
from lateshift.storage.migrations import migrate

HERE = Path(__file__).resolve().parent
ALLOWED = ("jobs", "crowd_jobs", "soak_jobs")
PATIENCE = 300.0
"""Seconds after which whatever is waited for counts as broken."""

POLL = {"sqlite": 0.004, "postgres": 0.01, "mariadb": 0.01}
"""Seconds between two looks at the end of what others do to a database: each costs them 100 to 300 µs of a core. While
most is still to be done it looks a fifth as often; every 4 ms took 1.5 % of both cores from a drain on SQLite."""

# In the order of the claims, so that PostgreSQL reads their index: the table, where what is left comes last, took 3 ms.
_UNFINISHED = """
select (select seq from lateshift_jobs where {waiting} and queue = 'default' and executor = 'thread'
        and priority = 1 and run_at <= :now order by run_at, seq limit 1) is not null"""
_RUNNING = "select exists (select 1 from lateshift_jobs where status = 'running')"
_COMPLETED = "select exists (select 1 from lateshift_jobs where status = 'completed' and finished_at > :since)"

_REST = {
    "sqlite": ("pragma wal_checkpoint(truncate)",),
    "postgres": ("vacuum analyze", "checkpoint"),
    "mariadb": ("analyze table lateshift_jobs",),
}


class Broken(Exception):
    """What is measured does not work; says how."""


class Place:
    """A temporary folder that is a Lateshift installation; leave the `with` and it is gone.

    `where` says where its jobs are: in an SQLite file of the folder ("sqlite"), in a new database on our server of that
    kind ("postgres", "mariadb"), or in the database of a URL, which then stays.
    """

    def __init__(self, where: str = "sqlite", **settings: Any) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="lateshift-bench-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self.own = "://" not in where
        self.kind = where if self.own else _KINDS[where.partition("://")[0]]
        self.url = where
        if self.own:
            on_server = self.kind != "sqlite"
            self.url = server(where).new_database() if on_server else f"sqlite:///{self.folder / 'lateshift.db'}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LATESHIFT_")},
            "PYTHONPATH": str(HERE),
            "LATESHIFT_DATABASE_URL": self.url,
            "LATESHIFT_STORAGE_DIR": str(self.folder),
            "LATESHIFT_ALLOWED": ",".join(ALLOWED),
        }
        self.app = Lateshift(
            database_url=self.url,
            storage_dir=self.folder,
            allowed=ALLOWED,
            **{"spawn": "never", **settings},
        )
        self.look = open_database(self.app.settings, timeout=PATIENCE, as_is=True)
        if self.kind != "sqlite":
            migrate(self.look)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.app.close()
        self.look.close()
        if self.own and self.kind != "sqlite":
            server(self.kind).drop_database(self.url)
        self._temporary.cleanup()

    def fill(self, count: int) -> None:
        """Enqueue that many no-op jobs."""
        self.app.enqueue_many(Call(jobs.noop, parameters={"n": n}) for n in range(count))

    def rest(self) -> None:
        """Let what filling has left to do be done now, and not while something is measured."""
        for statement in _REST[self.kind]:
            self.look.execute(statement)

    @contextmanager
    def workers(self, processes: int) -> Iterator[subprocess.Popen[bytes]]:
        """`lateshift work` with that many worker processes, all registered; stopped in good order at the end."""
        migrate(self.look)
        command = [sys.executable, "-m", "lateshift", "work", "--processes", str(processes)]
        with started(command, self.environment, self.folder) as supervisor:
            wait_until(lambda: self.ask("select count(*) from lateshift_workers") == processes, supervisor)
            yield supervisor

    def worker_pids(self) -> list[int]:
        """The process ids of the registered workers."""
        return [pid for (pid,) in self.look.query("select pid from lateshift_workers")]

    def ask(self, sql: str, **parameters: Any) -> Any:
        """The first column of the first row."""
        rows = self.look.query(sql, parameters)
        return rows[0][0] if rows else None

    def drain(self, count: int, workers: int = 2) -> float:
        """Let warm worker processes loose on `count` jobs that are due; jobs a second from first claim to last commit.

        The queue is paused until all processes are up, so that the start of Python is not part of the figure.
        """
        self.app.pause_queue("default")
        with self.workers(workers) as supervisor:
            time.sleep(0.3)
            before, pause = self.look.now(), POLL[self.kind]
            self.app.resume_queue("default")
            wait_until(lambda: self.ask(_RUNNING) or self.ask(_COMPLETED, since=before), supervisor, pause)
            began = time.perf_counter()
            wait_until(lambda: not self.ask(_UNFINISHED, now=before), supervisor, 5 * pause)
            wait_until(lambda: not self.ask(_RUNNING), supervisor, pause)
            rate = count / (time.perf_counter() - began)
        completed = self.ask(
            "select count(*) from lateshift_jobs where status = 'completed' and finished_at > :since", since=before
        )
        if completed != count:
            raise Broken(f"{completed} jobs completed where {count} were enqueued")
        return rate


_KINDS = {"sqlite": "sqlite", "postgresql": "postgres", "mysql": "mariadb"}


@contextmanager
def started(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its output in a file of `folder`; it gets SIGTERM at the end, and is waited for.

    Where it has failed, so does the benchmark, and shows the output.
    """
    with (folder / "output.txt").open("ab") as output:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
    try:
        yield process
        if process.poll() is not None:
            raise Broken(f"it ended with {process.returncode}")
    except Broken as broken:
        output_ = (folder / "output.txt").read_text(errors="replace")[-4000:]
        raise SystemExit(f"{shlex.join(command)}: {broken}\n{output_}") from broken
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(
    condition: Callable[[], Any], process: subprocess.Popen[bytes] | None = None, pause: float = 0.004
) -> None:
    """Look every `pause` seconds; fails when `process` ends before, or when it takes minutes."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if process is not None and process.poll() is not None:
            raise Broken(f"it ended with {process.returncode} before its work was done")
        if time.monotonic() > deadline:
            raise Broken(f"nothing happened for {PATIENCE:g} s")
        time.sleep(pause)
