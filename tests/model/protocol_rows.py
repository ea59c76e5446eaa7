"""What there is in the model of the claim protocol: jobs, what workers hold, workers; and how one becomes another."""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from lateshift.job import Claimed, JobError
from lateshift.outcome import Ending, Outcome, decide, returned

NOW: Final = 1_749_988_800_000_000
"""Noon, as for the tests of the storage."""

ERROR: Final = JobError("ValueError", "on purpose")
ENDED: Final = ("done", "raised", "gave in", "turned away")
RUNS: Final = ("runs", "runs late")


class Job(NamedTuple):
    """A row of the jobs; `worker` is -1 for nobody. `tried`: there are rows about attempts of it."""

    status: str = "pending"
    lease: int = 0
    attempts: int = 0
    crashes: int = 0
    worker: int = -1
    cancel: bool = False
    tried: bool = False


class Hold(NamedTuple):
    """A job in a worker's hand, as it was claimed; `phase` is "in hand", "runs" (or "runs late"), or how it ended."""

    job: int
    lease: int
    attempt: int
    crashes: int
    phase: str = "in hand"


class Worker(NamedTuple):
    """A worker: its process, its row in the database, and what it holds.

    `process` is "up", "hung", "stopped", "cut" (off from the database) or "gone"; `row` "fresh", "old" or "". `late`
    says why its lease has run out, by its own clock. `judged`: another one has seen that it is silent.
    """

    process: str = "up"
    row: str = "fresh"
    late: str = ""
    armed: bool = True
    judged: bool = False
    holds: tuple[Hold, ...] = ()


class State(NamedTuple):
    """All there is. `faults` and `acts` are how many faults and acts of an operator may still come."""

    jobs: tuple[Job, ...]
    workers: tuple[Worker, ...]
    faults: int
    acts: int
    database: bool = True
    stale: bool = False


def name_of(w: int) -> str:
    return f"worker {'AB'[w]}"


def with_worker(s: State, w: int, worker: Worker) -> State:
    return s._replace(workers=(*s.workers[:w], worker, *s.workers[w + 1 :]))


def with_job(s: State, j: int, job: Job) -> State:
    return s._replace(jobs=(*s.jobs[:j], job, *s.jobs[j + 1 :]))


def without(s: State, w: int, hold: Hold) -> State:
    worker = s.workers[w]
    return with_worker(s, w, worker._replace(holds=tuple(other for other in worker.holds if other != hold)))


def in_phase(s: State, w: int, hold: Hold, phase: str) -> State:
    worker = s.workers[w]
    holds = tuple(other._replace(phase=phase) if other == hold else other for other in worker.holds)
    return with_worker(s, w, worker._replace(holds=holds))


def owned(s: State, w: int) -> tuple[int, ...]:
    return tuple(j for j, job in enumerate(s.jobs) if job.status == "running" and job.worker == w)


def out_of_lease(worker: Worker, why: str) -> Worker:
    why = {"cut": "cut", "stopped": "silent"}.get(worker.process, why)
    return worker._replace(row="old", late=worker.late or why) if worker.row else worker


def had_ended(worker: Worker) -> frozenset[Hold]:
    """What it is through with, and has not settled."""
    return frozenset(hold for hold in worker.holds if hold.phase in ENDED and hold.phase != "turned away")


def executes(worker: Worker, j: int) -> bool:
    excused = "runs" if worker.late == "cut" else ""
    runs = any(hold.job == j and hold.phase in RUNS and hold.phase != excused for hold in worker.holds)
    return runs and worker.process in ("up", "hung", "cut")


@cache
def as_claimed(hold: Hold, max_retries: int) -> Claimed:
    job, lease, attempt, crashes, _ = hold
    return Claimed(
        str(job), lease, "app.jobs.send", "{}", attempt, crashes, max_retries, NOW, job, None, "default", "thread", 1
    )


@cache
def decided(hold: Hold, max_retries: int) -> Outcome:
    if hold.phase == "turned away":
        return returned(NOW, NOW)
    if hold.phase == "raised":
        ending = Ending(exception=ValueError("on purpose"), error=ERROR)
    else:
        gave_in = hold.phase == "gave in"
        ending = Ending("null", cancel_requested=gave_in, cancel_observed=gave_in)
    return decide(as_claimed(hold._replace(phase=""), max_retries), ending, NOW, NOW, lambda *_: 0.0)
