"""The rows about those who run jobs: workers and their heartbeats, the one runner, and the counts they write."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from lateshift.storage import reads
from lateshift.storage.sqlite import SqliteDatabase

NO_QUEUE: Final = " (none any more)"
"""What the row of a worker that has stopped claiming says it serves: no queue can have a name that begins so."""


@dataclass(frozen=True, slots=True)
class NewWorker:
    """A worker as it registers itself. `folder` is where its presence lock lies on `host`."""

    id: str
    kind: Literal["worker", "runner"]
    host: str
    pid: int
    folder: str
    queues: tuple[str, ...]
    version: str


def register_worker(db: SqliteDatabase, worker: NewWorker, now: int) -> None:
    """Announce a worker; its first heartbeat is `now`."""
    with db.transaction():
        db.execute(
            "insert into lateshift_workers (id, kind, host, pid, folder, queues, version, started_at, heartbeat_at)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                worker.id,
                worker.kind,
                worker.host,
                worker.pid,
                worker.folder,
                msgspec.json.encode(worker.queues).decode(),
                worker.version,
                now,
                now,
            ),
        )


def heartbeat(db: SqliteDatabase, worker: str, now: int) -> bool:
    """Renew the worker's lease; False when others have declared it dead meanwhile."""
    with db.transaction():
        return bool(
            db.execute(
                "update lateshift_workers set heartbeat_at = :now where id = :worker", {"now": now, "worker": worker}
            )
        )


def remove_worker(db: SqliteDatabase, worker: str) -> bool:
    """Take a worker's row away; whether it was there."""
    with db.transaction():
        return bool(db.execute("delete from lateshift_workers where id = ?", (worker,)))


def remove_idle_runner(db: SqliteDatabase, worker: str, queues: Collection[str]) -> bool:
    """Take the runner's row away if nothing waits; an enqueue either came before, or finds no runner and starts one."""
    with db.transaction():
        if reads.anything_waiting(db, queues):
            return False
        return remove_worker(db, worker)


def stop_claiming(db: SqliteDatabase, worker: str) -> None:
    """Say that a worker, which lives on, takes no more jobs of any queue."""
    with db.transaction():
        db.execute(
            "update lateshift_workers set queues = :queues where id = :worker",
            {"queues": msgspec.json.encode([NO_QUEUE]).decode(), "worker": worker},
        )


def look(db: SqliteDatabase, queues: Collection[str]) -> list[reads.Lane]:
    """The lanes of these queues (of all, when empty), as they are after every transaction that has begun before."""
    with db.transaction():
        return [lane for lane in reads.lanes(db) if not queues or lane.queue in queues]


def add_statistics(db: SqliteDatabase, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add to the per-minute counts; each worker has rows of its own, so none is fought over."""
    with db.transaction():
        db.execute_many(
            "insert into lateshift_statistics values (:minute, :queue, :worker, :completed, :failed, :retried,"
            " :cancelled, :run_time, :wait_time) on conflict (minute, queue, worker) do update set"
            " completed = completed + excluded.completed, failed = failed + excluded.failed,"
            " retried = retried + excluded.retried, cancelled = cancelled + excluded.cancelled,"
            " run_time = run_time + excluded.run_time, wait_time = wait_time + excluded.wait_time",
            [{name: value for name, value in row.items() if name != "other"} for row in rows],
        )


def prune_statistics(db: SqliteDatabase, before_minute: int) -> None:
    """Forget the counts of minutes before this one."""
    with db.transaction():
        db.execute("delete from lateshift_statistics where minute < ?", (before_minute,))
