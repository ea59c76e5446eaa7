"""A folder with a Lateshift database of its own, and the processes that work on it."""

from __future__ import annotations

import os
import shlex
import signal
import sqlite3
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

from lateshift import Call, Lateshift
from lateshift.storage.migrations import migrate

HERE = Path(__file__).resolve().parent
PATIENCE = 300.0
"""Seconds after which whatever is waited for counts as broken."""

POLL = 0.004
"""Seconds between two looks at a database that others work on: each costs them some 30 µs of a core."""

_UNFINISHED = (
    "select exists (select 1 from lateshift_jobs where status in ('pending', 'pending_retry') and run_at <= ?)"
)
_RUNNING = "select exists (select 1 from lateshift_jobs where status = 'running')"
_COMPLETED = "select exists (select 1 from lateshift_jobs where status = 'completed' and finished_at > ?)"


class Broken(Exception):
    """What is measured does not work; says how."""


class Place:
    """A temporary folder that is a Lateshift installation; leave the `with` and it is gone."""

    def __init__(self, **settings: Any) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="lateshift-bench-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self.database = self.folder / "lateshift.db"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LATESHIFT_")},
            "PYTHONPATH": str(HERE),
            "LATESHIFT_DATABASE_URL": f"sqlite:///{self.database}",
            "LATESHIFT_STORAGE_DIR": str(self.folder),
            "LATESHIFT_ALLOWED": "jobs",
        }
        self.app = Lateshift(
            database_url=f"sqlite:///{self.database}",
            storage_dir=self.folder,
            allowed=("jobs",),
            **{"spawn": "never", **settings},
        )
        self._watching: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.app.close()
        if self._watching is not None:
            self._watching.close()
        self._temporary.cleanup()

    def fill(self, count: int) -> None:
        """Enqueue that many no-op jobs."""
        self.app.enqueue_many(Call(jobs.noop, parameters={"n": n}) for n in range(count))

    @contextmanager
    def workers(self, processes: int) -> Iterator[subprocess.Popen[bytes]]:
        """`lateshift work` with that many worker processes, all registered; stopped in good order at the end."""
        migrate(self.app.database)
        command = [sys.executable, "-m", "lateshift", "work", "--processes", str(processes)]
        with started(command, self.environment, self.folder) as supervisor:
            wait_until(lambda: self.ask("select count(*) from lateshift_workers") == processes, supervisor)
            yield supervisor

    def worker_pids(self) -> list[int]:
        """The process ids of the registered workers."""
        return [pid for (pid,) in self._watch().execute("select pid from lateshift_workers")]

    def ask(self, sql: str, *parameters: Any) -> Any:
        """The first column of the first row."""
        row = self._watch().execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    def drain(self, count: int) -> float:
        """Let warm worker processes loose on `count` jobs that are due; jobs a second from first claim to last commit.

        The queue is paused until both processes are up, so that the start of Python is not part of the figure.
        """
        self.app.pause_queue("default")
        with self.workers(2) as supervisor:
            time.sleep(0.3)
            before = self.app.database.now()
            self.app.resume_queue("default")
            wait_until(lambda: self.ask(_RUNNING) or self.ask(_COMPLETED, before), supervisor)
            began = time.perf_counter()
            wait_until(lambda: not self.ask(_UNFINISHED, before) and not self.ask(_RUNNING), supervisor)
            rate = count / (time.perf_counter() - began)
        completed = self.ask(
            "select count(*) from lateshift_jobs where status = 'completed' and finished_at > ?", before
        )
        if completed != count:
            raise Broken(f"{completed} jobs completed where {count} were enqueued")
        return rate

    def _watch(self) -> sqlite3.Connection:
        if self._watching is None:
            self._watching = sqlite3.connect(self.database, isolation_level=None, timeout=10)
        return self._watching


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


def wait_until(condition: Callable[[], Any], process: subprocess.Popen[bytes] | None = None) -> None:
    """Look every few milliseconds; fails when `process` ends before, or when it takes minutes."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if process is not None and process.poll() is not None:
            raise Broken(f"it ended with {process.returncode} before its work was done")
        if time.monotonic() > deadline:
            raise Broken(f"nothing happened for {PATIENCE:g} s")
        time.sleep(POLL)
