"""Checks of the work itself: the database, the workers, and jobs that have got stuck."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from lateshift.doctor.place import Check, Level, Place, can_make
from lateshift.host.fleet import HEARTBEAT, serves
from lateshift.host.presence import runner_file
from lateshift.host.registration import worker_of_this_process
from lateshift.host.turn import is_taken
from lateshift.judgement import LATE, STARTING
from lateshift.storage import reads
from lateshift.storage.counting import Count
from lateshift.storage.health import product
from lateshift.storage.migrations import pending, version
from lateshift.storage.reads import QueueRow, WorkerRow
from lateshift.storage.schema import LATEST
from lateshift.storage.workers import NewWorker, register_worker, remove_worker
from lateshift.wording import as_argument, count, duration


def database(place: Place) -> Iterator[Check]:
    """Whether the database can be read and written, and has the current schema."""
    if place.file is not None and not place.db.exists():
        yield _not_there(place.file)
        return
    missing = pending(place.db)
    if missing:
        yield _old(place, missing[0].number - 1)
        return
    probe = worker_of_this_process(f"doctor-{os.getpid()}", "", ())
    began = time.perf_counter()
    place.db.transact(lambda: _write_and_undo(place, probe))
    took = duration(time.perf_counter() - began)
    reads.lanes(place.db)  # what every claim asks first
    place.usable = True
    what = place.db.place if place.file is not None else f"{product(place.db)} at {place.db.place}"
    yield Check("database", "ok", f"{what} can be read and written; a commit took {took}")
    yield Check("schema", "ok", f"{version(place.db)}, the current one")


def workers(place: Place) -> Iterator[Check]:
    """Who is alive, and who died without signing off."""
    if not place.usable:
        return
    alive, dead = place.workers()
    for worker in dead:
        silent = duration(max(0, place.db.now() - worker.heartbeat_at) / 1_000_000)
        told = f"{worker.id} (process {worker.pid} on {worker.host}) died; its last heartbeat was {silent} ago."
        yield Check("workers", "warning", told, _next_worker(place, alive))
    if alive:
        held = reads.held_jobs(place.db)
        listed = ", ".join(f"{worker.id} ({worker.kind}, {held[worker.id]} running)" for worker in alive)
        yield Check("workers", "ok", f"{len(alive)} alive: {listed}")
    else:
        yield _nobody(place)


def jobs(place: Place) -> Iterator[Check]:
    """Running jobs that nobody runs, and due ones that nobody takes."""
    if not place.usable:
        return
    alive, dead = place.workers()
    troubles = list(_orphans(place, [*(worker.id for worker in dead), *reads.absent_owners(place.db)], alive))
    now = place.db.now()
    for queue in reads.queues(place.db, now):
        late = 0.0 if queue.oldest is None else (now - queue.oldest) / 1_000_000
        if late > LATE:
            troubles.append(_late(place, queue, late, sum(serves(worker, queue.name) for worker in alive)))
    yield from troubles or [Check("jobs", "ok", "none is stuck, none has lost its worker")]


def _nobody(place: Place) -> Check:
    """What to say where nobody works: that is as it should be if nothing is due and runners start by themselves."""
    now = place.db.now()
    due = [queue for queue in reads.queues(place.db, now) if queue.waiting and not queue.paused]
    number = sum(queue.waiting for queue in due)
    jobs = f"{Count.of(number).words('job')} {'is' if number == 1 else 'are'} due"
    late = max((now - (queue.oldest or now) for queue in due), default=0) / 1_000_000
    if place.settings.spawn == "never":
        told = "None is running, and none starts by itself, because LATESHIFT_SPAWN is never"
        told = f"{told}; {jobs}." if due else f"{told}."
        return Check("workers", _unserved(place, late), told, "Start `lateshift work`.")
    if late <= STARTING:
        return Check("workers", "ok", "none is running; a runner starts by itself when a job is enqueued")
    if is_taken(runner_file(place.settings, "turn")):
        return Check("workers", "ok", "none is running yet; a runner is about to")
    told = f"None is running, and {jobs}, the oldest since {duration(late)}."
    log = place.settings.storage_dir / "logs" / "runner.log"
    remedy = (
        "Start `lateshift work`; or enqueue a job, or wait for one, which starts a runner. If it does not stay, "
        f"{log} has its last words."
    )
    return Check("workers", _unserved(place, late), told, remedy)


def _unserved(place: Place, late: float) -> Level:
    """How bad it is that nobody serves jobs which have been due for so many seconds: in a deploy that passes."""
    return "error" if late > LATE and not is_taken(runner_file(place.settings, "turn")) else "warning"


def _write_and_undo(place: Place, probe: NewWorker) -> None:
    """A write undone in its own transaction: the disk sees it, nobody else does."""
    register_worker(place.db, probe, place.db.now())
    remove_worker(place.db, probe.id)


def _not_there(file: Path) -> Check:
    if can_make(file):
        return Check("database", "ok", f"{file} is not there yet; the first enqueued job makes it")
    remedy = "Make the folder writable for this user, or point LATESHIFT_DATABASE_URL somewhere else."
    return Check("database", "error", f"{file} is not there and cannot be made.", remedy)


def _old(place: Place, present: int) -> Check:
    state = f"has schema {present}; the current one is {LATEST}" if present else "has no tables of Lateshift yet"
    told = f"{place.db.place} {state}."
    if place.file is None:
        return Check("schema", "error", told, "Run `lateshift migrate`; `--plan` shows what it does.")
    return Check("schema", "warning", told, "`lateshift migrate` brings it up to date; so does the next use.")


def _orphans(place: Place, owners: list[str], alive: list[WorkerRow]) -> Iterator[Check]:
    for owner in owners:
        held = [job.id for job, _ in reads.running_jobs(place.db, owner)]
        if held:
            listed = f"{', '.join(held[:3])}{', ...' if len(held) > 3 else ''}"
            told = f"{count(len(held), 'job')} marked as running on {owner}, which is dead: {listed}."
            yield Check("jobs", "warning", told, _next_worker(place, alive))


def _late(place: Place, queue: QueueRow, late: float, serving: int) -> Check:
    told = f"The queue {queue.name!r} has {Count.of(queue.waiting).words('due job')}, the oldest since {duration(late)}"
    if queue.paused:
        resume = f"`lateshift queues resume {as_argument(queue.name)}`."
        return Check("jobs", "warning", f"{told}: it is paused.", resume)
    if not serving:
        return Check("jobs", _unserved(place, late), f"{told}: no worker serves it.", _next_worker(place, []))
    remedy = "`lateshift explain JOB_ID` says what a job is behind; `lateshift work` adds workers."
    return Check("jobs", "warning", f"{told}, and {count(serving, 'worker')} at it.", remedy)


def _next_worker(place: Place, alive: list[WorkerRow]) -> str:
    if alive:
        return f"A living worker sees to it within {HEARTBEAT:g} s."
    if place.settings.spawn == "never":
        return "Start `lateshift work`, which sees to it."
    return "Enqueue a job or start `lateshift work --burst`: the next worker sees to it."
