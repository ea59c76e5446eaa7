"""What workers and operators do to jobs: one function for each verb of the glossary, and the only home of its SQL.

Each takes the database first, and is a transaction of its own or a part of its caller's. `settle` is conditional on
(id, lease) and on the job still running, so a worker that was thought dead cannot overwrite a newer attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

import msgspec

from lateshift.errors import AlreadyStored
from lateshift.job import FINISHED, WAITING, Claimed, ExecutorKind, NewJob
from lateshift.storage import reads
from lateshift.storage.database import Database, Row, repeatable, transactional
from lateshift.storage.settlements import UNCOUNTED, Batch, Settlement
from lateshift.storage.soundness import CLAIMED, sound, sound_of_lane

# The status is a parameter, since PyMySQL sends rows together only if there is nothing else between the parentheses:
# one by one, 50,000 jobs took 11 s.
INSERT_JOB: Final = """
insert into lateshift_jobs (id, name, queue, executor, priority, status, parameters, max_retries,
                            run_at, enqueued_at, options)
values (:id, :name, :queue, :executor, :priority, :status, :parameters, :max_retries,
        :run_at, :enqueued_at, :options)"""

_COLUMNS: Final = "name, parameters, {}, crashes, max_retries, run_at, seq, options"
"""Of a claimed row; what its lane tells is left out, as SQLite takes a tenth of a claim's time for three columns."""

_SEQ: Final = 8
"""Where a claimed row has its `seq`."""

_by_age: Final = itemgetter(7, _SEQ)
"""A claimed row's `run_at` and `seq`."""

_TAKE: Final = """
update lateshift_jobs
set status = 'running', lease = lease + 1, attempts = attempts + 1, worker = :worker, started_at = :now,
    finished_at = null, cancel_requested = 0, progress = null, progress_message = null"""

_LINE: Final = """from lateshift_jobs
              where {waiting} and queue = :queue and executor = :executor and priority = :priority and run_at <= :now
              order by run_at, seq limit :limit{skip_locked}"""

_CLAIM: Final = f"""{_TAKE} where {{row}} {{first(}}select {{row}} {_LINE}{{)}}
returning id, lease, {_COLUMNS.format("attempts")}"""

# Where `update` returns nothing: the rows as they will be, read under their locks.
_AS_TAKEN: Final = f"select id, lease + 1, {_COLUMNS.format('attempts + 1')}"
_CHOOSE: Final = f"{_AS_TAKEN} {_LINE}"
_TAKE_CHOSEN: Final = f"{_TAKE} where seq {{among ids}}"

_CHOOSE_ONE: Final = f"""{_AS_TAKEN}, queue, executor, priority
from lateshift_jobs where id = :id and {{waiting}}{{lock}}"""
_TAKE_ONE: Final = f"{_TAKE} where id = :id"

COMPLETE: Final = """
update lateshift_jobs
set status = 'completed', result = :result, started_at = :started_at, finished_at = :finished_at,
    error_type = null, error_message = null, error_traceback = null
where id = :id and lease = :lease and status = 'running'"""

# An operator's cancel that arrived after the worker had decided on another attempt still wins. Taking a job from a
# worker that died makes its lease grow too: so the dead one, should it live, is refused even before anybody claims the
# job anew. And it runs in a process of its own from then on, so that it can harm no neighbour, nor a neighbour it.
_SETTLE = """
update lateshift_jobs
set status = case when cancel_requested = 1 and :status = 'pending_retry' then 'cancelled' else :status end,
    finished_at = case when :status = 'pending_retry' and cancel_requested = 0 then null else :finished_at end,
    run_at = coalesce(:run_at, run_at), started_at = :started_at, result = :result,
    attempts = attempts - :uncounted, crashes = crashes + :crashed, lease = lease + :crashed,
    executor = case when :crashed = 1 then 'process' else executor end,
    error_type = coalesce(:error_type, error_type), error_message = coalesce(:error_message, error_message),
    error_traceback = coalesce(:error_traceback, error_traceback)
where id = :id and lease = :lease and status = 'running'"""

