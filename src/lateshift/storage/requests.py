"""What an operator asks of one worker: to stop, to drain, to show the stack of a job it runs.

A request is a row that the worker finds within a second, acts upon, and answers in the row. It is kept for a minute.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final, Literal

from lateshift.storage.database import Database, transactional

KEPT: Final = 60_000_000
"""Microseconds for which a request is kept."""

LONGEST_ANSWER: Final = 65_536
"""Characters that are kept of an answer."""

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
    asked_at: int
    answered_at: int | None
    answer: str | None


@transactional
def ask(db: Database, worker: str, kind: RequestKind, now: int, job_id: str | None = None) -> str:
    """Ask a worker for something; the request's id. For a stack give the job."""
    request = secrets.token_hex(8)
    db.execute(
        "insert into lateshift_requests (worker, id, kind, job_id, asked_at)"
        " values (:worker, :id, :kind, :job_id, :now)",
        {"worker": worker, "id": request, "kind": kind, "job_id": job_id, "now": now},
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
    """Answer a request; a text that is too long is cut."""
    db.execute(
        "update lateshift_requests set answered_at = :now, answer = :answer where worker = :worker and id = :id",
        {"now": now, "answer": text[:LONGEST_ANSWER], "worker": request.worker, "id": request.id},
    )


@transactional
def prune_requests(db: Database, now: int) -> None:
    """Forget requests that are a minute old, and what was asked of workers that never answered."""
    db.execute("delete from lateshift_requests where asked_at < :before", {"before": now - KEPT})


_SELECT: Final = "select worker, id, kind, job_id, asked_at, answered_at, answer from lateshift_requests"
