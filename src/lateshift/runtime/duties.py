"""The worker's housekeeping. A duty has no thread, no sleep and no clock: `tick(now) -> seconds until next`.

Every duty is safe to run on two hosts at once, so there is no leader. `now` is microseconds by the database's clock.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from lateshift.errors import StorageError
from lateshift.events import Event, Events, JobFinished, JobRescued, WorkerStopped
from lateshift.host import presence
from lateshift.host.fleet import HEARTBEAT, LEASE, is_alive, is_here
from lateshift.job import Claimed, JobError
from lateshift.outcome import MAX_CRASHES, WORKER_DIED, lost, unwritten
from lateshift.runtime import settling
from lateshift.runtime.crew import Crew
from lateshift.runtime.fence import AGAIN, Fence
from lateshift.runtime.output import complain
from lateshift.storage import reads, workers, writes
from lateshift.storage.audit import mark_death
from lateshift.storage.database import Database
from lateshift.storage.files import GONE
from lateshift.storage.settlements import Batch, Settlement
from lateshift.texts import megabytes


class Duty(Protocol):
    """A piece of background housekeeping."""

    def tick(self, now: int) -> float:
        """Do what is due at `now`; returns the seconds until it wants to be called again."""


class Heartbeat:
    """Renews the worker's lease; `evicted` turns True when others have declared the worker dead.

    Also when its SQLite file has gone: nobody sees any more what is written to the one that is open.
    """

    def __init__(self, db: Database, worker: str, crew: Crew, fence: Fence | None = None) -> None:
        self._db, self._worker, self._crew, self._fence = db, worker, crew, fence
        self._lease = LEASE if fence is None else fence.lease
        self.evicted = False
        self._measured = (time.monotonic(), time.process_time())

    def tick(self, now: int) -> float:
        """Write a heartbeat; from the moment before it the crew may begin jobs for the length of the lease."""
        began, at = time.monotonic(), self._crew.lease_clock()
        if self._fence is not None and not self._fence.renew(idle=not self._crew.busy):
            return AGAIN
        if self.has_nothing():
            return AGAIN
        if workers.heartbeat(self._db, self._worker, now, _memory_if_known(), self._cpu(began)):
            self._crew.lease_until = at + self._lease
        else:
            self.evicted = True
        return max(0.0, self._lease / 3 - (time.monotonic() - began))  # what it says is as old as its writing took

    def has_nothing(self) -> bool:
        """Whether its SQLite file has gone: then there is nothing to wait for, and nothing to write beside it."""
        if not self.evicted and self._db.keeps_file and self._db.file_has_gone():
            complain(f"lateshift: {self._worker}: {GONE.format(self._db.file)} It ends.")
            self.evicted = True
        return self.evicted

    def _cpu(self, at: float) -> float | None:
        """The share of a core that this process took since the last heartbeat."""
        (before, used_before), used = self._measured, time.process_time()
        self._measured = (at, used)
        return (used - used_before) / (at - before) if at - before > 0.1 else None


class Rescue:
    """Takes the jobs of dead workers back: of this host within about a second, of others after three heartbeats."""

    INTERVAL: Final = 1.0

    WATCHED: Final = LEASE
    """Seconds for which this duty must itself have seen no heartbeat of a worker. After the database was away, or this
    host asleep, every heartbeat is old; so the living get the time to write one, or the fence to end who stands still:
    while the database is away it is put off."""

    AWAY: Final = HEARTBEAT
    """Seconds between two looks after which the watch begins anew: so long the living may have been unable to write.
    Also backwards, as after the clock was set back."""

    def __init__(self, db: Database, events: Events, worker: str, rescued: Callable[[], None] = lambda: None) -> None:
        self._db, self._events, self._worker, self._rescued = db, events, worker, rescued
        self._last = 0
        self._seen: dict[tuple[str, int], int] = {}

    def tick(self, now: int) -> float:
        """Look at every other worker; rescue the dead ones' jobs."""
        if abs(now - self._last) > self.AWAY * 1_000_000:
            self._seen.clear()
        self._last = now
        others = [worker for worker in reads.workers(self._db) if worker.id != self._worker]
        beats = [(worker.id, worker.heartbeat_at) for worker in others]
        self._seen = {beat: self._seen.get(beat, now) for beat in beats}
        dead: list[tuple[str, str | None, int | None]] = [
            (w.id, w.folder if is_here(w) else None, w.heartbeat_at) for w in others if self._died(w, now)
        ]
        dead += [(owner, None, None) for owner in reads.absent_owners(self._db)]
        taken, trouble = 0, None
        for who in dead:
            try:
                taken += rescue(self._db, self._events, *who)
            except Exception as error:
                if settling.may_pass(error):
                    raise
                trouble = error  # the jobs of the others are waited for no less
        if taken:
            self._rescued()  # what this process writes itself is no news by which it would wake
        if trouble:
            raise trouble
        return self.INTERVAL + random.random() / 4

    def _died(self, worker: reads.WorkerRow, now: int) -> bool:
        if is_alive(worker, now):
            return False
        if is_here(worker) and presence.is_alive(worker.folder, worker.id) is False:
            return True  # its lock tells, whatever the clocks do
        return now - self._seen[worker.id, worker.heartbeat_at] >= self.WATCHED * 1_000_000


