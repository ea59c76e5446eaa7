"""Who did what, when, to how many jobs; and marks in time: a new version, a worker that died."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from lateshift.storage.database import Database, transactional

KEPT_DAYS: Final = 90
MOST_MARKS: Final = 200

_DAY: Final = 86_400_000_000
_PRUNED: Final = 1_000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One action: `actor` did `action` to `target`, which were `number` jobs (or queues, workers). `at` in µs."""

    id: str
    at: int
    actor: str
    action: str
    target: str
    number: int
    details: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment that charts show: "deploy" of the version `label`, or "death" of the worker `label`; `at` in µs."""

    at: int
    kind: Literal["deploy", "death"]
    label: str
    details: str


def append(
    db: Database, now: int, actor: str, action: str, target: str, number: int = 1, details: str = ""
) -> AuditEntry:
    """Note an action.

    `action` is a word of at most 32 ASCII letters; texts are cut at 500 characters, details at 2,000.
    """
    entry = AuditEntry(_id(now), now, actor[:500], action[:32], target[:500], number, details[:2000])
    db.execute(
        "insert into lateshift_audit (id, at, actor, action, target, number, details)"
        " values (:id, :at, :actor, :action, :target, :number, :details)"
        " {on_conflict(id)} at = {new(at)}",  # there only if the answer got lost
        asdict(entry),
    )
    return entry


def page(db: Database, limit: int = 50, before: str | None = None, actor: str | None = None) -> list[AuditEntry]:
    """Actions, the latest first; `before` is the id of the last one seen. With `actor`, among the newest 10,000."""
    conditions = "" if before is None else " where id < :before"
    source = f"select * from lateshift_audit{conditions} order by id desc limit :scanned"
    chosen = "" if actor is None else " where actor = :actor"
    rows = db.query(
        "select id, at, actor, action, target, number, details"
        f" from ({source}) as newest{chosen} order by id desc limit :limit",
        {"before": before, "actor": actor, "limit": limit, "scanned": limit if actor is None else 10_000},
    )
    return [AuditEntry(*row) for row in rows]


@transactional
def mark_deploy(db: Database, now: int, worker: str, label: str) -> bool:
    """Mark that a version has come, unless it is empty, the last marked one, or another worker wears it already."""
    if not label:
        return False
    last = marks(db, 0, now + _DAY, kind="deploy", limit=1)
    if last and last[0].label == label:
        return False
    worn = "select 1 from lateshift_workers where revision = :label and id <> :worker limit 1"
    if last and db.query(worn, {"label": label, "worker": worker}):
        return False
    _mark(db, now, "deploy", label, "")
    return True


@transactional
def mark_death(db: Database, now: int, worker: str, details: str) -> None:
    """Mark that a worker was found dead, and what became of its jobs."""
    _mark(db, now, "death", worker, details)


def marks(db: Database, since: int, until: int, *, kind: str | None = None, limit: int = MOST_MARKS) -> list[Mark]:
    """The marks of a period (microseconds), the latest first; at most 200."""
    only = "" if kind is None else " and kind = :kind"
    rows = db.query(
        "select at, kind, label, details from lateshift_marks"
        f" where id >= :first and id <= :last and at >= :since and at <= :until{only} order by id desc limit :limit",
        {
            "first": f"{max(0, since) // 60_000_000:012x}",
            "last": f"{until // 60_000_000:012x}~",
            "since": since,
            "until": until,
            "kind": kind,
            "limit": limit,
        },
    )
    return [Mark(*row) for row in rows]


@transactional
def prune_audit(db: Database, now: int) -> None:
    """Forget actions and marks of more than 90 days ago, a batch."""
    before = now - KEPT_DAYS * _DAY
    for table, width, unit in (("lateshift_audit", 14, 1), ("lateshift_marks", 12, 60_000_000)):
        rows = db.query(
            f"select id from {table} where id < :before order by id limit :limit",
            {"before": f"{before // unit:0{width}x}", "limit": _PRUNED},
        )
        db.execute_each(f"delete from {table} where id {{among ids}}", [row[0] for row in rows])


def _id(now: int) -> str:
    """An id that sorts by time."""
    return f"{now:014x}-{secrets.token_hex(4)}"


def _mark(db: Database, now: int, kind: str, label: str, details: str) -> None:
    """Whoever marks the same in the same minute writes the same row, as workers that start together do."""
    id_ = f"{now // 60_000_000:012x}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
    values: dict[str, Any] = {"id": id_, "at": now, "kind": kind, "label": label[:300], "details": details[:1000]}
    db.execute(
        "insert into lateshift_marks (id, at, kind, label, details) values (:id, :at, :kind, :label, :details)"
        " {on_conflict(id)} kind = {new(kind)}",
        values,
    )
