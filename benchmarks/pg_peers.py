"""The peers on PostgreSQL: PGQueuer and Procrastinate, each in a database of its own on the server that we use."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg
from peers import WORKERS
from place import HERE, Broken, started, wait_until
from servers import server

PYTHON = sys.executable


@dataclass(frozen=True)
class PostgresPeer:
    """A peer: how its tables are made, which of them its workers claim from, and how one sees what it has done.

    `module` is what fills its queue and times its enqueuing, `log` the table that gets `rows` rows for each job, from
    its enqueuing to its end. Commands are what comes after `python`; those of a worker get one of the `choices`.
    """

    name: str
    module: str
    install: tuple[str, ...]
    worker: tuple[str, ...]
    choices: tuple[str, ...]
    table: str
    log: str
    rows: int

    def drain(self, count: int, choice: str) -> float:
        """Jobs a second from the moment that two warm worker processes may begin until the last is done."""
        with _Queue(self) as queue:
            queue.call(f"fill({count})")
            with closing(psycopg.connect(queue.url, autocommit=True)) as looking, ExitStack() as workers:
                looking.execute("vacuum analyze")
                looking.execute("checkpoint")
                gate = workers.enter_context(closing(psycopg.connect(queue.url)))
                gate.execute(f"lock table {self.table} in access exclusive mode")
                command = [PYTHON, *self.worker, *choice.split()]
                for _ in range(WORKERS):
                    workers.enter_context(started(command, queue.environment, queue.folder))
                wait_until(lambda: _number(looking, self._held) >= WORKERS)
                gate.commit()
                began = time.perf_counter()
                wait_until(lambda: _number(looking, f"select max(id) from {self.log}") >= self.rows * count)
                return count / (time.perf_counter() - began)

    def enqueue_rate(self, count: int) -> float:
        """Jobs enqueued a second, one call after the other, in a fresh process with a connection that stays open."""
        with _Queue(self) as queue:
            return float(queue.call(f"enqueue_rate({count})"))

    def best(self, count: int, choices: int | None) -> str:
        """The choice that drains fastest here, of the first `choices`: they stand in the order that we found."""
        return max(self.choices[:choices], key=lambda choice: self.drain(count, choice))

    @property
    def _held(self) -> str:
        return f"select count(*) from pg_locks where relation = '{self.table}'::regclass and not granted"


class _Queue:
    """The database and the folder of one measurement."""

    def __init__(self, peer: PostgresPeer) -> None:
        self.peer = peer
        self.url = server("postgres").new_database()
        self._temporary = tempfile.TemporaryDirectory(prefix="lateshift-bench-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        own = {"PYTHONPATH": str(HERE), "PGQUEUER_DSN": self.url, "BENCH_URL": self.url}
        self.environment = {**os.environ, **own}

    def __enter__(self) -> Self:
        self.run(*self.peer.install)
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()
        server("postgres").drop_database(self.url)

    def call(self, call: str) -> str:
        """What this call of a function of the peer's module returns, as text."""
        return self.run("-c", f"import {self.peer.module}\nprint({self.peer.module}.{call})")

    def run(self, *arguments: str) -> str:
        """Run Python in the peer's environment, for its output."""
        done = subprocess.run(
            [PYTHON, *arguments], env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Broken(f"{self.peer.name}: {arguments} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout


PGQUEUER = PostgresPeer(
    name="PGQueuer 1.6",
    module="pgqueuer_jobs",
    install=("-m", "pgqueuer", "install"),
    worker=(str(HERE / "pgqueuer_jobs.py"),),
    choices=("1000 connection", "500 pool", "500 connection", "2000 connection", "1000 pool", "100 pool", "10 pool"),
    table="pgqueuer",
    log="pgqueuer_log",
    rows=3,
)

PROCRASTINATE = PostgresPeer(
    name="Procrastinate 3",
    module="procrastinate_jobs",
    install=("-m", "procrastinate", "-a", "procrastinate_jobs.app", "schema", "--apply"),
    worker=("-m", "procrastinate", "--log-level", "warning", "-a", "procrastinate_jobs.app", "worker"),
    choices=("-c 10", "-c 1", "-c 50"),
    table="procrastinate_jobs",
    log="procrastinate_events",
    rows=3,
)


def _number(connection: psycopg.Connection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0] or 0) if row else 0
