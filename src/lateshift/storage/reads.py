"""What is asked about jobs, queues and workers, and changes nothing.

No function here reads more than it shows or counts, but for `list_jobs`, where few jobs pass its filters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from lateshift.job import FINISHED, Claimed, ExecutorKind, Job
from lateshift.outcome import Outcome
from lateshift.storage import counting
from lateshift.storage.attempts import history_of
from lateshift.storage.database import Database, Parameters
from lateshift.storage.job_rows import JOB_ROWS, as_job
from lateshift.storage.soundness import CLAIMED, Kind, sound, whole

# One step from lane to lane over the waiting index: three probes for each lane, however many jobs wait in it.
_LANES = """
with recursive head(place, number) as (
    select (select {row} from lateshift_jobs where {waiting} and queue >= :start
            order by queue, executor, priority desc, run_at, seq limit 1), 1
    union all
    select coalesce(
        (select n.{row} from lateshift_jobs n
         where n.{waiting} and n.queue = c.queue and n.executor = c.executor and n.priority < c.priority
         order by n.priority desc, n.run_at, n.seq limit 1),
        (select n.{row} from lateshift_jobs n
         where n.{waiting} and n.queue = c.queue and n.executor > c.executor
         order by n.executor, n.priority desc, n.run_at, n.seq limit 1),
        (select n.{row} from lateshift_jobs n
         where n.{waiting} and n.queue > c.queue and :only = 0
         order by n.queue, n.executor, n.priority desc, n.run_at, n.seq limit 1)), head.number + 1
    from head join lateshift_jobs c on c.{row} = head.place
    where head.number < :most
)
select j.queue, j.executor, j.priority, j.run_at,
       exists (select 1 from lateshift_queues q where q.name = j.queue and q.paused_at is not null)
from head join lateshift_jobs j on j.{row} = head.place"""

_ALL: Final = 2**31 - 1

FEW: Final = 1_000
"""Jobs of a status that are looked at one and all, rather than looked for among those of all ages."""

# How an index has the jobs of each status, and in which order.
_OF_STATUS: Final = {
    "pending": "{waiting} order by queue",
    "pending_retry": "status = 'pending_retry' and finished_at is null order by {retry}",
    "running": "status = 'running' order by worker",
    **dict.fromkeys(FINISHED, "status = :status and finished_at is not null order by finished_at desc"),
}

_CLAIMED = """
select id, lease, name, parameters, attempts, crashes, max_retries, run_at, seq, options, queue, executor, priority,
       started_at
from lateshift_jobs"""


class Lane(msgspec.Struct, frozen=True, gc=False):
    """The waiting jobs of one queue, kind of executor and priority; `run_at` is when the first of them is due."""

    queue: str
    executor: ExecutorKind
    priority: int
    run_at: int
    paused: bool


class WorkerRow(msgspec.Struct, frozen=True):
    """A worker as it last announced itself; times in microseconds. A `local` one has its database in a file."""

    id: str
    kind: str
    host: str
    pid: int
    folder: str
    queues: tuple[str, ...]
    version: str
    started_at: int
    heartbeat_at: int
    local: bool = False


class QueueRow(msgspec.Struct, frozen=True):
    """A queue at a glance. Counts stop above `COUNT_LIMIT`; `oldest` is when its longest waiting job became due."""

    name: str
    paused: bool
    waiting: int
    delayed: int
    running: int
    oldest: int | None


def lanes(db: Database) -> list[Lane]:
    """Every lane that has waiting jobs, by queue, executor and falling priority."""
    return lanes_from(db, "", _ALL)[0]


def lanes_of(db: Database, queue: str) -> list[Lane]:
    """The lanes of one queue, in the same order."""
    return [lane for lane in lanes_from(db, queue, _ALL, only=True)[0] if lane.queue == queue]


def lanes_from(db: Database, start: str, most: int, *, only: bool = False) -> tuple[list[Lane], str | None]:
    """Some `most` lanes, in the same order, of whole queues from `start` on; the queue to go on with, if there is one.

    `only` is for no other queue than `start`.
    """
    found, following = db.query_lanes(_LANES, start, most, only=only)
    lanes = [
        Lane(queue, kind, priority, whole(run_at), bool(paused))
        for queue, kind, priority, run_at, paused in found
        # SQLite lets a row of other hands hold a text where a number belongs: nobody can say when it is due. Of a
        # fraction one can, and the lane's other jobs stand behind it.
        if isinstance(queue, str) and isinstance(priority, int) and isinstance(run_at, int | float)
    ]
    return sorted(lanes, key=lambda lane: (lane.queue, lane.executor, -lane.priority)), following


def anything_waiting(db: Database, queues: Collection[str]) -> bool:
    """Whether any job waits, due or not, in these queues (in any, when empty)."""
    if not queues:
        # In the order of an index: PostgreSQL would else read the table, from its beginning with the finished ones.
        return bool(db.query("select 1 from lateshift_jobs where {waiting} order by queue, executor limit 1"))
    return any(lane.queue in queues for lane in lanes(db))


def status(db: Database, job_id: str) -> str | None:
    """A job's status, or None when there is no such job."""
    rows = db.query("select status from lateshift_jobs where id = :id", {"id": job_id})
    return str(rows[0][0]) if rows else None


