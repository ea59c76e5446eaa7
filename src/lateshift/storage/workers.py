"""The rows about those who run jobs: workers and their heartbeats, and the one runner."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import msgspec

from lateshift.job import ExecutorKind
from lateshift.storage import reads
from lateshift.storage.audit import mark_deploy
from lateshift.storage.database import Database, transactional

# What a worker's row has in place of queues where it takes no jobs of any. No queue can have a name that begins so, and
# as it serves none, others still get a runner of their own.
NO_QUEUE: Final = " (none any more)"
"""Of one that has stopped claiming."""

ONE_JOB: Final = " (one job)"
"""Of `lateshift run`."""

TESTS: Final = " (tests)"
"""Of a test, which runs its jobs itself."""

MOST_JOBS: Final = 100
"""Running jobs of a worker that are listed."""


def claims_jobs(queues: Collection[str]) -> bool:
    """Whether a worker whose row has these queues takes more jobs."""
    return not any(queue.startswith(" ") for queue in queues)


def served(queues: Collection[str]) -> str:
    """What a worker whose row has these queues serves, for people: the queues, `all`, or why it takes no more jobs."""
    return ", ".join(queue.strip(" ()") for queue in queues) or "all"


@dataclass(frozen=True, slots=True)
class NewWorker:
    """A worker as it registers itself. `folder` is where its presence lock lies on `host`.

    `revision` is what charts call this version of the program, and without one it marks no deploy; `slots` is how many
    jobs of each kind it runs at once.
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


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A job in a worker's hand, and since when (microseconds); it may not have begun yet if it is short.

    `executor` is the kind of slot that it takes.
    """

    id: str
    name: str
    queue: str
    executor: ExecutorKind
    attempt: int
    since: int
    progress: float | None
    progress_message: str | None


@dataclass(frozen=True, slots=True)
class WorkerDetail:
    """A worker as it last told of itself; times in microseconds, `memory` in bytes, `cpu` in cores.

    `revision` is LATESHIFT_RELEASE, or the version; `slots` how many jobs of each kind of executor it runs at once.
    `held` counts the jobs it has, `jobs` are the ones that it has had for longest.
    """

    id: str
    kind: str
    host: str
    pid: int
    queues: tuple[str, ...]
    version: str
    revision: str
    started_at: int
    heartbeat_at: int
    memory: int | None
    cpu: float | None
    slots: dict[str, int]
    held: int
    jobs: tuple[HeldJob, ...]


@transactional
def register_worker(db: Database, worker: NewWorker, now: int) -> None:
    """Announce a worker; its first heartbeat is `now`."""
    db.execute(
        "insert into lateshift_workers (id, kind, host, pid, folder, queues, version, started_at, heartbeat_at,"
        " revision, slots) values (:id, :kind, :host, :pid, :folder, :queues, :version, :now, :now, :revision, :slots)"
        " {on_conflict(id)} heartbeat_at = {new(heartbeat_at)}",  # there only if the answer to the commit got lost
        {**asdict(worker), "queues": _json(worker.queues), "slots": _json(worker.slots), "now": now},
    )
    mark_deploy(db, now, worker.id, worker.revision)


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


def held(db: Database, worker: str) -> set[tuple[str, int]]:
    """(id, lease) of the running jobs that are the worker's."""
    sql = "select id, lease from lateshift_jobs where worker = :worker and status = 'running'"
    return {(row[0], row[1]) for row in db.query(sql, {"worker": worker})}


def often_unwritten(db: Database, ids: Collection[str], times: int) -> set[str]:
    """Those of these jobs whose worker has died so often after an attempt had ended, and before that was written."""
    sql = (
        "select job_id from lateshift_attempts where job_id {among ids} and outcome = 'lost' and error_type is null"
        f" group by job_id having count(*) >= {times:d}"
    )
    return {row[0] for row in db.query_each(sql, sorted(ids))}


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


def worker_details(db: Database) -> list[WorkerDetail]:
    """Every worker that has announced itself and not signed off, oldest first, with what runs in it."""
    rows = db.query(
        "select id, kind, host, pid, queues, version, revision, started_at, heartbeat_at, memory, cpu, slots"
        " from lateshift_workers order by started_at, id"
    )
    held = reads.held_jobs(db)
    return [_detail(db, row, held[row[0]]) for row in rows]


def releases(db: Database) -> dict[str, str]:
    """What each worker, by id, calls its version of the program: LATESHIFT_RELEASE, or Lateshift's own version."""
    sql = "select id, coalesce(nullif(revision, ''), version) from lateshift_workers"
    return {row[0]: str(row[1]) for row in db.query(sql)}


def _detail(db: Database, row: tuple[Any, ...], held: int) -> WorkerDetail:
    id_, kind, host, pid, queues, version, revision, started_at, heartbeat_at, memory, cpu, slots = row
    return WorkerDetail(
        id=id_,
        kind=kind,
        host=host,
        pid=pid,
        queues=reads.queue_names(queues),
        version=version,
        revision=revision or version,
        started_at=started_at,
        heartbeat_at=heartbeat_at,
        memory=memory,
        cpu=cpu,
        slots=_slots(slots),
        held=held,
        jobs=_jobs(db, id_) if held else (),
    )


def _slots(text: str | None) -> dict[str, int]:
    try:
        return msgspec.json.decode(text, type=dict[str, int]) if text else {}
    except (msgspec.MsgspecError, RecursionError, TypeError, ValueError):  # a row written by other hands
        return {}


def _jobs(db: Database, worker: str) -> tuple[HeldJob, ...]:
    rows = db.query(
        "select id, name, queue, executor, attempts, started_at, progress, progress_message from lateshift_jobs"
        " where worker = :worker and status = 'running' order by started_at, id limit :limit",
        {"worker": worker, "limit": MOST_JOBS},
    )
    return tuple(HeldJob(*row) for row in rows)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
