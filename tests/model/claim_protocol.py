"""The claim protocol as a model: two workers, some jobs, and all that may happen to them, one step at a time.

What an attempt decides is decided by `lateshift.outcome` itself. The statements of `storage.writes` and
`storage.workers` are mirrored here, row by row; `tests/storage/test_claim_model.py` holds them against each database.
Time is not counted: that a lease runs out is a step of its own, possible where nobody renews it.

`Rules` are what the protocol rests on. Each can be left out, to see what for it is there.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Final

from model.explorer import Step
from model.protocol_rows import (
    ENDED,
    ERROR,
    NOW,
    RUNS,
    Hold,
    Job,
    State,
    Worker,
    as_claimed,
    decided,
    executes,
    had_ended,
    in_phase,
    name_of,
    out_of_lease,
    owned,
    with_job,
    with_worker,
    without,
)

from lateshift.job import FINISHED, WAITING, Claimed
from lateshift.outcome import MAX_CRASHES, MAX_SHARED_CRASHES, Outcome, lost, returned, unwritten

AWAY: Final = ("stopped", "cut", "hung")


@dataclass(frozen=True)
class Rules:
    """What keeps the promises; see `storage.writes`, and in `runtime` `fence`, `duties`, `worker` and `crew`.

    `lease_condition`: an outcome is written only if the lease is still the job's.
    `watchdog`: a worker that stood still ends itself before, or as soon as, its lease has run out.
    `armed_at_registration`: that holds from the moment when it is known to others, not from its first heartbeat.
    `looks_again`: who takes a silent worker's jobs looks in the same transaction whether it is silent still.
    `living_speak_first`: a worker is watched in silence for a whole lease, so the living speak after an outage.
    `claims_in_lease`, `begins_in_lease`: a worker whose lease has run out takes no job, and begins none.
    """

    lease_condition: bool = True
    watchdog: bool = True
    armed_at_registration: bool = True
    looks_again: bool = True
    living_speak_first: bool = True
    claims_in_lease: bool = True
    begins_in_lease: bool = True


class ClaimProtocol:
    """What may happen, under these rules and within these limits."""

    def __init__(
        self, rules: Rules | None = None, *, jobs: int = 1, faults: int = 2, acts: int = 1, max_retries: int = 1
    ) -> None:
        self.rules = rules or Rules()
        self.max_retries = max_retries
        self._limits = jobs, faults, acts

    def start(self) -> State:
        """Jobs that wait, and two workers that have just announced themselves."""
        jobs, faults, acts = self._limits
        return State((Job(),) * jobs, (self._new_worker(),) * 2, faults, acts)

    def steps(self, s: State) -> Iterator[Step]:
        """Whatever may happen next."""
        for w, worker in enumerate(s.workers):
            if worker.process == "up" and s.database:
                yield from self._speak(s, w)
                yield from self._settle(s, w)
                yield from self._rescue(s, w)
            if worker.process in ("up", "cut"):
                yield from self._execute(s, w)
            yield from self._pass_time(s, w)
            if s.faults:
                yield from self._suffer(s, w)
        if not s.database:
            yield Step("the database comes back", s._replace(database=True))
        elif s.faults:
            away = tuple(self._without_database(worker) for worker in s.workers)
            yield Step(
                "the database is away for longer than a lease",
                s._replace(workers=away, database=False, faults=s.faults - 1),
                heals=False,
            )
        if s.acts and s.database:
            yield from self._operate(s)

    def wrong(self, s: State) -> str | None:
        """What must never be. A worker that is cut off is excused: nobody can tell it that its lease has run out."""
        if s.stale:
            return "an outcome of an older lease stands"
        for j, job in enumerate(s.jobs):
            if sum(executes(worker, j) for worker in s.workers) > 1:
                return "two attempts of a job run at once"
            if job.status == "running" and not s.workers[job.worker].row:
                return "a job is held by a worker that nobody knows of"
            if not 0 <= job.attempts <= self.max_retries + 1 or job.crashes > MAX_SHARED_CRASHES:
                return "attempts or crashes are counted wrongly"
            spent = job.attempts > self.max_retries or job.crashes >= MAX_CRASHES
            if job.status == "failed" and not spent:
                return "a job has failed that may run again"
            if job.crashes == MAX_SHARED_CRASHES and job.status not in FINISHED and job.status != "deleted":
                return "a job lives on that has crashed too often"
        return None

    def ended(self, s: State) -> bool:
        """Whether all jobs have come to their end."""
        return all(job.status in (*FINISHED, "deleted") for job in s.jobs)

    def alike(self, s: State) -> Hashable:
        """Workers have no names; of a lease it matters only whether it is the job's; of some rows less still."""
        told = sorted(
            (worker[:5], tuple(sorted(self._as_held(s, w, hold) for hold in worker.holds)), owned(s, w))
            for w, worker in enumerate(s.workers)
        )
        jobs = tuple((j.status, j.attempts, j.crashes, j.cancel, j.tried) for j in s.jobs)
        return jobs, tuple(told), s[2:]

    def _as_held(self, s: State, w: int, hold: Hold) -> Hold:
        job = s.jobs[hold.job]
        return hold._replace(lease=int(hold.lease == job.lease) + int(job.status == "running" and job.worker == w))

    def _without_database(self, worker: Worker) -> Worker:
        if worker.process == "hung" and self.rules.watchdog and worker.armed:
            worker = worker._replace(process="gone")
        return out_of_lease(worker, "outage")

    def _new_worker(self) -> Worker:
        return Worker(armed=self.rules.armed_at_registration)

    # What a worker does with the database

    def _speak(self, s: State, w: int) -> Iterator[Step]:
        worker = s.workers[w]
        name = name_of(w)
        if not worker.row:
            gone = worker._replace(process="gone", holds=())
            yield Step(f"{name} finds its row gone, and ends", with_worker(s, w, gone))
        elif worker.row == "old" or worker.late or not worker.armed:
            judged = worker.judged and not self.rules.looks_again  # what was judged by was another heartbeat
            beaten = worker._replace(row="fresh", late="", armed=True, judged=judged)
            yield Step(f"{name} writes its heartbeat", with_worker(s, w, beaten), (("beat", w),))
        if all(hold.phase not in ENDED for hold in worker.holds):
            yield self._stop(s, w)
        if worker.late and self.rules.claims_in_lease:
            return
        for j, job in enumerate(s.jobs):
            if job.status in WAITING and len(worker.holds) < len(s.jobs):
                hold = Hold(j, job.lease + 1, job.attempts + 1, job.crashes)
                taken = job._replace(status="running", lease=hold.lease, attempts=hold.attempt, worker=w, cancel=False)
                holding = worker._replace(holds=(*worker.holds, hold))
                yield Step(f"{name} claims job {j}", with_job(with_worker(s, w, holding), j, taken), (("claim", w, j),))

    def _settle(self, s: State, w: int) -> Iterator[Step]:
        worker, name = s.workers[w], name_of(w)
        for hold in worker.holds:
            if hold.phase == "in hand":
                given = self._released(without(s, w, hold), hold)
                yield Step(f"{name} gives job {hold.job} back unbegun", given, (("release", hold),))
            if hold.phase in ENDED:
                outcome = self.outcome(hold)
                written = self._written(s, hold, outcome)
                told = f"{name} settles job {hold.job}: {hold.phase}"
                yield Step(told, without(written, w, hold), (("settle", hold, outcome),))
                if s.faults and written != s:
                    again = written._replace(faults=s.faults - 1)
                    yield Step(
                        f"{told}, and does not hear the answer", again, (("settle", hold, outcome),), heals=False
                    )

    def _stop(self, s: State, w: int) -> Step:
        after, calls = s, []
        for hold in s.workers[w].holds:
            if hold.phase == "in hand":
                after = self._released(after, hold)
                calls.append(("release", hold))
            else:
                back = returned(NOW, NOW)
                after = self._written(after, hold, back)
                calls.append(("settle", hold, back))
        gone = Worker("gone", row="", armed=False)
        return Step(
            f"{name_of(w)} stops in good order", with_worker(after, w, gone), (*calls, ("remove", w)), heals=False
        )

    def _rescue(self, s: State, w: int) -> Iterator[Step]:
        for v, other in enumerate(s.workers):
            if v == w:
                continue
            ends = other.process == "hung" and other.armed and self.rules.watchdog
            speaks = self.rules.living_speak_first and (other.process == "up" or ends)
            if other.row == "old" and not other.judged and not speaks:
                told = f"{name_of(w)} sees that {name_of(v)} is silent"
                yield Step(told, with_worker(s, v, other._replace(judged=True)))
            if other.judged:
                told = f"{name_of(w)} takes the jobs of {name_of(v)} for abandoned"
                yield self._take_back(s, v, told, marks=False)
                yield self._take_back(s, v, f"{told}, and sees which had begun", marks=True)
                if had_ended(other):
                    yield self._take_back(s, v, f"{told}, and sees which had ended", marks=True, ended=True)

    def _take_back(self, s: State, v: int, told: str, *, marks: bool, ended: bool = False) -> Step:
        """By the marks, those of what had `ended` as well: they stay until another job takes their place."""
        after, through = s, had_ended(s.workers[v]) if ended else frozenset()
        begun = frozenset(hold.job for hold in s.workers[v].holds if hold.phase in RUNS)
        held = [
            hold
            for hold in s.workers[v].holds
            if s.jobs[hold.job].status == "running" and s.jobs[hold.job].lease == hold.lease
        ]
        shared = sum(hold.job in begun or not marks for hold in held) > 1
        for hold in held:
            if hold in through:
                after = self._written(after, hold, unwritten(NOW, NOW))
            elif marks and hold.job not in begun:
                after = self._released(after, hold)
            else:
                after = self._written(after, hold, lost(self.claimed(hold), NOW, NOW, ERROR, shared=shared))
        left = after.workers[v]._replace(row="", judged=False)
        if left.process == "gone":
            left = left._replace(holds=())
        return Step(told, with_worker(after, v, left), (("take back", v, begun if marks else None, through),))

    # What goes on without the database

    def _execute(self, s: State, w: int) -> Iterator[Step]:
        worker, name = s.workers[w], name_of(w)
        for hold in worker.holds:
            if hold.phase == "in hand":
                if worker.late and worker.armed and self.rules.begins_in_lease:
                    yield Step(
                        f"{name} does not begin job {hold.job}: its lease is over", in_phase(s, w, hold, "turned away")
                    )
                else:
                    phase = "runs late" if worker.late else "runs"
                    yield Step(f"{name} begins job {hold.job}", in_phase(s, w, hold, phase))
            if hold.phase in RUNS:
                yield from (
                    Step(f"{name} is through with job {hold.job}: {end}", in_phase(s, w, hold, end))
                    for end in ("done", "raised")
                )
                if s.jobs[hold.job].cancel and s.jobs[hold.job].lease == hold.lease and worker.process == "up":
                    yield Step(
                        f"{name}: job {hold.job} sees that it is to be cancelled", in_phase(s, w, hold, "gave in")
                    )

    def _pass_time(self, s: State, w: int) -> Iterator[Step]:
        worker, name = s.workers[w], name_of(w)
        guarded = self.rules.watchdog and worker.armed
        if worker.process == "gone" and s.database:
            if worker.row:
                yield self._take_back(s, w, f"the supervisor of {name} takes its jobs back", marks=True)
                if had_ended(worker):
                    told = f"the supervisor of {name} takes its jobs back, and sees which had ended"
                    yield self._take_back(s, w, told, marks=True, ended=True)
            else:
                yield Step(f"{name} is replaced", with_worker(s, w, self._new_worker()), (("register", w),))
        if worker.process == "hung" and guarded:
            yield Step(f"the watchdog ends {name}", with_worker(s, w, worker._replace(process="gone")))
        if worker.row == "fresh" and (
            worker.process in ("stopped", "cut", "gone") or (worker.process == "hung" and not guarded)
        ):
            silent = out_of_lease(worker, "silent")
            yield Step(f"the lease of {name} runs out", with_worker(s, w, silent))
        if worker.process == "stopped":
            # An outage puts the end off: what has only just been stopped goes on, unless others had time to judge.
            ends = guarded and worker.late and (worker.late != "outage" or worker.judged or not worker.row)
            woken = worker._replace(process="gone" if ends else "up")
            told = f"{name} wakes up" + (", and ends itself" if ends else "")
            yield Step(told, with_worker(s, w, woken), heals=False)
        if worker.process == "cut":
            yield Step(
                f"{name} reaches the database again", with_worker(s, w, worker._replace(process="up")), heals=False
            )
        if worker.process == "hung":
            yield Step(f"{name} moves again", with_worker(s, w, worker._replace(process="up")), heals=False)

    def _suffer(self, s: State, w: int) -> Iterator[Step]:
        worker, name = s.workers[w], name_of(w)
        s = s._replace(faults=s.faults - 1)
        if worker.process != "gone":
            yield Step(f"{name} is killed", with_worker(s, w, worker._replace(process="gone")), heals=False)
        if worker.process != "up" or any(other.process in AWAY for other in s.workers):
            return
        yield Step(f"{name} is stopped", with_worker(s, w, worker._replace(process="stopped")), heals=False)
        cut = worker._replace(process="cut", late=worker.late and "cut")
        yield Step(f"{name} is cut off", with_worker(s, w, cut), heals=False)
        if any(hold.phase in RUNS for hold in worker.holds):
            yield Step(
                f"a job of {name} lets nothing else run",
                with_worker(s, w, worker._replace(process="hung")),
                heals=False,
            )

    def _operate(self, s: State) -> Iterator[Step]:
        s = s._replace(acts=s.acts - 1)
        for j, job in enumerate(s.jobs):
            if job.status in WAITING:
                cancelled = with_job(s, j, job._replace(status="cancelled"))
                yield Step(f"job {j} is cancelled", cancelled, (("cancel", j),), heals=False)
            if job.status == "running":
                asked = with_job(s, j, job._replace(cancel=True))
                yield Step(f"job {j} is to be cancelled", asked, (("cancel", j),), heals=False)
            if job.status in ("failed", "cancelled"):
                anew = job._replace(status="pending_retry", attempts=0, crashes=0, cancel=False)
                yield Step(f"job {j} is retried", with_job(s, j, anew), (("retry", j),), heals=False)
            left = job._replace(status="deleted") if job.status in FINISHED else job
            yield Step(f"job {j} is to be deleted", with_job(s, j, left), (("delete", j),), heals=False)
        kept = tuple(job._replace(status="deleted") if job.status in FINISHED else job for job in s.jobs)
        yield Step("what has finished is pruned", s._replace(jobs=kept), (("prune",),), heals=False)

    # The statements of storage.writes

    def claimed(self, hold: Hold) -> Claimed:
        """What the worker got when it claimed the job."""
        return as_claimed(hold._replace(phase=""), self.max_retries)

    def outcome(self, hold: Hold) -> Outcome:
        """What the end of an attempt decides."""
        return decided(hold, self.max_retries)

    def _written(self, s: State, hold: Hold, outcome: Outcome) -> State:
        job = s.jobs[hold.job]
        mine = job.lease == hold.lease
        if job.status != "running" or (self.rules.lease_condition and not mine):
            return s
        cancelled = job.cancel and outcome.status == "pending_retry"
        written = job._replace(
            status="cancelled" if cancelled else outcome.status,
            lease=job.lease + outcome.crashed,
            attempts=job.attempts - (not outcome.counts),
            crashes=job.crashes + outcome.crashed,
            tried=job.tried or outcome.kind != "completed",
        )
        return with_job(s, hold.job, written)._replace(stale=not mine)

    def _released(self, s: State, hold: Hold) -> State:
        job = s.jobs[hold.job]
        if job.status != "running" or job.lease != hold.lease:
            return s
        waits = "pending_retry" if job.tried else "pending"
        back = job._replace(status="cancelled" if job.cancel else waits, attempts=job.attempts - 1)
        return with_job(s, hold.job, back)