def locked_status(db: Database, job_id: str) -> str | None:
    """As `status`, for a transaction that is about to change the job: nobody else does meanwhile."""
    rows = db.query("select status from lateshift_jobs where id = :id{lock}", {"id": job_id})
    return str(rows[0][0]) if rows else None


def completion(db: Database, job: Claimed) -> Outcome | None:
    """How just this attempt has completed, if that is stored."""
    rows = db.query(
        "select started_at, finished_at, result from lateshift_jobs"
        " where id = :id and lease = :lease and status = 'completed'",
        {"id": job.id, "lease": job.lease},
    )
    for started_at, finished_at, result in rows:
        return Outcome("completed", "completed", started_at, finished_at, result=result, stored=True)
    return None


def get(db: Database, job_id: str, *, history: bool = False) -> Job | None:
    """A job, with its attempts if asked; None when there is no such job."""
    rows = db.query(f"{JOB_ROWS} where id = :id", {"id": job_id})
    if not rows:
        return None
    job = as_job(rows[0])
    return replace(job, history=history_of(db, job, rows[0][-1])) if history else job


def by_ids(db: Database, ids: Sequence[str]) -> list[Job]:
    """Those of these jobs that are there, in the order of the ids, without their histories."""
    jobs = {job.id: job for job in map(as_job, db.query_each(f"{JOB_ROWS} where id {{among ids}}", ids))}
    return [jobs[id_] for id_ in ids if id_ in jobs]


def list_jobs(
    db: Database,
    *,
    status: str | None = None,
    queue: str | None = None,
    name: str | None = None,
    limit: int = 50,
    before: str | None = None,
) -> list[Job]:
    """Jobs, newest first; `name` matches the callable path or a part of it after a dot; `before` is the last id.

    They are read by age. The jobs of a status that few have are found by its index instead, as they may be far apart.
    """
    conditions = {
        "status = :status": status,
        "queue = :queue": queue,
        "{in_path}": name,
        "{age} < (select {age} from lateshift_jobs where id = :before)": before,
    }
    chosen = [condition for condition, value in conditions.items() if value is not None]
    where = f" where {' and '.join(chosen)}" if chosen else ""
    parameters = {"status": status, "queue": queue, "name": name, "before": before, "limit": limit}
    if status in _OF_STATUS and (few := _few(db, _OF_STATUS[status], where, parameters)) is not None:
        return [job for job in by_ids(db, few) if job.status == status]
    return [as_job(row) for row in db.query(f"{JOB_ROWS}{where} order by {{age}} desc limit :limit", parameters)]