_RECORD_ATTEMPT = """
insert into lateshift_attempts (job_id, lease, number, outcome, worker, started_at, finished_at,
                                error_type, error_message, error_traceback, fingerprint)
select id, lease, attempts, :kind, worker, :started_at, :finished_at, :error_type, :error_message, :error_traceback,
       :fingerprint
from lateshift_jobs where id = :id and lease = :lease and status = 'running'{lock}"""

_RECORD_LOGS = """
insert into lateshift_logs (job_id, lease, number, "lines")
select id, lease, :number, :lines from lateshift_jobs where id = :id and lease = :lease
{on_conflict(job_id, lease)} "lines" = {new("lines")}"""

_PROGRESS = """
update lateshift_jobs set progress = :progress, progress_message = :message where id = :id and lease = :lease"""

_FORGET_UNCOUNTED = f"delete from lateshift_attempts where job_id = :id and lease <= :lease and outcome in {UNCOUNTED}"

_FORGET_LOGS = """
delete from lateshift_logs where job_id = :id and lease <= :lease and not exists (
    select 1 from lateshift_attempts a where a.job_id = lateshift_logs.job_id and a.lease = lateshift_logs.lease)"""

RELEASE: Final = """
update lateshift_jobs
set status = case when cancel_requested = 1 then 'cancelled'
                  when exists (select 1 from lateshift_attempts a where a.job_id = lateshift_jobs.id)
                  then 'pending_retry' else 'pending' end,
    attempts = attempts - 1,
    worker = case when cancel_requested = 1 then worker end,
    started_at = case when cancel_requested = 1 then started_at end,
    finished_at = case when cancel_requested = 1 then :now else finished_at end
where id = :id and lease = :lease and status = 'running'"""

CANCEL: Final = "update lateshift_jobs set status = 'cancelled', finished_at = :now where id {among ids}"
ASK_TO_CANCEL: Final = "update lateshift_jobs set cancel_requested = 1 where id {among ids}"
RETRY: Final = """
update lateshift_jobs
set status = 'pending_retry', run_at = :now, attempts = 0, crashes = 0, finished_at = null, cancel_requested = 0,
    result = null
where id {among ids}"""
MAKE_DUE: Final = "update lateshift_jobs set run_at = :now where id {among ids} and run_at > :now"

PORTION: Final = 16_000_000
"""Characters of parameters that one statement stores, and what comes with them. PostgreSQL ends a transaction of ours
in which nothing comes for 8 s, and the driver took longer to make one statement of 600 jobs with 1 MiB each."""

Taken = Sequence[tuple[reads.Lane, list[Row]]]
"""The rows of claimed jobs, by lane."""


def enqueue(db: Database, jobs: Sequence[NewJob]) -> None:
    """Store jobs, all or none; they are on disk when this returns. Storing the same ones again changes nothing."""
    try:
        if len(jobs) == 1:  # a statement alone is a transaction, and cheaper than one between `begin` and `commit`
            db.execute(db.announcing(INSERT_JOB), msgspec.structs.asdict(jobs[0]))
        else:
            rows = [msgspec.structs.asdict(job) for job in jobs]
            db.transact(lambda: _enqueue_many(db, rows))
    except AlreadyStored:  # the connection broke before the answer to the commit came, and the statement was repeated
        if any(reads.status(db, job.id) is None for job in jobs):
            raise


def claim(
    db: Database, worker: str, now: int, lanes: Iterable[reads.Lane], room: Mapping[ExecutorKind, int]
) -> list[Claimed]:
    """Take due jobs for `worker`, lane by lane in the order given, at most `room` of each kind of executor."""
    return claimed(take(db, worker, now, lanes, room))


def take(
    db: Database,
    worker: str,
    now: int,
    lanes: Iterable[reads.Lane],
    room: Mapping[ExecutorKind, int],
    most: int | None = None,
) -> Taken:
    """The first half of `claim`, to be done in a transaction: at most `most` in all. `claimed` is the other."""
    chosen = [lane for lane in lanes if lane.run_at <= now and room.get(lane.executor, 0) > 0]
    if len(chosen) == 1 and db.dialect.returning:  # one statement is a transaction by itself
        return _take_lanes(db, worker, now, chosen, room, most)
    return db.transact(lambda: _take_lanes(db, worker, now, chosen, room, most)) if chosen else []


