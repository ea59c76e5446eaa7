"""Failures in groups: what fails in the same way is one line, with how often, since when, and where.

Workers count in rows of their own, which are folded into one for each hour, group and callable after a while.
A group that was resolved is open again when it has been seen after that moment: nothing has to be written for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from lateshift.fingerprint import Fingerprint
from lateshift.storage.database import Database, Row, transactional
from lateshift.storage.tallies import NAME_LENGTH

HOUR: Final = 3_600_000_000
KEPT_DAYS: Final = 30
MOST_GROUPS: Final = 500
TREND: Final = 24
SAMPLE_LENGTH: Final = 2_000

BATCH: Final = 500
"""Rows that are folded in one transaction."""

FOLDED_WITHIN: Final = 48
"""Hours back that are looked through each time: what nobody has folded by then stays, and counts, as it is."""

PRUNED: Final = 6
"""Hours, the oldest, that one transaction forgets."""

GroupState = Literal["open", "resolved", "returned"]


@dataclass(frozen=True, slots=True)
class FailureCount:
    """What one worker has counted of a group and a callable since it wrote last; times in microseconds."""

    fingerprint: Fingerprint
    name: str
    message: str
    failed: int
    retried: int
    first_at: int
    last_at: int
    job_id: str


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failures of one kind, over the period asked for; times in microseconds.

    `type` is the exception's dotted type, `place` file and function, `message` the first one seen, `job_id` a job that
    failed so lately. `failed` jobs have failed for good, `retried` attempts were followed by another. `trend` counts
    both in 24 equal parts of the period. `state` is "returned" when it was resolved and has been seen again;
    `first_at` is when it was seen for the first time ever. Its jobs are those of the search `fingerprint:KEY`.
    """

    fingerprint: str
    type: str
    place: str
    message: str
    names: tuple[str, ...]
    failed: int
    retried: int
    first_at: int
    last_at: int
    job_id: str
    trend: tuple[int, ...]
    state: GroupState
    resolved_at: int | None
    resolved_by: str | None

    @property
    def count(self) -> int:
        """How many attempts failed so."""
        return self.failed + self.retried