def _few(db: Database, access: str, where: str, parameters: Parameters) -> list[str] | None:
    """The ids of those jobs that pass, newest first; None where more than `FEW` are to be looked at."""
    parameters = {**parameters, "most": FEW + 1}
    rows = f"from lateshift_jobs where {access} limit :most"
    if db.query(f"select count(*) from (select 1 {rows}) as counted", parameters)[0][0] > FEW:
        return None
    looked_at = f"(select id, seq, status, queue, name {rows}) as few"
    found = db.query(f"select id from {looked_at}{where} order by {{age}} desc limit :limit", parameters)
    return [row[0] for row in found]


def counts(db: Database) -> dict[str, int]:
    """How many jobs have each status, counting no further than one above `COUNT_LIMIT`."""
    sql = "select count(*) from (select 1 from lateshift_jobs where status = '%s' and %s limit :limit) as counted"
    groups = {
        "{waiting}": ("pending", "pending_retry"),
        "status = 'running'": ("running",),
        "finished_at is not null": ("completed", "failed", "cancelled"),
    }
    return {
        name: int(db.query(sql % (name, group), {"limit": counting.COUNT_LIMIT + 1})[0][0])
        for group, names in groups.items()
        for name in names
    }


def queues(db: Database, now: int) -> list[QueueRow]:
    """Every queue that has waiting or running jobs or is paused, by name."""
    found = lanes(db)
    running: dict[str, int] = dict(
        db.query("select queue, count(*) from lateshift_jobs where status = 'running' group by queue")
    )
    paused = {row[0] for row in db.query("select name from lateshift_queues where paused_at is not null")}
    names = {lane.queue for lane in found} | set(running) | paused
    rows = []
    for name in sorted(names):
        mine = [lane for lane in found if lane.queue == name]
        waiting, delayed = _count_waiting(db, name, mine, now) if mine else (0, 0)
        due = [lane.run_at for lane in mine if lane.run_at <= now]
        rows.append(QueueRow(name, name in paused, waiting, delayed, running.get(name, 0), min(due, default=None)))
    return rows


def finished_before(db: Database, before: int) -> int:
    """How many jobs finished before a moment: what `writes.prune` would delete."""
    sql = "select count(*) from lateshift_jobs where status = :status and finished_at < :before"
    return sum(db.query(sql, {"status": status, "before": before})[0][0] for status in FINISHED)


def queue_paused(db: Database, name: str) -> bool:
    """Whether the queue is paused."""
    return bool(db.query("select 1 from lateshift_queues where name = :name and paused_at is not null", {"name": name}))


def jobs_ahead(db: Database, job_id: str, now: int) -> tuple[int, int]:
    """How many due jobs of its queue stand before a waiting job: of a higher priority, and of its own. Bounded."""
    own = db.query("select queue, priority, run_at, seq from lateshift_jobs where id = :id", {"id": job_id})
    if not own:
        return 0, 0
    queue, priority, run_at, seq = sound(own[0], (str, int, int, int))
    mine = [lane for lane in lanes(db) if lane.queue == queue]
    higher = _count_lanes(db, [lane for lane in mine if lane.priority > priority], "run_at <= :now", now=now)
    same = [lane for lane in mine if lane.priority == priority]
    if run_at > now:
        return higher, _count_lanes(db, same, "run_at <= :now", now=now)
    earlier = _count_lanes(db, same, "run_at < :run_at", run_at=run_at)
    return higher, earlier + _count_lanes(db, same, "run_at = :run_at and seq < :seq", run_at=run_at, seq=seq)


_WORKER: Final[tuple[Kind, ...]] = (str, str, str, int, str, str, str, int, int)


