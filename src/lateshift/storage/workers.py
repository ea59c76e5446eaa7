"""The rows about those who run jobs: workers and their heartbeats, the one runner, and the counts they write."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import msgspec

from lateshift.storage import reads
from lateshift.storage.database import Database, transactional

COUNTED: Final = ("completed", "failed", "retried", "cancelled", "run_time", "wait_time")
"""What is summed up for each minute, queue and worker."""

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


@transactional
def register_worker(db: Database, worker: NewWorker, now: int) -> None:
    """Announce a worker; its first heartbeat is `now`."""
    db.execute(
        "insert into lateshift_workers (id, kind, host, pid, folder, queues, version, started_at, heartbeat_at)"
        " values (:id, :kind, :host, :pid, :folder, :queues, :version, :now, :now)"
        " {on_conflict(id)} heartbeat_at = {new(heartbeat_at)}",  # there only if the answer to the commit got lost
        {**asdict(worker), "queues": msgspec.json.encode(worker.queues).decode(), "now": now},
    )


@transactional
def heartbeat(db: Database, worker: str, now: int) -> bool:
    """Renew the worker's lease; False when others have declared it dead meanwhile."""
    return bool(
        db.execute(
            "update lateshift_workers set heartbeat_at = :now where id = :worker", {"now": now, "worker": worker}
        )
    )


@transactional
def remove_worker(db: Database, worker: str) -> bool:
    """Take a worker's row away; whether it was there."""
    return bool(db.execute("delete from lateshift_workers where id = :id", {"id": worker}))


@transactional
def remove_idle_runner(db: Database, worker: str, queues: Collection[str]) -> bool:
    """Take the runner's row away if nothing waits; an enqueue either came before, or finds no runner and starts one."""
    if reads.anything_waiting(db, queues):
        return False
    return remove_worker(db, worker)


@transactional
def stop_claiming(db: Database, worker: str) -> None:
    """Say that a worker, which lives on, takes no more jobs of any queue."""
    db.execute(
        "update lateshift_workers set queues = :queues where id = :worker",
        {"queues": msgspec.json.encode([NO_QUEUE]).decode(), "worker": worker},
    )


@transactional
def look(db: Database, queues: Collection[str]) -> list[reads.Lane]:
    """The lanes of these queues (of all, when empty), as they are after every transaction that has begun before."""
    return [lane for lane in reads.lanes(db) if not queues or lane.queue in queues]


@transactional
def add_statistics(db: Database, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add to the per-minute counts; each worker has rows of its own, so none is fought over."""
    db.execute_many(
        f"insert into lateshift_statistics (minute, queue, worker, {', '.join(COUNTED)})"
        " values (:minute, :queue, :worker, :completed, :failed, :retried, :cancelled, :run_time, :wait_time)"
        " {on_conflict(minute, queue, worker)} "
        + ", ".join(f"{name} = lateshift_statistics.{name} + {{new({name})}}" for name in COUNTED),
        [{name: value for name, value in row.items() if name != "other"} for row in rows],
    )


@transactional
def prune_statistics(db: Database, before_minute: int) -> None:
    """Forget the counts of minutes before this one."""
    db.execute("delete from lateshift_statistics where minute < :before", {"before": before_minute})