def claimed(taken: Taken) -> list[Claimed]:
    """The jobs of such rows, in the order in which they are to run."""
    return [
        Claimed(*row, lane.queue, lane.executor, lane.priority)
        for lane, rows in taken
        for row in sorted(sound_of_lane(rows), key=_by_age)  # `returning` promises no order
    ]


@transactional
def claim_one(db: Database, worker: str, now: int, job_id: str) -> Claimed | None:
    """Take one waiting job, due or not; None when it does not wait."""
    rows = db.query(_CHOOSE_ONE, {"id": job_id})
    if not rows:
        return None
    db.execute(_TAKE_ONE, {"worker": worker, "now": now, "id": job_id})
    return Claimed(*sound(rows[0], CLAIMED))


def settle(db: Database, batch: Batch) -> list[Settlement]:
    """Write a batch of outcomes in one transaction; returns those refused because the job had been taken away."""
    if batch.others or batch.logs:
        written = db.transact(lambda: _settle(db, batch))
    else:
        written = db.write_batch("complete", COMPLETE, batch.completed) if batch.completed else 0
    if written == len(batch.completed) + len(batch.others):
        return []
    open_ = [settlement for settlement in batch.settlements if not settlement.outcome.stored]
    stored = _stored(db, open_)
    return [s for s in open_ if (s.job.id, s.job.lease, s.outcome.kind) not in stored]


@transactional
def release(db: Database, jobs: Sequence[Claimed], now: int) -> None:
    """Give back claimed jobs that were never started, as if they had not been claimed."""
    rows = [{"id": job.id, "lease": job.lease, "now": now} for job in sorted(jobs, key=lambda job: job.id)]
    db.write_batch("release", RELEASE, rows)
    db.announce()


@transactional
def save_logs(db: Database, logs: Sequence[tuple[Claimed, Sequence[str]]]) -> None:
    """Store the log lines that running attempts have written so far."""
    rows = [{"id": job.id, "lease": job.lease, "number": job.attempt, "lines": "\n".join(ls)} for job, ls in logs]
    db.write_batch("logs", _RECORD_LOGS, rows)


@transactional
def save_progress(db: Database, progress: Sequence[tuple[Claimed, float | None, str | None]]) -> None:
    """Store how far jobs have come; the last word may arrive after the job has been settled."""
    ordered = sorted(progress, key=lambda told: told[0].id)
    rows = [{"id": job.id, "lease": job.lease, "progress": part, "message": message} for job, part, message in ordered]
    db.write_batch("progress", _PROGRESS, rows)


@repeatable("cancelled")
def cancel(db: Database, job_id: str, now: int) -> str | None:
    """Cancel a waiting job, or ask the worker of a running one to; returns the status found, None for no such job."""
    status = reads.locked_status(db, job_id)
    if status in WAITING:
        db.execute_each(CANCEL, [job_id], now=now)
    elif status == "running":
        db.execute_each(ASK_TO_CANCEL, [job_id])
    return status


@transactional
def retry(db: Database, job_id: str, now: int) -> str | None:
    """Make a failed or cancelled job wait again with all its attempts, or a waiting retry due now; as `cancel`."""
    status = reads.locked_status(db, job_id)
    if status in ("failed", "cancelled"):
        db.execute_each(RETRY, [job_id], now=now)
    elif status == "pending_retry":
        db.execute_each(MAKE_DUE, [job_id], now=now)
    db.announce()
    return status


@repeatable(None)
def delete(db: Database, job_id: str) -> str | None:
    """Delete a finished job with its attempts and logs; returns the status found, None for no such job."""
    status = reads.locked_status(db, job_id)
    if status in FINISHED:
        delete_all(db, [job_id])
    return status


def locked_of(db: Database, ids: Sequence[str], statuses: Sequence[str]) -> list[str]:
    """Those of these jobs that have one of the statuses, locked, in the order in which everybody locks several."""
    rows = db.query_each("select id, status from lateshift_jobs where id {among ids} order by id{lock}", sorted(ids))
    return sorted(id_ for id_, status in rows if status in statuses)


