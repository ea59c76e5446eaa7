"""Who is alive and claims jobs: the workers' rows in the database, held against the locks on this host.

Whoever has stored a job and then finds somebody who will run it may go. That is safe, because everybody who is found so
looks at what waits once more after nobody can find it any longer:

- A worker that stops claiming says so, in its row (`workers.stop_claiming`) and by its lock (`presence.claims`). A
  runner and a `--burst` worker that leave look after that, and are replaced if a job waits. So does one whose
  supervisor was killed, which starts a runner. All others are replaced anyhow, unless somebody told their supervisor
  to stop: what was stored before that waits, like all that a stop leaves.
- The turn to start a runner (`turn`) lasts until the new runner's worker is about to write its row, which is before its
  first look; or until the new process has found another one in its place, and looks at that again.
- The one that holds the lock of the runner (`runner-….only`) looks when it has let go of it, and if a job waits it
  begins anew, or has another one started where its own last jobs still run. For it lets go before these end: at once
  when it is told to stop, within half a second when its worker takes no more jobs. After `lateshift workers stop` it
  begins anew, or has one started, only if another one came since and found the lock held (`runner-….wanted`).

A job inserted through a caller's open transaction (`connection=`) cannot be seen in such a look. But SQLite has one
writer: each look is a write transaction, so it comes after the caller's commit (`workers.look`). A server has many:
there a runner waits out its idle time, and a transaction that stays open for longer needs `lateshift work`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable
from functools import cache
from typing import Final

from lateshift.clock import steady
from lateshift.errors import SpawnError
from lateshift.host import permits, presence
from lateshift.host.spawn import start_runner
from lateshift.host.turn import end_turn, take_turn
from lateshift.settings import Settings
from lateshift.storage import reads
from lateshift.storage.database import Database, undivided

HEARTBEAT: Final = 5.0
"""Seconds between two heartbeats of a worker."""

ANSWER: Final = 5.0
"""Seconds to wait for a worker that is asked to take no more jobs. It looks every second for what is asked."""

LEASE: Final = 3 * HEARTBEAT
"""Seconds without a heartbeat after which a worker counts as dead: three missed ones."""


@cache
def host_name() -> str:
    """The name by which workers of this machine know each other."""
    with undivided():
        import socket  # 3 ms, for a program that finds no worker

    return socket.gethostname() or "localhost"


def is_here(worker: reads.WorkerRow) -> bool:
    """Whether a worker is of this host, so that its lock tells of it, if its file is where the worker says.

    All that share an SQLite file are on one machine, perhaps in containers with host names and processes of their own:
    `flock` goes by the file, across them all. (On a network file system they may not be, but there SQLite's own locks
    fail as well.) So the next container need not wait for the heartbeats of the one before.
    """
    return worker.local or worker.host == host_name()


def is_alive(worker: reads.WorkerRow, now: int) -> bool:
    """Whether a worker lives: its heartbeat is fresh and, if it is of this host, it still holds its lock.

    The lock tells of a `kill -9` at once; the heartbeat tells of a process that hangs, and of other hosts. One from the
    future was written before the database's clock was set back; the living write another one soon.
    """
    if abs(now - worker.heartbeat_at) > LEASE * 1_000_000:
        return False
    return not is_here(worker) or presence.is_alive(worker.folder, worker.id) is not False


def living(workers: Iterable[reads.WorkerRow], now: int) -> list[reads.WorkerRow]:
    """Those of them that are alive."""
    return [worker for worker in workers if is_alive(worker, now)]


def serves(worker: reads.WorkerRow, queue: str) -> bool:
    """Whether a worker takes jobs of this queue."""
    return not worker.queues or queue in worker.queues


def left_to_runners(serving: Collection[reads.WorkerRow], settings: Settings) -> bool:
    """Whether runners alone take what these workers serve; when there is none of them, because one starts then."""
    return all(worker.kind == "runner" for worker in serving) and (bool(serving) or settings.spawn != "never")


class Neighbours:
    """The workers of this host as read a moment ago: whether they still claim is told by their locks, without a query.

    The query took a fifth of a single enqueuing.
    """

    TRUST: Final = 1.0
    """Seconds until the rows are read again, for the heartbeats in them and for those who came."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._rows: list[reads.WorkerRow] = []
        self._read_at = -math.inf
        self._granted_at = -math.inf

    def serve(self, queues: Collection[str]) -> bool:
        """Whether each of these queues is served by a living worker of this host."""
        self._look()
        return all(
            any(serves(row, queue) and presence.claims(row.folder, row.id) for row in self._rows) for queue in queues
        )

    def see_to(self, settings: Settings, queues: Collection[str], job_ids: Collection[str] = ()) -> None:
        """Start a runner if nobody serves one of these queues. A SpawnError has the ids of the jobs that wait."""
        if settings.spawn == "never" or self.serve(queues):
            return
        try:
            ensure_runner(self._db, settings, queues)
        except SpawnError as error:
            error.job_ids = tuple(job_ids)
            raise

    def grant(self, settings: Settings) -> None:
        """Let the runner run what these settings permit, before a job is stored; looked at once a second."""
        if settings.spawn != "never" and steady() - self._granted_at > self.TRUST:
            permits.grant(settings, settings.allowed)
            self._granted_at = steady()

    def _look(self) -> None:
        if steady() - self._read_at > self.TRUST:
            self._read_at, now = steady(), self._db.now()
            self._rows = [row for row in living(reads.workers(self._db), now) if is_here(row)]


def await_no_claims(db: Database, asked: Collection[str], seconds: float) -> list[str]:
    """Wait until these workers take no more jobs: by then who stores one finds none of them.

    Gives those that have not got there in time.
    """
    from lateshift.storage.workers import claims_jobs

    deadline = steady() + seconds
    while True:
        rows = [row for row in living(reads.workers(db), db.now()) if row.id in asked]
        left = [row.id for row in rows if claims_jobs(row.queues) or presence.claims(row.folder, row.id)]
        if not left or steady() > deadline:
            return left
        time.sleep(0.02)


def ensure_runner(db: Database, settings: Settings, queues: Collection[str]) -> bool:
    """Start a runner if no living worker serves one of these queues; True if one was started.

    Raises SpawnError when it could not be started; the jobs are stored all the same.
    """
    if settings.spawn == "never":
        return False
    alive = living(reads.workers(db), db.now())
    if all(any(serves(worker, queue) for worker in alive) for queue in queues):
        return False
    permits.grant(settings, settings.allowed)  # if another program starts it, or the one before has just ended
    turn = presence.runner_file(settings, "turn")
    try:
        if not take_turn(turn):
            return False
    except OSError as error:
        trouble = presence.no_place_for_locks(turn.parent, error)
        raise SpawnError(f"No runner could be started. {trouble}") from error
    try:
        start_runner(settings)
    except SpawnError:
        end_turn(turn)
        raise
    return True