class Cancellations:
    """Passes operators' requests on to the jobs that run here."""

    def __init__(self, db: Database, worker: str, crew: Crew) -> None:
        self._db, self._worker, self._crew = db, worker, crew

    def tick(self, _: int) -> float:
        """Ask the database which running jobs are to be cancelled."""
        if self._crew.busy:
            for job_id, lease in reads.cancel_requests(self._db, self._worker):
                self._crew.cancel(job_id, lease)
        return 0.5


class Reports:
    """Writes the progress and the log lines of running jobs twice a second, those that changed."""

    INTERVAL: Final = 0.5

    def __init__(self, db: Database) -> None:
        self._db = db
        self._crew: Crew | None = None
        self._progress: dict[Claimed, tuple[float | None, str | None]] = {}
        self._lines: dict[Claimed, list[str]] = {}

    def report(self, job: Claimed, fraction: float | None, message: str | None) -> None:
        """Take note of a job's progress, from any thread."""
        self._progress[job] = (fraction, message)

    def watch(self, crew: Crew) -> None:
        """Look at the log lines of what this crew runs."""
        self._crew = crew

    def tick(self, _: int) -> float:
        """Write what is new."""
        taken, self._progress = self._progress, {}
        self._save(taken)
        runs = [] if self._crew is None else self._crew.running()
        lines = {run.job: list(run.context.log_lines) for run in runs if run.context.has_logged}
        fresh = [(job, said) for job, said in lines.items() if said != self._lines.get(job)]
        random.shuffle(fresh)  # so that no job's lines are put off each time
        if part := _first(fresh):
            writes.save_logs(self._db, part)
        self._lines = {job: said for job, said in self._lines.items() if job in lines} | dict(part)
        return self.INTERVAL

    def last_words(self, ended: Sequence[Settlement]) -> None:
        """Write what jobs have told before they ended, so that nobody sees them finished and three quarters done."""
        if self._progress:
            self._save({one.job: self._progress.pop(one.job) for one in ended if one.job in self._progress})

    def _save(self, taken: dict[Claimed, tuple[float | None, str | None]]) -> None:
        try:
            if taken:
                writes.save_progress(self._db, [(job, *told) for job, told in taken.items()])
        except StorageError:
            for job, told in taken.items():
                self._progress.setdefault(job, told)
            raise


def _first(logs: list[tuple[Claimed, list[str]]]) -> list[tuple[Claimed, list[str]]]:
    """As many of them as are written at once; the others wait for the next time."""
    size = 0
    for place, (_, lines) in enumerate(logs):
        size += sum(map(len, lines))
        if place and size > settling.TOGETHER:
            return logs[:place]
    return logs


class Prune:
    """Deletes finished jobs after LATESHIFT_KEEP_DAYS and old log files; a little at a time."""

    def __init__(self, db: Database, keep_days: float, delete_logs: Callable[[], Any]) -> None:
        self._db, self._keep, self._delete_logs = db, round(keep_days * 86_400_000_000), delete_logs

    def tick(self, now: int) -> float:
        """Delete one batch; comes back soon while there is more."""
        if writes.prune(self._db, now - self._keep, limit=500) == 500:
            return 0.2
        self._delete_logs()
        return 60.0


class Sweep:
    """Removes the files of dead workers of this host whom nobody knows, and who are nobody's to rescue.

    They were killed before they had signed on, or their jobs were taken back by another host, which has no hand here.
    """

    INTERVAL: Final = 60.0

    def __init__(self, db: Database, folder: Path) -> None:
        self._db, self._folder = db, folder

    def tick(self, _: int) -> float:
        """Look through the folder; who is known is asked last, as somebody may sign on and die meanwhile."""
        left: dict[str, list[Path]] = {}
        with suppress(OSError):  # it cannot be written, for as long as the disk is full
            left = presence.left_behind(self._folder, self.INTERVAL)
        for worker in left.keys() - {row.id for row in reads.workers(self._db)} if left else ():
            for path in left[worker]:
                with suppress(OSError):  # another one was faster
                    path.unlink()
        return self.INTERVAL