def summed(db: Database, worker: str, counts: Sequence[FailureCount]) -> list[FailureCount]:
    """What a worker has counted, with what it has stored of the same hours before."""
    known: dict[tuple[int, str, str], tuple[int, int, int, int, str]] = {}
    for hour in {count.last_at // HOUR for count in counts}:
        rows = db.query(
            "select fingerprint, name, failed, retried, first_at, last_at, job_id from lateshift_failures"
            " where hour = :hour and worker = :worker",
            {"hour": hour, "worker": worker},
        )
        known.update({(hour, row[0], row[1]): row[2:] for row in rows})
    sums = {}
    for count in counts:
        key = (count.last_at // HOUR, count.fingerprint.key, count.name[:NAME_LENGTH])
        sums[key] = total = _plus(count, *known[key]) if key in known else count
        known[key] = (total.failed, total.retried, total.first_at, total.last_at, total.job_id)
    return list(sums.values())


@transactional
def add(db: Database, worker: str, sums: Sequence[FailureCount]) -> None:
    """Store what `summed` gave, and note the groups that are new; when an answer got lost, it may be done again."""
    db.execute_many(
        "insert into lateshift_groups (fingerprint, type, place, message, first_at)"
        " values (:fingerprint, :type, :place, :message, :first_at)"
        " {on_conflict(fingerprint)} type = {new(type)}",
        [_group(count) for count in sorted(sums, key=lambda count: count.fingerprint.key)],
    )
    columns = ("failed", "retried", "first_at", "last_at", "job_id")
    _insert_rows(
        db, [_row(worker, count) for count in sums], ", ".join(f"{name} = {{new({name})}}" for name in columns)
    )


def groups(db: Database, since: int, until: int | None = None, *, fingerprint: str | None = None) -> list[ErrorGroup]:
    """The groups that were seen in a period (microseconds, to the hour), the one seen last first; at most 500.

    With `fingerprint` only that one.
    """
    end = db.now() if until is None else until
    first = since // HOUR
    values = {"first": first, "last": end // HOUR, "length": max(1, end // HOUR - first + 1), "only": fingerprint}
    among = "from lateshift_failures where hour >= :first and hour <= :last" + (
        "" if fingerprint is None else " and fingerprint = :only"
    )
    part = f"(hour - :first) * {TREND} {{div}} :length"
    counts = db.query(
        f"select fingerprint, {part}, sum(failed), sum(retried), max(last_at) {among} group by fingerprint, {part}",
        values,
    )
    named = db.query(f"select fingerprint, name, max(job_id) {among} group by fingerprint, name", values)
    by_group, names = _by_fingerprint(counts), _by_fingerprint(named)
    latest = sorted(by_group, key=lambda key: max(row[4] for row in by_group[key]), reverse=True)[:MOST_GROUPS]
    described = {row[0]: row for row in _described(db, latest)}
    return [_as_group(described[key], by_group[key], names.get(key, [])) for key in latest if key in described]


def types(db: Database) -> list[str]:
    """The types of exceptions that there are groups of, at most 500."""
    rows = db.query("select distinct type from lateshift_groups order by type limit :limit", {"limit": MOST_GROUPS})
    return [row[0] for row in rows]


@transactional
def resolve(db: Database, fingerprint: str, actor: str, now: int) -> bool:
    """Call a group resolved, until it is seen again; whether there is such a group."""
    return bool(
        db.execute(
            "update lateshift_groups set resolved_at = :now, resolved_by = :actor where fingerprint = :fingerprint",
            {"now": now, "actor": actor, "fingerprint": fingerprint},
        )
    )


@transactional
def reopen(db: Database, fingerprint: str) -> bool:
    """Take `resolve` back; whether there is such a group."""
    sql = "update lateshift_groups set resolved_at = null, resolved_by = null where fingerprint = :fingerprint"
    return bool(db.execute(sql, {"fingerprint": fingerprint}))


@transactional
def fold_failures(db: Database, now: int) -> int:
    """Make one row of those that workers wrote in hours gone by; returns how many. For who has the turn to fold."""
    keys = ("hour", "fingerprint", "name", "worker")
    hour = now // HOUR - 1
    rows = db.query(
        f"select {', '.join(keys)}, failed, retried, first_at, last_at, job_id from lateshift_failures"
        " where hour < :hour and hour > :oldest and worker <> ''"
        " order by hour, fingerprint, name, worker limit :limit{skip_locked}",
        {"hour": hour, "oldest": hour - FOLDED_WITHIN, "limit": BATCH},
    )
    names = (*keys, "failed", "retried", "first_at", "last_at", "job_id")
    found = [dict(zip(names, row, strict=True)) for row in rows]
    _add_rows(db, [{**row, "worker": ""} for row in found])
    db.execute_many(
        "delete from lateshift_failures where hour = :hour and fingerprint = :fingerprint and name = :name"
        " and worker = :worker",
        [{key: row[key] for key in keys} for row in found],
    )
    return len(rows)


@transactional
def prune_failures(db: Database, now: int) -> None:
    """Forget what was counted more than 30 days ago, and groups that were seen no more since."""
    before = now // HOUR - KEPT_DAYS * 24
    oldest = db.query("select min(hour) from lateshift_failures")[0][0]
    if oldest is None or oldest >= before:
        return
    db.execute("delete from lateshift_failures where hour < :before", {"before": min(before, oldest + PRUNED)})
    db.execute(
        "delete from lateshift_groups where first_at < :before and fingerprint not in"
        " (select fingerprint from lateshift_failures)",
        {"before": before * HOUR},
    )


def _add_rows(db: Database, rows: Sequence[dict[str, Any]]) -> None:
    ours = "lateshift_failures"
    _insert_rows(
        db,
        rows,
        f"failed = {ours}.failed + {{new(failed)}}, retried = {ours}.retried + {{new(retried)}},"
        f" job_id = case when {{new(last_at)}} >= {ours}.last_at then {{new(job_id)}} else {ours}.job_id end,"
        f" first_at = case when {{new(first_at)}} < {ours}.first_at then {{new(first_at)}} else {ours}.first_at end,"
        f" last_at = case when {{new(last_at)}} > {ours}.last_at then {{new(last_at)}} else {ours}.last_at end",
    )


def _insert_rows(db: Database, rows: Sequence[dict[str, Any]], instead: str) -> None:
    """Insert rows; `instead` is what is set in those that are there already."""
    db.execute_many(
        "insert into lateshift_failures (hour, fingerprint, name, worker, failed, retried, first_at, last_at, job_id)"
        " values (:hour, :fingerprint, :name, :worker, :failed, :retried, :first_at, :last_at, :job_id)"
        f" {{on_conflict(hour, fingerprint, name, worker)}} {instead}",
        sorted(rows, key=lambda row: (row["hour"], row["fingerprint"], row["name"], row["worker"])),
    )


def _plus(count: FailureCount, failed: int, retried: int, first_at: int, last_at: int, job_id: str) -> FailureCount:
    return replace(
        count,
        failed=count.failed + failed,
        retried=count.retried + retried,
        first_at=min(count.first_at, first_at),
        last_at=max(count.last_at, last_at),
        job_id=count.job_id if count.last_at >= last_at else job_id,
    )


def _group(count: FailureCount) -> dict[str, Any]:
    mark = count.fingerprint
    return {
        "fingerprint": mark.key,
        "type": mark.type,
        "place": mark.place,
        "message": count.message[:SAMPLE_LENGTH],
        "first_at": count.first_at,
    }


def _row(worker: str, count: FailureCount) -> dict[str, Any]:
    return {
        "hour": count.last_at // HOUR,
        "fingerprint": count.fingerprint.key,
        "name": count.name[:NAME_LENGTH],
        "worker": worker,
        "failed": count.failed,
        "retried": count.retried,
        "first_at": count.first_at,
        "last_at": count.last_at,
        "job_id": count.job_id,
    }


def _described(db: Database, fingerprints: Sequence[str]) -> list[Row]:
    return db.query_each(
        "select fingerprint, type, place, message, first_at, resolved_at, resolved_by"
        " from lateshift_groups where fingerprint {among ids}",
        fingerprints,
    )


def _by_fingerprint(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[0]].append(row)
    return found


def _as_group(described: Row, counts: Sequence[Row], named: Sequence[Row]) -> ErrorGroup:
    key, type_, place, message, first_at, resolved_at, resolved_by = described
    trend = [0] * TREND
    for _, part, failed, retried, _ in counts:
        trend[min(TREND - 1, int(part))] += int(failed + retried)
    last_at = max(row[4] for row in counts)
    state: GroupState = "open" if resolved_at is None else "returned" if last_at > resolved_at else "resolved"
    return ErrorGroup(
        fingerprint=key,
        type=type_,
        place=place,
        message=message,
        names=tuple(sorted(row[1] for row in named)),
        failed=int(sum(row[2] for row in counts)),
        retried=int(sum(row[3] for row in counts)),
        first_at=first_at,
        last_at=last_at,
        job_id=max((row[2] for row in named), default=""),
        trend=tuple(trend),
        state=state,
        resolved_at=resolved_at,
        resolved_by=resolved_by,
    )
