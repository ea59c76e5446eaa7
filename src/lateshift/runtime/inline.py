"""One waiting job, run now in this process: `lateshift run JOB_ID`.

The process is a worker for that long, with a row, a lock and a heartbeat like any other, so that nobody takes the job
for abandoned and nobody else runs it. The job runs in an executor's thread and this one does the duties.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

from lateshift.app import Lateshift
from lateshift.errors import JobNotFound, JobStateError, LateshiftError, StorageError
from lateshift.host.job_logs import captured_logging
from lateshift.host.presence import Presence, presence_folder
from lateshift.host.registration import new_worker_id, worker_of_this_process
from lateshift.job import Claimed, Job
from lateshift.options import check_id
from lateshift.outcome import returned
from lateshift.runtime import unstoppable
from lateshift.runtime.crew import Crew, slots_of
from lateshift.runtime.duties import Cancellations, Duty, Heartbeat, Reports
from lateshift.runtime.execution import OVERLAP_GUARD, Execution
from lateshift.runtime.history import Statistics
from lateshift.runtime.outage import TROUBLE_PAUSE, Outage
from lateshift.runtime.requests import Requests
from lateshift.runtime.settling import may_pass, settle_one, told
from lateshift.runtime.wake import PlainWake
from lateshift.storage import reads, workers, writes
from lateshift.storage.settlements import Settlement

LAST_WORDS: Final = 2.0
"""Seconds that the job gets to end after Ctrl-C."""


def run_one(app: Lateshift, job_id: str) -> Job:
    """Run a waiting job, due or not, to the end of one attempt, and return it as it stands then.

    Ctrl-C gives the job back without using up the attempt. Raises JobNotFound; JobStateError when it does not wait.
    """
    check_id(job_id)
    worker = new_worker_id()
    with _registered(app, worker) as presence, captured_logging(app.settings):
        claimed = writes.claim_one(app.database, worker, app.database.now(), job_id)
        if claimed is None:
            raise _not_waiting(app, job_id)
        _Inline(app, worker, presence).run(claimed)
    return app.get_job(job_id)


class _Inline:
    """The worker around one job."""

    def __init__(self, app: Lateshift, worker: str, presence: Presence) -> None:
        self._app, self._db, self._worker = app, app.database, worker
        self._wake = PlainWake()
        self._reports = Reports(self._db)
        self._execution = Execution(app.settings, app.database.reckon, self._reports.report)
        self._crew = Crew(worker, app.settings, self._execution, presence, self._wake, self._reports.report)
        self._reports.watch(self._crew)
        self._db.while_locked = self._keep
        self._heartbeat = Heartbeat(self._db, worker, self._crew)
        self._statistics = Statistics(self._db, app.events, worker)
        self._duties: list[Duty] = [
            self._heartbeat,
            Cancellations(self._db, worker, self._crew),
            self._reports,
            Requests(self._db, worker, self._crew, self._dismiss),
        ]
        self._stop_at = math.inf
        self._due = [0.0] * len(self._duties)
        self._outage = Outage(worker, self._db, app.events)
        self._failing: set[Duty] = set()

    def _keep(self) -> None:
        """While the database is locked: what it is locked by may be the job, and out of time."""
        self._crew.tick(time.monotonic())

    def _dismiss(self, how: Literal["drain", "stop"]) -> None:
        """Somebody asks this worker to stop: as Ctrl-C does, after the grace. To drain it need do nothing."""
        if how == "stop":
            self._stop_at = min(self._stop_at, time.monotonic() + self._app.settings.grace)

    def run(self, job: Claimed) -> None:
        """Run the job and write what became of it."""
        try:
            self._crew.submit([job])
            done = self._await_end(None)
        except KeyboardInterrupt:
            self._crew.interrupt()
            self._settle(self._await_end(LAST_WORDS) or self._give_back(job))
            raise
        self._settle(done or self._give_back(job))
        self._crew.close()
        self._execution.close()

    def _await_end(self, seconds: float | None) -> Settlement | None:
        """The job's outcome; None when it did not come in time or its code cannot be stopped."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not (done := self._crew.collect(now := time.monotonic())):
            if deadline is None and now >= self._stop_at:
                raise KeyboardInterrupt
            if self._crew.stuck() or (deadline is not None and now >= deadline):
                return None
            self._tell_started()
            pause = self._do_duties(now)
            self._wake.wait(pause if deadline is None else min(pause, deadline - now))
        self._tell_started()
        return done[0]

    def _do_duties(self, now: float) -> float:
        """Do what is due; the seconds until something is due again."""
        for place, duty in enumerate(self._duties):
            if now >= self._due[place]:
                try:
                    self._due[place] = now + duty.tick(self._db.now())
                    self._failing.discard(duty)
                except StorageError as error:
                    self._trouble(error)
                    self._failing.add(duty)
                    self._due[place] = now + TROUBLE_PAUSE
        if not self._failing:
            self._outage.over(now)
        if self._heartbeat.evicted:
            self._crew.interrupt()
            raise LateshiftError(
                "Other workers took this process for dead, because it was stopped for a while, and run the job "
                "themselves; what it did here is thrown away. `lateshift list` shows how the job stands."
            )
        tick = self._crew.tick(now)
        return max(0.0, min(*self._due, now + (1.0 if tick is None else tick)) - now)

    def _trouble(self, error: StorageError) -> None:
        """The database cannot be written: the job goes on. Raises the error if it will not pass."""
        if not may_pass(error):
            raise error
        self._outage.tell(error, time.monotonic())

    def _tell_started(self) -> None:
        self._app.events.emit(self._crew.begun())

    def _give_back(self, job: Claimed) -> Settlement:
        """For a job whose code goes on until this process ends, or that had no thread to begin in."""
        if running := self._crew.running():
            return unstoppable.leave(running[0], self._execution)
        now = self._db.reckon()
        return Settlement(job, returned(now, now, OVERLAP_GUARD))

    def _settle(self, done: Settlement) -> None:
        while True:
            try:
                done, refused = settle_one(self._db, done)
                break
            except StorageError as error:
                self._trouble(error)
                time.sleep(TROUBLE_PAUSE)
        self._outage.over(time.monotonic())
        now = self._db.now()
        self._app.events.emit([told(done, self._worker, now, refused=refused)])
        self._statistics.tick(now)


@contextmanager
def _registered(app: Lateshift, worker: str) -> Iterator[Presence]:
    folder = presence_folder(app.settings)
    presence = Presence(folder, worker, sum(slots_of(app.settings).values()))
    presence.acquire()
    try:
        row = worker_of_this_process(worker, folder, (workers.ONE_JOB,))
        workers.register_worker(app.database, row, app.database.now())
        try:
            yield presence
        finally:
            workers.remove_worker(app.database, worker)
    finally:
        presence.release()


def _not_waiting(app: Lateshift, job_id: str) -> LateshiftError:
    status = reads.status(app.database, job_id)
    if status is None:
        return JobNotFound(job_id)
    advice = {
        "running": f"`lateshift wait {job_id}` waits for it",
        "completed": "enqueue it anew",
    }.get(status, f"`lateshift retry {job_id}` makes it wait again")
    return JobStateError(f"Job {job_id} is {status}, only a waiting job can be run: {advice}.", job_id, status)
