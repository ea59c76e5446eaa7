"""The peers: Huey on SQLite and on Redis."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import redis
from place import HERE, started, wait_until

WORKERS = 2

HUEY = {"sqlite": "Huey 3, SQLite", "sqlite-unsafe": "Huey 3, SQLite, no fsync", "redis": "Huey 3, Redis"}
"""Its stores, as they are called in the tables; without fsync it loses jobs when the machine goes down."""


@contextmanager
def redis_server() -> Iterator[int | None]:
    """A Redis server of our own on a free loopback port, as its Debian package runs it; None where there is none."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="lateshift-bench-", ignore_cleanup_errors=True) as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        with started(command, dict(os.environ), Path(folder)) as server, redis.Redis(port=port) as client:
            wait_until(lambda: _answers(client), server)
            yield port


class HueyPlace:
    """A Huey queue in a folder of its own or a Redis server; `kind` is one of HUEY."""

    def __init__(self, kind: str, port: int | None = None) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="lateshift-bench-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self.kind = kind
        self.where = str(port) if kind == "redis" else str(self.folder / "huey.db")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()

    def environment(self, kind: str | None = None) -> dict[str, str]:
        """What a process needs in order to be of this queue."""
        return {**os.environ, "PYTHONPATH": str(HERE), "BENCH_HUEY": f"{kind or self.kind} {self.where}"}

    def fill(self, count: int) -> None:
        """Enqueue that many no-op jobs, without waiting for the disk: this is not what is measured."""
        kind = "sqlite-unsafe" if self.kind == "sqlite" else self.kind
        code = f"import huey_jobs\nfor n in range({count}): huey_jobs.noop(n)"
        subprocess.run([sys.executable, "-c", code], env=self.environment(kind), cwd=self.folder, check=True)

    def drain(self, count: int) -> float:
        """Jobs a second from the first that leaves the queue to the last, with two worker processes."""
        command = [sys.executable, "-m", "huey.bin.huey_consumer", "huey_jobs.huey"]
        options = ["-k", "process", "-w", str(WORKERS), "-q"]
        with self._looking() as left, started([*command, *options], self.environment(), self.folder) as consumer:
            wait_until(lambda: left() < count, consumer)
            began, seen = time.perf_counter(), left()
            wait_until(lambda: left() == 0, consumer)
            return seen / (time.perf_counter() - began)

    def enqueue_rate(self, count: int) -> float:
        """Jobs enqueued a second, one call after the other, in a fresh process."""
        code = f"import rates, huey_jobs\nprint(rates.rate(rates.one_by_one(huey_jobs.noop), {count}))"
        out = subprocess.run(
            [sys.executable, "-c", code], env=self.environment(), cwd=self.folder, check=True, capture_output=True
        )
        return float(out.stdout)

    @contextmanager
    def _looking(self) -> Iterator[Callable[[], int]]:
        """How many jobs are left, asked in constant time."""
        if self.kind == "redis":
            with redis.Redis(port=int(self.where)) as client:
                yield lambda: int(_number(client.llen("huey.redis.bench")))
            return
        import sqlite3

        connection = sqlite3.connect(self.where, isolation_level=None, timeout=10)
        try:
            yield lambda: _number(connection.execute("select max(id) - min(id) + 1 from task").fetchone()[0])
        finally:
            connection.close()


def _number(value: Any) -> int:
    return int(value or 0)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
