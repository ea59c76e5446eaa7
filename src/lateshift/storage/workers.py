"""The rows about those who run jobs: workers and their heartbeats, and the one runner."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import msgspec

from lateshift.storage import reads
from lateshift.storage.audit import mark_deploy
from lateshift.storage.database import Database, transactional

NO_QUEUE: Final = " (none any more)"
"""What the row of a worker that has stopped claiming says it serves: no queue can have a name that begins so."""


def claims_jobs(queues: Collection[str]) -> bool:
    """Whether a worker whose row has these queues takes more jobs; one with a single job in hand has a mark too."""
    return not any(queue.startswith(" ") for queue in queues)


@dataclass(frozen=True, slots=True)
class NewWorker:
    """A worker as it registers itself. `folder` is where its presence lock lies on `host`.

    `revision` is what charts call this version of the program; `slots` how many jobs of each kind it runs at once.
    """

    id: str
    kind: Literal["worker", "runner"]
    host: str
    pid: int
    folder: str
    queues: tuple[str, ...]
    version: str
    revision: str = ""
    slots: Mapping[Any, int] = field(default_factory=dict)


@transactional
def register_worker(db: Database, worker: NewWorker, now: int) -> None:
    """Announce a worker; its first heartbeat is `now`."""
    db.execute(
        "insert into lateshift_workers (id, kind, host, pid, folder, queues, version, started_at, heartbeat_at,"
        " revision, slots) values (:id, :kind, :host, :pid, :folder, :queues, :version, :now, :now, :revision, :slots)"
        " {on_conflict(id)} heartbeat_at = {new(heartbeat_at)}",  # there only if the answer to the commit got lost
        {**asdict(worker), "queues": _json(worker.queues), "slots": _json(worker.slots), "now": now},
    )
    mark_deploy(db, now, worker.id, worker.revision or worker.version)


@transactional
def heartbeat(db: Database, worker: str, now: int, memory: int | None = None, cpu: float | None = None) -> bool:
    """Renew the worker's lease; False when others have declared it dead meanwhile.

    `memory` is its resident bytes, `cpu` the share of one core that it has used since the last heartbeat.
    """
    return bool(
        db.execute(
            "update lateshift_workers set heartbeat_at = :now, memory = coalesce(:memory, memory),"
            " cpu = coalesce(:cpu, cpu) where id = :worker",
            {"now": now, "worker": worker, "memory": memory, "cpu": cpu},
        )
    )


def last_memory(db: Database, worker: str) -> int | None:
    """The resident bytes that the worker's last heartbeat told of; None when it has told of none."""
    rows = db.query("select memory from lateshift_workers where id = :worker", {"worker": worker})
    return rows[0][0] if rows else None


@transactional
def remove_worker(db: Database, worker: str, beat: int | None = None) -> bool:
    """Take a worker's row away, given `beat` only while that is its last heartbeat; whether that was done."""
    if beat is not None:
        silent = "delete from lateshift_workers where id = :id and heartbeat_at = :beat"
        return bool(db.execute(silent, {"id": worker, "beat": beat}))
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
        {"queues": _json([NO_QUEUE]), "worker": worker},
    )


@transactional
def look(db: Database, queues: Collection[str]) -> list[reads.Lane]:
    """The lanes of these queues (of all, when empty), as they are after every transaction that has begun before."""
    return [lane for lane in reads.lanes(db) if not queues or lane.queue in queues]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
