"""Random operations of workers and operators, and a model in Python of what each job must then be."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from storage_steps import SECOND, Place, Steps, new_job, unnumbered

from lateshift.job import EXECUTORS, FINISHED, WAITING, Claimed, to_microseconds
from lateshift.outcome import CRASH_PAUSE, MAX_CRASHES
from lateshift.storage import reads, workers, writes
from lateshift.storage.settlements import Batch, Settlement
from lateshift.testing import FrozenClock

T = TypeVar("T")

QUEUES = st.sampled_from(["default", "mail"])
KINDS = ("thread", "loop")
PICKS = st.lists(st.integers(0, 20), min_size=2, max_size=4)
TABLES = ("jobs", "attempts", "logs", "queues", "workers")

OFTEN = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@dataclass
class Model:
    """A job as it must be."""

    age: int
    queue: str
    executor: str
    priority: int
    run_at: int
    status: str = "pending"
    lease: int = 0
    attempts: int = 0
    crashes: int = 0
    cancelling: bool = False
    worker: str | None = None
    finished_at: int | None = None
    ended: list[str] = field(default_factory=list)
    """The kinds of its recorded outcomes, without a completion."""

    def owned(self, job: Claimed) -> bool:
        return self.status == "running" and self.lease == job.lease

    def claimed_by(self, worker: str) -> None:
        self.status, self.worker = "running", worker
        self.lease += 1
        self.attempts += 1
        self.finished_at, self.cancelling = None, False

    def finish(self, status: str, now: int) -> None:
        self.status, self.finished_at = status, now


class Operations(RuleBasedStateMachine):
    """Workers on one connection and an operator on another, to each database; a claim may be used long after its loss.

    What an operation returns must be the same on all of them.
    """

    def __init__(self, pairs: Sequence[tuple[Steps, Steps]], clock: FrozenClock) -> None:
        super().__init__()
        self.pairs, self.clock = pairs, clock
        self.steps = pairs[0][0]
        self.jobs: dict[str, Model] = {}
        self.claims: list[Claimed] = []
        self.paused: set[str] = set()
        self.ages = itertools.count()

    def work(self, act: Callable[[Steps], T]) -> T:
        """Do what a worker does, in each database."""
        return same([act(steps) for steps, _ in self.pairs])

    def operate(self, act: Callable[[Steps], T]) -> T:
        """Do what others do, in each database."""
        return same([act(steps) for _, steps in self.pairs])

    @property
    def now(self) -> int:
        return self.clock.now()

    def some(self, statuses: tuple[str, ...], pick: int) -> str | None:
        """One of the jobs, rather in one of these statuses than in another."""
        ids = [job_id for job_id, job in self.jobs.items() if job.status in statuses] or list(self.jobs)
        return ids[pick % len(ids)] if ids else None

    @initialize(count=st.integers(0, 3))
    def begin(self, count: int) -> None:
        for _ in range(count):
            self.enqueue("default", "thread", 1, 0, 1)

    @rule(
        queue=QUEUES,
        kind=st.sampled_from(KINDS),
        priority=st.integers(1, 3),
        delay=st.sampled_from([0, 0, 5]),
        count=st.integers(1, 3),
    )
    def enqueue(self, queue: str, kind: str, priority: int, delay: int, count: int) -> None:
        due = self.now + delay * SECOND
        jobs = [new_job(self.now, queue=queue, executor=kind, priority=priority, run_at=due) for _ in range(count)]
        self.operate(lambda steps: writes.enqueue(steps.db, jobs))
        for job in jobs:
            self.jobs[job.id] = Model(next(self.ages), queue, kind, priority, job.run_at)

    @rule(seconds=st.sampled_from([1, 5]))
    def wait(self, seconds: int) -> None:
        self.clock.move(seconds)

    @rule(worker=st.sampled_from(["worker-1", "worker-2"]), room=st.integers(1, 4))
    def claim(self, worker: str, room: int) -> None:
        claimed = self.work(lambda steps: unnumbered(steps.claim(worker, thread=room, loop=room, process=room)))
        for kind in EXECUTORS:
            due = [
                job_id
                for job_id, job in self.jobs.items()
                if job.status in WAITING and job.run_at <= self.now and job.executor == kind
                if job.queue not in self.paused
            ]
            taken = [job.id for job in claimed if job.executor == kind]
            assert len(taken) == min(room, len(due))
            for queue in ("default", "mail"):
                line = [job_id for job_id in due if self.jobs[job_id].queue == queue]
                line.sort(key=lambda i: (-self.jobs[i].priority, self.jobs[i].run_at, self.jobs[i].age))
                mine = [job_id for job_id in taken if self.jobs[job_id].queue == queue]
                assert mine == line[: len(mine)], "claimed in order, from the front"
        for job in claimed:
            self.jobs[job.id].claimed_by(worker)
            assert (job.lease, job.attempt) == (self.jobs[job.id].lease, self.jobs[job.id].attempts)
        self.claims += claimed

    def chosen(self, picks: Sequence[int], *, stale: bool) -> list[Claimed]:
        """Some claims: of jobs that are held, which there are if any waits; or also such as were lost long ago."""
        pool = self.claims if stale else [job for job in self.claims if self.holds(job)]
        if not pool:
            self.enqueue("mail", "thread", 1, 0, 2)
            self.claim("worker-1", 3)
            pool = self.claims[-3:]
        unique = {(job.id, job.lease): job for job in (pool[pick % len(pool)] for pick in picks if pool)}
        return list(unique.values())

    def holds(self, job: Claimed) -> bool:
        return job.id in self.jobs and self.jobs[job.id].owned(job)

    @rule(
        picks=PICKS,
        stale=st.sampled_from([False, False, True]),
        kind=st.sampled_from(["completed", "completed", "failed", "cancelled", "retry", "snoozed", "returned"]),
    )
    def settle(self, picks: list[int], stale: bool, kind: str) -> None:
        batch = self.chosen(picks, stale=stale)
        outcome = self.outcome(kind)
        settlements = [Settlement(job, outcome) for job in batch]
        refused = self.work(lambda steps: writes.settle(steps.db, Batch(settlements)))
        for job in batch:
            model = self.jobs.get(job.id)
            accepted = not any(settlement.job is job for settlement in refused)
            if model is not None and model.owned(job):
                assert accepted
                self.settled(model, kind, outcome)
            elif accepted:  # only what says the same as what was written before
                assert model is not None
                assert kind in model.ended or kind == "completed" == model.status

    def outcome(self, kind: str) -> object:
        steps = self.steps
        delayed = {"retry": steps.retry_in, "snoozed": steps.snoozed, "returned": steps.returned}
        outcome = delayed[kind](5) if kind in delayed else getattr(steps, kind)()
        result = '{"it\'s": 1}' if kind == "completed" else None
        return msgspec.structs.replace(outcome, started_at=self.now - 7, result=result, logs=("begun", "ended"))

    def settled(self, model: Model, kind: str, outcome) -> None:
        if kind != "completed":
            model.ended.append(kind)
        model.attempts -= not outcome.counts
        model.run_at = outcome.run_at or model.run_at
        if outcome.status == "pending_retry" and not model.cancelling:
            model.status = "pending_retry"
        else:
            model.finish("cancelled" if outcome.status == "pending_retry" else outcome.status, self.now)

    @rule(picks=PICKS)
    def release(self, picks: list[int]) -> None:
        jobs = self.chosen(picks, stale=False)
        self.work(lambda steps: writes.release(steps.db, jobs, self.now))
        for job in jobs:
            model = self.jobs.get(job.id)
            if model is not None and model.owned(job):
                model.attempts -= 1
                if model.cancelling:
                    model.finish("cancelled", self.now)
                else:
                    model.status, model.worker = "pending_retry" if model.ended else "pending", None

    @rule(worker=st.sampled_from(["worker-1", "worker-2"]))
    def lose_a_worker(self, worker: str) -> None:
        held = self.operate(lambda steps: sorted(unnumbered(dict(reads.running_jobs(steps.db, worker))), key=repr))
        assert {job.id for job in held} == {
            i for i, m in self.jobs.items() if m.status == "running" and m.worker == worker
        }
        for job in held:
            assert self.operate(lambda steps, job=job: steps.lose(job))
            model = self.jobs[job.id]
            model.crashes += 1
            model.executor = "process"
            model.lease += 1
            model.attempts -= 1
            if model.crashes < MAX_CRASHES:
                model.run_at = self.now + round(CRASH_PAUSE * job.crashes * SECOND)
            model.ended.append("lost" if model.crashes < MAX_CRASHES else "failed")
            if model.crashes < MAX_CRASHES and not model.cancelling:
                model.status = "pending_retry"
            else:
                model.finish("cancelled" if model.crashes < MAX_CRASHES else "failed", self.now)

    @rule(pick=st.integers(0, 20), statuses=st.sampled_from([WAITING, ("running",)]))
    def cancel(self, pick: int, statuses: tuple[str, ...]) -> None:
        if (job_id := self.some(statuses, pick)) is not None:
            model = self.jobs[job_id]
            assert self.operate(lambda steps: writes.cancel(steps.db, job_id, self.now)) == model.status
            if model.status in WAITING:
                model.finish("cancelled", self.now)
            elif model.status == "running":
                model.cancelling = True

    @rule(pick=st.integers(0, 20))
    def retry(self, pick: int) -> None:
        if (job_id := self.some(("failed", "cancelled", "pending_retry"), pick)) is not None:
            model = self.jobs[job_id]
            assert self.operate(lambda steps: writes.retry(steps.db, job_id, self.now)) == model.status
            if model.status in ("failed", "cancelled"):
                model.attempts = model.crashes = 0
                model.status, model.finished_at, model.cancelling = "pending_retry", None, False
                model.run_at = self.now
            elif model.status == "pending_retry":
                model.run_at = min(model.run_at, self.now)

    @rule(pick=st.integers(0, 20))
    def delete(self, pick: int) -> None:
        if (job_id := self.some(FINISHED, pick)) is not None:
            status = self.jobs[job_id].status
            assert self.operate(lambda steps: writes.delete(steps.db, job_id)) == status
            if status in FINISHED:
                del self.jobs[job_id]

    @rule()
    def prune(self) -> None:
        old = [i for i, m in self.jobs.items() if m.status in FINISHED and m.finished_at < self.now - 3 * SECOND]
        assert self.operate(lambda steps: writes.prune(steps.db, self.now - 3 * SECOND)) == len(old)
        for job_id in old:
            del self.jobs[job_id]

    @rule(queue=QUEUES)
    def pause_or_resume(self, queue: str) -> None:
        since = None if queue in self.paused else self.now
        assert self.operate(lambda steps: writes.pause_queue(steps.db, queue, since))
        self.paused ^= {queue}

    @invariant()
    def the_database_is_as_the_model(self) -> None:
        found = {job.id: job for job in reads.list_jobs(self.steps.db, limit=1000)}
        assert set(found) == set(self.jobs)
        for job_id, model in self.jobs.items():
            job = found[job_id]
            ended = None if job.finished_at is None else to_microseconds(job.finished_at)
            seen = (job.status, job.attempts, job.crashes, job.cancel_requested, to_microseconds(job.run_at), ended)
            assert seen == (
                model.status,
                model.attempts,
                model.crashes,
                model.cancelling,
                model.run_at,
                model.finished_at,
            )
            assert model.status != "running" or job.worker == model.worker

    @invariant()
    def the_lanes_are_what_waits(self) -> None:
        expected: dict[tuple[str, str, int], int] = {}
        for model in self.jobs.values():
            if model.status in WAITING:
                lane = (model.queue, model.executor, model.priority)
                expected[lane] = min(model.run_at, expected.get(lane, model.run_at))
        lanes = self.work(lambda steps: reads.lanes(steps.db))
        assert {(lane.queue, lane.executor, lane.priority): lane.run_at for lane in lanes} == expected
        assert {lane.queue for lane in lanes if lane.paused} == {queue for queue, _, _ in expected} & self.paused

    @rule()
    def a_runner_leaves_only_when_nothing_waits(self) -> None:
        waits = any(model.status in WAITING for model in self.jobs.values())
        assert self.work(lambda steps: reads.anything_waiting(steps.db, ())) == waits
        self.work(lambda steps: steps.register("runner-1", "runner"))
        assert self.work(lambda steps: workers.remove_idle_runner(steps.db, "runner-1", ())) != waits
        self.work(lambda steps: workers.remove_worker(steps.db, "runner-1"))

    @invariant()
    def the_history_is_complete(self) -> None:
        for job_id, model in self.jobs.items():
            outcomes = [attempt.outcome for attempt in self.steps.get(job_id).history]
            live = [model.status] if model.status in ("running", "completed") else []
            assert outcomes == model.ended + live


def same(results: Sequence[T]) -> T:
    """What all databases gave."""
    assert all(result == results[0] for result in results), results
    return results[0]


def pair(place: Place) -> tuple[Steps, Steps]:
    """Two connections to a database."""
    first, second = (Steps(place.open(sqlite_durability="normal"), place.clock) for _ in range(2))
    return first, second
