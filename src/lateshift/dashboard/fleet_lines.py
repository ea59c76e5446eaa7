"""Workers as the pages list them: whether each lives, and what runs in which of its slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lateshift.dashboard.view import View
from lateshift.host.fleet import living
from lateshift.job import EXECUTORS
from lateshift.storage import reads
from lateshift.storage.workers import HeldJob, WorkerDetail, claims_jobs, served, worker_details


class Slots(NamedTuple):
    """The slots of one kind of executor: how many there are, None if the worker does not say, and what is in them."""

    kind: str
    size: int | None
    jobs: Sequence[HeldJob]

    @property
    def taken(self) -> int:
        """How many slots are in use; a worker may hold more jobs than it runs, if they are short."""
        return len(self.jobs) if self.size is None else min(len(self.jobs), self.size)


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A worker, and whether it is alive."""

    worker: WorkerDetail
    alive: bool

    @property
    def leaving(self) -> bool:
        """Whether it takes no more jobs, and ends when those that it has have ended."""
        return self.alive and not claims_jobs(self.worker.queues)

    @property
    def queues(self) -> str:
        """The queues that it serves, in words."""
        return served(self.worker.queues)

    @property
    def slots(self) -> list[Slots]:
        """Its slots by kind of executor: those that it has, and those in which something runs."""
        jobs = self.worker.jobs
        kinds = [kind for kind in EXECUTORS if kind in self.worker.slots or any(job.executor == kind for job in jobs)]
        return [
            Slots(kind, self.worker.slots.get(kind), [job for job in jobs if job.executor == kind]) for kind in kinds
        ]


def read_workers(view: View) -> list[WorkerLine]:
    """Every worker that has announced itself and not signed off, dead ones included, by host."""
    alive = {row.id for row in living(view.read(reads.workers), view.now)}
    lines = [WorkerLine(worker, worker.id in alive) for worker in view.read(worker_details)]
    return sorted(lines, key=lambda line: (line.worker.host, not line.alive, line.worker.started_at, line.worker.id))


def find_worker(view: View, worker_id: str) -> WorkerLine | None:
    """One of them; None when it has signed off, or was found dead and its jobs were taken back."""
    return next((line for line in read_workers(view) if line.worker.id == worker_id), None)
