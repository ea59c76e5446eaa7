"""Asking a worker to end: at once but in good order, or when its jobs have ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from lateshift.dashboard import deeds
from lateshift.dashboard.actions import ask
from lateshift.dashboard.fleet_lines import WorkerLine, find_worker
from lateshift.dashboard.view import View
from lateshift.settings import Settings
from lateshift.storage.requests import RequestKind
from lateshift.wording import count, long_duration

QUESTIONS: Final[Mapping[RequestKind, str]] = {"stop": "Stop this worker?", "drain": "Drain this worker?"}


def stop(view: View) -> Response:
    """Have a worker end within the grace period."""
    return _dismiss(view, "stop")


def drain(view: View) -> Response:
    """Have a worker end when its jobs have ended."""
    return _dismiss(view, "drain")


def meaning(kind: RequestKind, line: WorkerLine, settings: Settings) -> str:
    """What the worker will do, how many jobs that touches, and that nobody comes in its place."""
    held = line.worker.held
    running = count(held, "job")
    if not held:
        jobs = "It runs nothing now, so it ends within a second or two."
    elif kind == "drain":
        jobs = f"Its {running} {'ends' if held == 1 else 'end'} first, however long that takes."
    else:
        grace = long_duration(settings.grace)
        jobs = (
            f"Its {running} {'gets' if held == 1 else 'get'} {grace} to end; what runs then is stopped and waits again."
        )
    return f"It takes no more jobs. {jobs} No other worker is started in its place."


def _dismiss(view: View, kind: RequestKind) -> Response:
    worker_id = view.path["worker"]
    page = view.url(f"/workers/{worker_id}")
    line = find_worker(view, worker_id)
    if line is None or not line.alive:
        return view.done(f"The worker {worker_id} is not alive: there is nobody to ask.", page, "refused")
    if view.form.get("confirmed") != "yes":
        detail = f"{worker_id}: {meaning(kind, line, view.desk.settings)}"
        return ask(view, QUESTIONS[kind], detail, kind.capitalize(), f"/workers/{worker_id}", danger=kind == "stop")
    deeds.dismiss(view, kind, worker_id)
    words = "stop" if kind == "stop" else "drain: it ends when its jobs have ended"
    return view.done(f"Worker {worker_id} was asked to {words}.", page)