def workers(db: Database) -> list[WorkerRow]:
    """Every worker that has announced itself and not signed off, oldest first."""
    rows = db.query(
        "select id, kind, host, pid, folder, queues, version, started_at, heartbeat_at"
        " from lateshift_workers order by started_at, id"
    )
    return [
        WorkerRow(id_, kind, host, pid, folder, queue_names(queues), version, began, beat, db.file is not None)
        for id_, kind, host, pid, folder, queues, version, began, beat in (sound(row, _WORKER) for row in rows)
    ]


UNREADABLE: Final = " (unreadable)"
"""In place of the queues in a worker's row that other hands have written: no queue can have such a name."""


def queue_names(text: str) -> tuple[str, ...]:
    """The queues in a worker's row, or `UNREADABLE`."""
    try:
        return tuple(msgspec.json.decode(text, type=list[str]))
    except (msgspec.MsgspecError, RecursionError, TypeError, ValueError):
        return (UNREADABLE,)


def held_jobs(db: Database) -> Counter[str]:
    """How many jobs each worker holds, by its id."""
    return Counter(
        dict(db.query("select worker, count(*) from lateshift_jobs where status = 'running' group by worker"))
    )


def running_jobs(db: Database, worker: str) -> list[tuple[Claimed, int]]:
    """The jobs that `worker` holds, each with the time of its claim."""
    rows = db.query(f"{_CLAIMED} where worker = :worker and status = 'running'", {"worker": worker})
    return [(Claimed(*sound(row[:-1], CLAIMED)), row[-1] or 0) for row in rows]


def absent_owners(db: Database) -> list[str]:
    """Workers that running jobs name and that no longer have a row."""
    rows = db.query(
        "select distinct worker from lateshift_jobs where status = 'running'"
        " and worker not in (select id from lateshift_workers)"
    )
    return [row[0] for row in rows]


def cancel_requests(db: Database, worker: str) -> set[tuple[str, int]]:
    """(id, lease) of the worker's running jobs that an operator asked to cancel."""
    rows = db.query(
        "select id, lease from lateshift_jobs where worker = :worker and status = 'running' and cancel_requested = 1",
        {"worker": worker},
    )
    return {(row[0], row[1]) for row in rows}


def first_waiting(db: Database, queue: str, now: int) -> tuple[int, int]:
    """(how many jobs of a queue wait, how many of these are due) among the first that are counted."""
    # Not ordered by the queue as well: MariaDB would then sort all of it.
    [(number, due)] = db.query(
        "select count(*), sum(case when run_at <= :now then 1 else 0 end) from (select run_at from lateshift_jobs"
        " where {waiting} and queue = :queue order by executor limit :limit) as counted",
        {"queue": queue, "now": now, "limit": counting.COUNT_LIMIT + 1},
    )
    return int(number), int(due or 0)


def _count_waiting(db: Database, queue: str, lanes: Sequence[Lane], now: int) -> tuple[int, int]:
    """(due, delayed) jobs of a queue: all in one go, or lane by lane from both ends where they are too many."""
    number, due = first_waiting(db, queue, now)
    if number <= counting.COUNT_LIMIT:
        return due, number - due
    begun = [lane for lane in lanes if lane.run_at <= now]
    return _count_lanes(db, begun, "run_at <= :now", now=now), _count_lanes(db, lanes, "run_at > :now", now=now)


def _count_lanes(db: Database, lanes: Sequence[Lane], condition: str, **values: int) -> int:
    """The waiting jobs of some lanes for which a condition holds that is a piece of each lane's order."""
    total = 0
    for lane in lanes:
        if total <= counting.COUNT_LIMIT:
            place = {"queue": lane.queue, "executor": lane.executor, "priority": lane.priority}
            rows = db.query(
                "select count(*) from (select 1 from lateshift_jobs where {waiting} and queue = :queue and"
                f" executor = :executor and priority = :priority and {condition}"
                " order by run_at, seq limit :limit) as counted",
                {**place, **values, "limit": counting.COUNT_LIMIT + 1 - total},
            )
            total += int(rows[0][0])
    return total
