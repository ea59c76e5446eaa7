"""From what the storage gives to what the API answers."""

from __future__ import annotations

from typing import Any, cast

from lateshift.dashboard.api import shapes
from lateshift.dashboard.bulk_runs import Run
from lateshift.dashboard.view import View
from lateshift.job import Attempt, Job, JobError, moment, to_datetime
from lateshift.storage.audit import AuditEntry, Mark
from lateshift.storage.bulk import Action
from lateshift.storage.counting import Count
from lateshift.storage.failures import ErrorGroup
from lateshift.storage.history import CallableRow, Point, Quantiles, QueueRate
from lateshift.storage.reads import QueueRow
from lateshift.storage.requests import Request
from lateshift.storage.workers import HeldJob, WorkerDetail, claims_jobs


def job_fields(view: View, job: Job) -> dict[str, Any]:
    """What every shape of a job has, as this user may see it."""
    fields = {name: getattr(job, name) for name in shapes.Job.__struct_fields__}
    return {
        **fields,
        "parameters": view.shown(job.parameters),
        "result": view.shown(job.result),
        "error": error(job.error),
    }


def job(view: View, found: Job) -> shapes.Job:
    """A job without its attempts."""
    return shapes.Job(**job_fields(view, found))


def attempt(found: Attempt) -> shapes.Attempt:
    """An attempt."""
    return shapes.Attempt(
        number=found.number,
        outcome=found.outcome,  # type: ignore[arg-type]
        started_at=found.started_at,
        finished_at=found.finished_at,
        worker=found.worker,
        error=error(found.error),
        logs=list(found.logs),
    )


def error(found: JobError | None) -> shapes.Error | None:
    """An error, if there is one."""
    return None if found is None else shapes.Error(found.type, found.message, found.traceback)


def count(found: Count) -> shapes.Count:
    """A bounded count."""
    return shapes.Count(found.number, found.more)


def queue(row: QueueRow, rate: QueueRate | None) -> shapes.Queue:
    """A queue; one of which nothing moves has no rate."""
    return shapes.Queue(
        name=row.name,
        paused=row.paused,
        waiting=row.waiting,
        delayed=row.delayed,
        running=row.running,
        oldest=to_datetime(row.oldest),
        speed_in=rate.speed_in if rate else 0.0,
        speed_out=rate.speed_out if rate else 0.0,
        empty_in=rate.empty_in if rate else 0.0,
    )


def worker(detail: WorkerDetail, *, alive: bool) -> shapes.Worker:
    """A worker and what it holds."""
    names = ("id", "kind", "host", "pid", "version", "memory", "cpu", "slots")
    claims = claims_jobs(detail.queues)
    return shapes.Worker(
        **{name: getattr(detail, name) for name in names},
        queues=list(detail.queues) if claims else [],
        release=detail.revision,
        started_at=moment(detail.started_at),
        heartbeat_at=moment(detail.heartbeat_at),
        running=detail.held,
        alive=alive,
        claims=claims,
        jobs=[_held(job) for job in detail.jobs],
    )


def _held(found: HeldJob) -> shapes.HeldJob:
    since = moment(found.since)
    told = (found.progress, found.progress_message)
    return shapes.HeldJob(found.id, found.name, found.queue, found.attempt, since, *told)


def request(found: Request) -> shapes.WorkerRequest:
    """What was asked of a worker."""
    asked, answered = moment(found.asked_at), to_datetime(found.answered_at)
    return shapes.WorkerRequest(found.worker, found.id, found.kind, found.job_id, asked, answered, found.answer)


def error_group(group: ErrorGroup) -> shapes.ErrorGroup:
    """A group of failures."""
    names = ("fingerprint", "type", "place", "message", "failed", "retried", "job_id", "state", "resolved_by")
    return shapes.ErrorGroup(
        **{name: getattr(group, name) for name in names},
        names=list(group.names),
        first_at=moment(group.first_at),
        last_at=moment(group.last_at),
        trend=list(group.trend),
        resolved_at=to_datetime(group.resolved_at),
    )


def point(found: Point) -> shapes.Point:
    """A step of a chart."""
    names = ("completed", "failed", "retried", "cancelled", "wait_time", "run_time")
    return shapes.Point(
        **{name: getattr(found, name) for name in names},
        at=moment(found.at),
        waiting=_quantiles(found.waiting),
        running=_quantiles(found.running),
    )


def _quantiles(found: Quantiles) -> shapes.Quantiles:
    return shapes.Quantiles(found.p50, found.p95, found.p99)


def mark(found: Mark) -> shapes.Mark:
    """A moment that charts show."""
    return shapes.Mark(moment(found.at), found.kind, found.label, found.details)


def callable_use(row: CallableRow) -> shapes.CallableUse:
    """A callable at a glance."""
    return shapes.CallableUse(row.name, list(row.queues), point(row.total), list(row.trend), row.change)


def audit_entry(entry: AuditEntry) -> shapes.AuditEntry:
    """An action that was noted."""
    at = moment(entry.at)
    return shapes.AuditEntry(entry.id, at, entry.actor, entry.action, entry.target, entry.number, entry.details)


def bulk(run: Run) -> shapes.Bulk:
    """How far an action on many jobs is."""
    return shapes.Bulk(
        id=run.id,
        action=cast(Action, run.action),
        total=count(run.total),
        seen=run.seen,
        changed=run.changed,
        state=run.state,
        undo=run.id if run.undoable else None,
        warning=run.trouble or None,
    )


def bulk_count(action: Action, total: Count) -> shapes.Bulk:
    """An action that was only counted."""
    return shapes.Bulk(
        id=None, action=action, total=count(total), seen=0, changed=0, state="counted", undo=None, warning=None
    )
