"""Every address of the dashboard: which function answers it, and which role it asks for.

A page is a function that takes a `View` and returns a response. It runs in a thread. To add one: a function in
`pages/`, a template, a row here, a test, and for the rail a row in `sections`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from starlette.responses import Response

from lateshift.accounts import Role
from lateshift.dashboard import actions, bulk_actions, dismissing, error_actions, purging
from lateshift.dashboard.pages import (
    again,
    audit,
    bulk,
    callables,
    doctor,
    errors,
    job,
    jobs,
    new_job,
    overview,
    queue,
    queues,
    stack,
    worker,
    workers,
)
from lateshift.dashboard.view import View


class Page(NamedTuple):
    """One address; `role` is the least one that is let in, and with `change` it is asked for with POST.

    A `part` is not a page but something that a script puts into one.
    """

    path: str
    show: Callable[[View], Response]
    role: Role = "viewer"
    change: bool = False
    part: bool = False


PAGES: Final = (
    Page("/", overview.show),
    Page("/jobs", jobs.show),
    Page("/jobs/suggestions", jobs.suggest, part=True),
    Page("/jobs/{id}", job.show),
    Page("/jobs/{id}/retry", actions.retry, "operator", change=True),
    Page("/jobs/{id}/cancel", actions.cancel, "operator", change=True),
    Page("/jobs/{id}/again", actions.run_again, "operator", change=True),
    Page("/jobs/{id}/edit", again.show, "operator"),
    Page("/jobs/{id}/edit", again.run, "operator", change=True),
    Page("/jobs/{id}/stack", stack.show, "operator"),
    Page("/jobs/{id}/stack", stack.ask, "operator", change=True),
    Page("/jobs/{id}/delete", actions.delete, "admin", change=True),
    Page("/bulk", bulk.listing),
    Page("/bulk/{id}", bulk.show),
    Page("/bulk/{id}/stop", bulk_actions.stop, "operator", change=True),
    Page("/bulk/{id}/undo", bulk_actions.undo, "admin", change=True),
    Page("/bulk/{action}/jobs", bulk.confirm, "operator"),
    Page("/bulk/{action}/jobs", bulk_actions.start, "operator", change=True),
    Page("/errors", errors.show),
    Page("/errors/{fingerprint}", errors.show_group),
    Page("/errors/{fingerprint}/resolve", error_actions.resolve, "operator", change=True),
    Page("/errors/{fingerprint}/reopen", error_actions.reopen, "operator", change=True),
    Page("/queues", queues.show),
    Page("/queues/{name:path}/pause", actions.pause, "operator", change=True),
    Page("/queues/{name:path}/resume", actions.resume, "operator", change=True),
    Page("/queues/{name:path}/purge", purging.purge, "admin", change=True),
    Page("/queues/{name:path}", queue.show),
    Page("/callables", callables.show),
    Page("/callables/new", new_job.show, "operator"),
    Page("/callables/new", new_job.enqueue, "operator", change=True),
    Page("/workers", workers.show),
    Page("/workers/{worker:path}/stop", dismissing.stop, "operator", change=True),
    Page("/workers/{worker:path}/drain", dismissing.drain, "operator", change=True),
    Page("/workers/{worker:path}", worker.show),
    Page("/doctor", doctor.show),
    Page("/audit", audit.show),
)
