"""Who is alive: the workers' rows in the database, held against the locks on this host."""

from __future__ import annotations

import socket
from collections.abc import Collection, Sequence
from functools import cache
from typing import Final

from lateshift.errors import SpawnError
from lateshift.host import presence
from lateshift.host.spawn import start_runner
from lateshift.settings import Settings
from lateshift.storage import reads, workers
from lateshift.storage.sqlite import SqliteDatabase

HEARTBEAT: Final = 5.0
"""Seconds between two heartbeats of a worker."""

LEASE: Final = 3 * HEARTBEAT
"""Seconds without a heartbeat after which a worker counts as dead: three missed ones."""

SPAWN_PAUSE: Final = 2.0
"""Seconds during which nobody else starts a runner after one was started: Python's start on a slow machine."""


@cache
def host_name() -> str:
    """The name by which workers of this machine know each other."""
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


def ensure_runner(
    db: SqliteDatabase, settings: Settings, queues: Collection[str], known: Sequence[reads.WorkerRow] | None = None
) -> bool:
    """Start a runner if no living worker serves one of these queues; True if one was started.

    `known` are the workers as they were announced when the jobs were stored, if that has been read already. Raises
    SpawnError when it could not be started; the jobs are stored all the same.
    """
    if settings.spawn == "never":
        return False
    now = db.now()
    known = reads.workers(db) if known is None else known
    if all(any(serves(worker, queue) and is_alive(worker, now) for worker in known) for queue in queues):
        return False
    if not workers.take_turn_to_spawn(db, now, round(SPAWN_PAUSE * 1_000_000)):
        return False
    try:
        start_runner(settings)
    except SpawnError:
        workers.give_turn_back(db)
        raise
    return True
