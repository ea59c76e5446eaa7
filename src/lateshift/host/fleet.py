"""Who is alive: the workers' rows in the database, held against the locks on this host."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from functools import cache
from typing import Final

from lateshift.errors import SpawnError
from lateshift.host import presence
from lateshift.host.spawn import start_runner
from lateshift.settings import Settings
from lateshift.storage import reads, workers
from lateshift.storage.database import Database

HEARTBEAT: Final = 5.0
"""Seconds between two heartbeats of a worker."""

LEASE: Final = 3 * HEARTBEAT
"""Seconds without a heartbeat after which a worker counts as dead: three missed ones."""

SPAWN_PAUSE: Final = 2.0
"""Seconds during which nobody else starts a runner after one was started: Python's start on a slow machine."""


@cache
def host_name() -> str:
    """The name by which workers of this machine know each other."""
    import socket  # 3 ms, for a program that finds no worker

    return socket.gethostname() or "localhost"


def is_alive(worker: reads.WorkerRow, now: int) -> bool:
    """Whether a worker lives: its heartbeat is fresh and, if it is of this host, it still holds its lock.

    The lock tells of a `kill -9` at once; the heartbeat tells of a process that hangs, and of other hosts.
    """
    if now - worker.heartbeat_at > LEASE * 1_000_000:
        return False
    return worker.host != host_name() or presence.is_alive(worker.folder, worker.id) is not False


def serves(worker: reads.WorkerRow, queue: str) -> bool:
    """Whether a worker takes jobs of this queue."""
    return not worker.queues or queue in worker.queues


class Neighbours:
    """The workers of this host as read a moment ago: whether they still live is told by their locks, without a query.

    That suffices, because a runner which leaves gives up its lock and then looks once more for waiting jobs: whoever
    has stored a job and finds the lock held after that is seen. The query took a fifth of a single enqueuing.
    """

    TRUST: Final = 1.0
    """Seconds until the rows are read again, for the heartbeats in them and for those who came."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._rows: list[reads.WorkerRow] = []
        self._read_at = -math.inf

    def serve(self, queues: Collection[str]) -> bool:
        """Whether each of these queues is served by a living worker of this host."""
        if time.monotonic() - self._read_at > self.TRUST:
            now = self._db.now()
            self._rows = [row for row in reads.workers(self._db) if row.host == host_name() and is_alive(row, now)]
            self._read_at = time.monotonic()
        return all(
            any(serves(row, queue) and presence.is_alive(row.folder, row.id) for row in self._rows) for queue in queues
        )


def ensure_runner(db: Database, settings: Settings, queues: Collection[str]) -> bool:
    """Start a runner if no living worker serves one of these queues; True if one was started.

    Raises SpawnError when it could not be started; the jobs are stored all the same.
    """
    if settings.spawn == "never":
        return False
    now = db.now()
    alive = [worker for worker in reads.workers(db) if is_alive(worker, now)]
    if all(any(serves(worker, queue) for worker in alive) for queue in queues):
        return False
    if not workers.take_turn_to_spawn(db, now, round(SPAWN_PAUSE * 1_000_000)):
        return False
    try:
        start_runner(settings)
    except SpawnError:
        workers.give_turn_back(db)
        raise
    return True