class Memory:
    """Watches the process's resident memory; `exceeded` turns True above `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.exceeded = False

    def tick(self, _: int) -> float:
        """Measure."""
        self.exceeded = (_memory_if_known() or 0) > self._limit
        return 1.0


def rescue(
    db: Database, events: Events, worker: str, folder: str | None, beat: int | None = None, how: str = "died"
) -> int:
    """Take the jobs of a dead worker back and forget the worker; returns how many jobs.

    Of a worker of this host (`folder` given) it is known which jobs had begun: only those count as crashed, and none of
    a worker that has no row any more. And which had ended without a word in the database: that is an attempt of theirs.
    Nothing is done if `beat`, by which the worker was found dead, is its last heartbeat no more. `how` it died, in
    words, is for the jobs' error.
    """
    begun = None if folder is None else presence.started_jobs(folder, worker)
    ended = frozenset() if folder is None else presence.ended_jobs(folder, worker)
    taken = db.transact(lambda: _take_back(db, worker, begun, ended, beat, how=how))
    if taken is None:
        if folder is not None and presence.is_alive(folder, worker) is False and not _is_known(db, worker):
            presence.forget(folder, worker)  # another host was faster, and cannot
        return 0
    told, count = taken
    if folder is not None:
        presence.forget(folder, worker)
    events.emit(told)
    return count


def _take_back(
    db: Database,
    worker: str,
    begun: frozenset[str] | None,
    ended: frozenset[tuple[str, int]],
    beat: int | None,
    *,
    how: str = "died",
) -> tuple[list[Event], int] | None:
    had = _memory_of(db, worker)
    removed = workers.remove_worker(db, worker, beat)
    if beat is not None and not removed:  # it has spoken meanwhile, or others were faster
        return None
    if begun is None and not removed:
        # Its row went with all that it held, in one transaction, or when it had ended in good order. So these came by a
        # claim that was committed later, and whose answer nobody has had.
        begun = frozenset()
    now = db.now()
    held = reads.running_jobs(db, worker)
    words = ("while the job was running", "just after the job had ended, as twice before")
    errors = [JobError(WORKER_DIED, f"the worker {worker} {how} {when}{had}") for when in words]
    settlements, innocent = _judge(db, held, begun, ended, now, *errors)
    refused = {id(settlement) for settlement in writes.settle(db, Batch(settlements))}
    writes.release(db, innocent, now)
    told: list[Event] = []
    for settlement in [s for s in settlements if id(s) not in refused]:
        job, outcome = settlement.job, settlement.outcome
        told.append(JobRescued(now, job.id, job.name, job.queue, job.attempt, worker, outcome.status))
        if outcome.kind == "failed":  # it crashed too often: that is an end like any other, for the logs and counts
            told.append(settling.told(settlement, worker, now))
    told.extend(JobRescued(now, j.id, j.name, j.queue, j.attempt, worker, "pending") for j in innocent)
    if removed:
        failed = sum(isinstance(event, JobFinished) for event in told)
        mark_death(db, now, worker, f"{len(held)} jobs taken back, {failed} of them failed for good")
        told.append(WorkerStopped(now, worker, f"found dead, {len(held)} jobs taken back"))
    return told, len(held)


def _judge(
    db: Database,
    held: Sequence[tuple[Claimed, int]],
    begun: frozenset[str] | None,
    ended: frozenset[tuple[str, int]],
    now: int,
    died_running: JobError,
    died_after: JobError,
) -> tuple[list[Settlement], list[Claimed]]:
    """What became of the attempts of a dead worker, and the jobs that it had not begun.

    An attempt that had ended is no crash, but the third one is: the job may leave behind what ends the process. It ran
    for ever, where the database is slower than that; in a process of its own it gets through. The errors are those of
    attempts that crashed while they ran, and after that.
    """
    over = {job.id for job, _ in held if (job.id, job.lease) in ended}
    again = workers.often_unwritten(db, over, MAX_CRASHES - 1)
    crashed = [(job, at) for job, at in held if begun is None or job.id in begun | again]
    others = [(job, at) for job, at in held if begun is not None and job.id not in begun | again]
    settlements, shared = list[Settlement](), len(crashed) > 1
    for job, at in crashed:
        error = died_after if job.id in again else died_running
        settlements.append(Settlement(job, lost(job, at, now, error, shared=shared)))
    settlements += [Settlement(job, unwritten(at, now)) for job, at in others if job.id in over]
    return settlements, [job for job, _ in others if job.id not in over]


def _is_known(db: Database, worker: str) -> bool:
    return any(row.id == worker for row in reads.workers(db))


def _memory_of(db: Database, worker: str) -> str:
    memory = workers.last_memory(db, worker)
    return "" if memory is None else f"; at its last heartbeat it had {megabytes(memory)} of memory"


def _memory_if_known() -> int | None:
    """None where no file is left to read it from: a worker must not be taken for dead because of that."""
    try:
        return resident_memory()
    except OSError:
        return None


def resident_memory() -> int:
    """The process's resident memory in bytes."""
    if sys.platform != "linux":
        import psutil

        return int(psutil.Process().memory_info().rss)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
