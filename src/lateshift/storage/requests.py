"""What an operator asks of one worker: to stop, to drain, to show the stack of a job it runs. And workers in detail.

A request is a row that the worker finds within a second, acts upon, and answers in the row. It is kept for a minute.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from lateshift.job import ExecutorKind
from lateshift.storage import reads
from lateshift.storage.database import Database, transactional

KEPT: Final = 60_000_000
"""Microseconds for which a request is kept."""

LONGEST_ANSWER: Final = 64 * 1024
MOST_JOBS: Final = 100
"""Running jobs of a worker that are listed."""

RequestKind = Literal["stack", "stop", "drain"]


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked of a worker, and its answer when there is one; times in microseconds.

    "stop" gives the running jobs the grace, "drain" all the time that they need; either way nobody replaces the worker.
    """

    worker: str
    id: str
    kind: RequestKind
    job_id: str | None
    lease: int | None
    asked_at: int
    answered_at: int | None
    answer: str | None


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
    `held` counts the jobs it has (at most 10,000), `jobs` are the ones that it has had for longest.
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
def ask(
    db: Database, worker: str, kind: RequestKind, now: int, job_id: str | None = None, lease: int | None = None
) -> str:
    """Ask a worker for something; the request's id. For a stack give the job and, if known, its lease."""
    request = secrets.token_hex(8)
    db.execute(
        "insert into lateshift_requests (worker, id, kind, job_id, lease, asked_at)"
        " values (:worker, :id, :kind, :job_id, :lease, :now)",
        {"worker": worker, "id": request, "kind": kind, "job_id": job_id, "lease": lease, "now": now},
    )
    return request


def answer_to(db: Database, worker: str, request: str) -> Request | None:
    """A request as it stands; None when it was never made or is a minute old."""
    rows = db.query(f"{_SELECT} where worker = :worker and id = :id", {"worker": worker, "id": request})
    return Request(*rows[0]) if rows else None


def unanswered(db: Database, worker: str) -> list[Request]:
    """What is asked of a worker, oldest first."""
    rows = db.query(f"{_SELECT} where worker = :worker and answered_at is null order by id", {"worker": worker})
    return sorted((Request(*row) for row in rows), key=lambda request: request.asked_at)


@transactional
def answer(db: Database, request: Request, now: int, text: str) -> None:
    """Answer a request; the text is cut at 64 KiB."""
    db.execute(
        "update lateshift_requests set answered_at = :now, answer = :answer where worker = :worker and id = :id",
        {"now": now, "answer": text[:LONGEST_ANSWER], "worker": request.worker, "id": request.id},
    )


@transactional
def prune_requests(db: Database, now: int) -> None:
    """Forget requests that are a minute old, and what was asked of workers that never answered."""
    db.execute("delete from lateshift_requests where asked_at < :before", {"before": now - KEPT})


def worker_details(db: Database) -> list[WorkerDetail]:
    """Every worker that has announced itself and not signed off, oldest first, with what runs in it."""
    rows = db.query(
        "select id, kind, host, pid, queues, version, revision, started_at, heartbeat_at, memory, cpu, slots"
        " from lateshift_workers order by started_at, id"
    )
    held: Counter[str] = reads.held_jobs(db)
    return [_detail(db, row, held[row[0]]) for row in rows]


def worker_detail(db: Database, worker: str) -> WorkerDetail | None:
    """One worker; None when it has signed off or was found dead."""
    return next((detail for detail in worker_details(db) if detail.id == worker), None)


_SELECT: Final = "select worker, id, kind, job_id, lease, asked_at, answered_at, answer from lateshift_requests"


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
