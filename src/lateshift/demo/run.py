"""One run of the demo: enqueued once, found again after an interruption, watched until all its jobs are finished.

The run's name is written to `storage/demo.json` before its jobs are enqueued, which happens in one transaction, and
each job carries that name. So whenever the demo is killed, its next start finds either no job of the run, or all.
"""

from __future__ import annotations

import json
import os
import secrets
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lateshift.app import Lateshift
from lateshift.demo.jobs import AlwaysFails, AnalyseFile, Ready, UnsteadyService
from lateshift.demo.sources import Source
from lateshift.enqueuing import Call
from lateshift.errors import CallableNotAllowed, LateshiftError, WaitTimeout
from lateshift.host.fleet import ensure_runner, living, serves
from lateshift.job import FINISHED, Job
from lateshift.storage import reads
from lateshift.storage.files import make_private

QUEUE: Final = "demo"
ALLOWED: Final = "lateshift.demo.jobs"
DELAYS: Final = (2.0, 3.0, 4.0)
"""Seconds that some of the files are held back."""

PATIENCE: Final = 10.0
"""Seconds that a worker gets to show whether it may run the demo's jobs."""


class DemoRefused(LateshiftError):
    """The demo cannot be run here and now."""


class Run:
    """A run and its jobs. `statuses` is what was last read of each.

    `resumed` tells whether they were there already; `found_worker` names a worker that was there before them.
    """

    def __init__(self, app: Lateshift, folder: Path) -> None:
        self.app, self.folder = app, folder
        self.name = ""
        self.resumed = False
        self.found_worker: str | None = None
        self.statuses: dict[str, str] = {}

    @property
    def finished(self) -> int:
        """How many jobs have come to their end."""
        return sum(status in FINISHED or status == "deleted" for status in self.statuses.values())

    @property
    def done(self) -> bool:
        """Whether all have."""
        return self.finished == len(self.statuses)

    def begin(self, sources: Sequence[Source]) -> None:
        """Enqueue the run's jobs, unless an interrupted run on this folder has: then carry on with that one."""
        self.found_worker = _living_worker(self.app)
        memory = _recall(self._memory)
        self.name = memory.get(str(self.folder), "")
        if self.name:
            self.statuses = {job.id: job.status for job in self.jobs()}
            self.resumed = bool(self.statuses)
        if not self.resumed:
            if self.found_worker is not None:
                _check_allowed(self.app)
            self.name = self.name or secrets.token_hex(4)
            _remember(self._memory, {**memory, str(self.folder): self.name})
            self.statuses = dict.fromkeys(self.app.enqueue_many(_calls(sources, self.name)), "pending")

    def forget(self) -> None:
        """The run has been shown to its end: the next demo on this folder is a new one."""
        memory = _recall(self._memory)
        memory.pop(str(self.folder), None)
        _remember(self._memory, memory)

    def refresh(self) -> bool:
        """Ask for the jobs that are not finished; returns whether anything has changed."""
        before = Counter(self.statuses.values())
        for job_id, status in self.statuses.items():
            if status not in FINISHED:
                self.statuses[job_id] = reads.status(self.app.database, job_id) or "deleted"
        return Counter(self.statuses.values()) != before

    def keep_going(self) -> None:
        """See to it that a runner is there, as long as there is work; somebody may have killed it."""
        ensure_runner(self.app.database, self.app.settings, {QUEUE})

    def unfinished(self) -> str | None:
        """A job that is not finished."""
        return next((job_id for job_id, status in self.statuses.items() if status not in FINISHED), None)

    def jobs(self) -> list[Job]:
        """The run's jobs as they are now, in the order in which they were enqueued."""
        found = self.app.list_jobs(queue=QUEUE, name=ALLOWED, limit=1_000_000)
        return [job for job in reversed(found) if job.parameters.get("run") == self.name]

    @property
    def _memory(self) -> Path:
        return self.app.settings.storage_dir / "demo.json"


def _calls(sources: Sequence[Source], run: str) -> list[Call]:
    """One job for each file, the largest tenth with priority 10, the smallest with 1; and the two that fail."""
    number = len(sources)
    places = [number * quarter // 4 for quarter in range(1, 4)]  # spread over the priorities
    held = dict(zip(places, DELAYS, strict=True)) if number >= 4 else {}
    calls = [
        Call(
            AnalyseFile,
            parameters={"path": source.path, "run": run},
            priority=10 - place * 10 // number,
            delay=held.get(place, 0),
            queue=QUEUE,
        )
        for place, source in enumerate(sources)
    ]
    return [
        *calls,
        Call(UnsteadyService, parameters={"run": run}, priority=10, queue=QUEUE),
        Call(AlwaysFails, parameters={"run": run}, priority=10, queue=QUEUE),
    ]


def _living_worker(app: Lateshift) -> str | None:
    alive = living(reads.workers(app.database), app.database.now())
    return next((worker.id for worker in alive if serves(worker, QUEUE)), None)


def _check_allowed(app: Lateshift) -> None:
    """A project's own worker would take the demo's jobs, and fail them all: find out with a single one."""
    job_id = app.run_background_job(Ready, queue=QUEUE, priority=10, max_retries=0)
    try:
        job = app.wait_for_job(job_id, PATIENCE)
    except WaitTimeout:  # busy with other work; the display will tell how it goes on
        app.cancel_job(job_id)
        return
    app.delete_job(job_id)
    if job.error is not None and job.error.type.endswith(CallableNotAllowed.__name__):
        raise DemoRefused(
            f"This project has a worker at work, {job.worker}, whose allow-list does not have {ALLOWED}. Run the demo "
            "in an empty folder, stop that worker (a runner ends by itself when it is idle), or let it run the demo "
            f"with LATESHIFT_ALLOWED={','.join(app.settings.allowed)}."
        )


def _recall(path: Path) -> dict[str, str]:
    """Folder -> name of the run that is under way on it."""
    try:
        memory: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in memory.items()} if isinstance(memory, dict) else {}


def _remember(path: Path, memory: dict[str, str]) -> None:
    """Write in a way that a kill leaves either the old file or the new one."""
    if not memory:
        path.unlink(missing_ok=True)
        return
    make_private(path.parent)
    fresh = path.with_suffix(".new")
    with open(fresh, "w", encoding="utf-8") as file:
        json.dump(memory, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