def delete_all(db: Database, ids: Sequence[str]) -> None:
    """Delete jobs of whatever status, with their attempts and logs."""
    for table, column in (("lateshift_jobs", "id"), ("lateshift_attempts", "job_id"), ("lateshift_logs", "job_id")):
        db.execute_each(f"delete from {table} where {column} {{among ids}}", ids)


@transactional
def prune(db: Database, before: int, limit: int = 1000) -> int:
    """Delete up to `limit` finished jobs that ended before `before`; returns how many. Never takes a live job."""
    ids: list[str] = []
    for status in ("completed", "cancelled", "failed"):
        rows = db.query(
            "select id from lateshift_jobs where status = :status and finished_at < :before"
            " order by finished_at limit :limit{skip_locked}",
            {"status": status, "before": before, "limit": limit - len(ids)},
        )
        ids.extend(row[0] for row in rows)
    delete_all(db, sorted(ids))
    return len(ids)


@repeatable(False)
def pause_queue(db: Database, name: str, now: int | None) -> bool:
    """Pause a queue at `now`, or resume it with None; returns whether that changed anything."""
    if reads.queue_paused(db, name) == (now is not None):
        return False
    db.execute(
        "insert into lateshift_queues (name, paused_at) values (:name, :now)"
        " {on_conflict(name)} paused_at = {new(paused_at)}",
        {"name": name, "now": now},
    )
    db.announce()
    return True


def _enqueue_many(db: Database, rows: Sequence[dict[str, Any]]) -> None:
    begin = size = 0
    for place, row in enumerate(rows):
        size += len(row["parameters"])
        if size > PORTION:
            db.write_batch("enqueue", INSERT_JOB, rows[begin : place + 1])
            begin, size = place + 1, 0
    db.write_batch("enqueue", INSERT_JOB, rows[begin:])
    db.announce()


def _take_lanes(
    db: Database,
    worker: str,
    now: int,
    lanes: Sequence[reads.Lane],
    room: Mapping[ExecutorKind, int],
    most: int | None,
) -> Taken:
    left = dict(room)
    taken: list[tuple[reads.Lane, list[Row]]] = []
    for lane in lanes:
        limit = left.get(lane.executor, 0)
        if most is not None:
            limit = min(limit, most - sum(len(rows) for _, rows in taken))
        if limit <= 0:
            continue
        rows = _take(
            db,
            {
                "worker": worker,
                "now": now,
                "queue": lane.queue,
                "executor": lane.executor,
                "priority": lane.priority,
                "limit": limit,
            },
        )
        taken.append((lane, rows))
        left[lane.executor] -= len(rows)
    return taken


def _settle(db: Database, batch: Batch) -> int:
    db.write_batch("logs", _RECORD_LOGS, batch.logs)
    written = db.write_batch("complete", COMPLETE, batch.completed)
    db.write_batch("attempts", _RECORD_ATTEMPT, batch.others)
    written += db.write_batch("settle", _SETTLE, batch.others)
    if batch.worn:
        db.execute_many(_FORGET_UNCOUNTED, batch.worn)
        db.execute_many(_FORGET_LOGS, batch.worn)
    return written


def _take(db: Database, values: dict[str, Any]) -> list[Row]:
    if db.dialect.returning:
        return db.query(_CLAIM, values)
    rows = db.query(_CHOOSE, values)
    if rows:
        db.execute(_TAKE_CHOSEN, {**values, "ids": [row[_SEQ] for row in rows]})
    return rows


def _stored(db: Database, settlements: Sequence[Settlement]) -> set[Row]:
    """(id, lease, kind) of what was written of these jobs before: a commit whose answer got lost is repeated."""
    completed = [s.job.id for s in settlements if s.outcome.kind == "completed"]
    others = [s.job.id for s in settlements if s.outcome.kind != "completed"]
    by_job = "select id, lease, status from lateshift_jobs where id {among ids} and status = 'completed'"
    by_attempt = "select job_id, lease, outcome from lateshift_attempts where job_id {among ids}"
    return {*db.query_each(by_job, completed), *db.query_each(by_attempt, others)}
