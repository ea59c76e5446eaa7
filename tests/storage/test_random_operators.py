"""Random operations as in `random_operations`, and what an operator does to many jobs at once, on each database.

Whatever they lead to has a way out: everything that waits or runs can be brought to its end.
"""

from __future__ import annotations

import itertools
import threading

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test
from random_operations import OFTEN, PICKS, TABLES, Model, Operations, pair
from storage_steps import SECOND, Steps

from lateshift.job import FINISHED, WAITING
from lateshift.storage import bulk, trash, writes
from lateshift.storage.settlements import Batch, Settlement

EXAMPLES = {"sqlite": 30, "postgres": 10, "mariadb": 10}
FAR = 30
"""Seconds after which everything here is due."""


class Operators(Operations):
    """Bulk actions besides all the others; what was deleted may come back."""

    def __init__(self, pairs, clock) -> None:
        super().__init__(pairs, clock)
        self.trash: dict[str, dict[str, Model]] = {}
        for table in (*TABLES, "trash"):
            self.work(lambda steps, table=table: steps.db.execute(f"delete from lateshift_{table}"))

    def act(self, action: bulk.Action, picks: list[int], **options: int) -> tuple[list[str], bulk.Progress]:
        """Do it to some jobs; returns those that it applies to."""
        known = list(self.jobs)
        ids = list(dict.fromkeys(known[pick % len(known)] for pick in picks)) if known else []
        chosen = [job_id for job_id in ids if self.jobs[job_id].status in bulk.STATUSES[action]]
        return chosen, self.operate(lambda steps: bulk.BulkAction(steps.db, action, ids, **options).run())

    @rule(picks=PICKS)
    def retry_some(self, picks: list[int]) -> None:
        chosen, progress = self.act("retry", picks)
        late = [
            job_id for job_id in chosen if self.jobs[job_id].status in FINISHED or self.jobs[job_id].run_at > self.now
        ]
        assert progress.changed == len(late)
        for job_id in late:
            model = self.jobs[job_id]
            if model.status in FINISHED:
                model.attempts = model.crashes = 0
                model.status, model.finished_at, model.cancelling = "pending_retry", None, False
            model.run_at = self.now

    @rule(picks=PICKS)
    def cancel_some(self, picks: list[int]) -> None:
        chosen, progress = self.act("cancel", picks)
        assert progress.changed == len(chosen)
        for job_id in chosen:
            model = self.jobs[job_id]
            if model.status in WAITING:
                model.finish("cancelled", self.now)
            else:
                model.cancelling = True

    @rule(picks=PICKS, action=st.sampled_from(["delete", "purge"]))
    def throw_away_some(self, picks: list[int], action: str) -> None:
        chosen, progress = self.act(action, picks)
        assert (progress.changed, progress.undo is not None) == (len(chosen), bool(chosen))
        if progress.undo is not None:
            self.trash[progress.undo] = {job_id: self.jobs.pop(job_id) for job_id in chosen}

    @precondition(lambda self: self.trash)
    @rule(pick=st.integers(0, 5))
    def undo(self, pick: int) -> None:
        batch = list(self.trash)[pick % len(self.trash)]
        back = self.trash.pop(batch)
        assert self.operate(lambda steps: trash.restore(steps.db, batch)) == len(back)
        assert self.operate(lambda steps: trash.restore(steps.db, batch)) == 0
        self.jobs.update(back)
        for job_id, seq in self.work(lambda steps: steps.db.query("select id, seq from lateshift_jobs")):
            self.jobs[job_id].age = seq  # another job may have got its number meanwhile
            self.ages = itertools.count(max(seq, next(self.ages)) + 1)

    @rule(picks=PICKS, priority=st.integers(1, 3))
    def change_some(self, picks: list[int], priority: int) -> None:
        chosen, progress = self.act("priority", picks, priority=priority)
        assert progress.changed == sum(self.jobs[job_id].priority != priority for job_id in chosen)
        for job_id in chosen:
            self.jobs[job_id].priority = priority

    @rule(picks=PICKS)
    def run_some_now(self, picks: list[int]) -> None:
        chosen, progress = self.act("run_now", picks)
        late = [job_id for job_id in chosen if self.jobs[job_id].run_at > self.now]
        assert progress.changed == len(late)
        for job_id in late:
            self.jobs[job_id].run_at = self.now

    @rule(picks=PICKS, kind=st.sampled_from(["completed", "failed", "cancelled", "retry", "snoozed", "returned"]))
    def settle_twice(self, picks: list[int], kind: str) -> None:
        batch = [job for job in self.chosen(picks, stale=False) if self.holds(job)]
        outcome = self.outcome(kind)
        settlements = [Settlement(job, outcome) for job in batch]
        for _ in range(2):
            assert self.work(lambda steps: writes.settle(steps.db, Batch(settlements))) == []
        for job in batch:
            self.settled(self.jobs[job.id], kind, outcome)

    @rule()
    def everything_comes_to_an_end(self) -> None:
        for queue in [*self.paused]:
            self.pause_or_resume(queue)
        for worker in ("worker-1", "worker-2"):
            self.lose_a_worker(worker)
        self.clock.move(FAR)
        while any(model.status in WAITING for model in self.jobs.values()):
            self.claim("worker-2", 100)
            held = [job for job in self.claims if self.holds(job)]
            assert held, "what waits can be claimed"
            self.settle(list(range(len(held))), stale=False, kind="completed")
        assert {model.status for model in self.jobs.values()} <= set(FINISHED)
        self.claims.clear()


def test_operators_and_workers_at_random(place, clock):
    """Bulk actions, undo, pauses and cancels among claims, outcomes and crashes: the rows are those of the model."""
    pairs = [pair(place)]
    often = settings(OFTEN, max_examples=EXAMPLES[place.kind])
    run_state_machine_as_test(lambda: Operators(pairs, clock), settings=often)


def test_a_retry_and_a_prune_do_not_cross(place, clock):
    """At the same moment one deletes what is old, and another makes it wait again: either is done, never both."""
    steps, other = (Steps(place.open(), clock) for _ in range(2))
    ids = [steps.finished("failed") for _ in range(60)]
    clock.move(10)
    found: dict[str, str | None] = {}
    start = threading.Barrier(2)

    def retry() -> None:
        start.wait()
        for job_id in ids[::2]:
            found[job_id] = writes.retry(other.db, job_id, other.now)

    thread = threading.Thread(target=retry)
    thread.start()
    start.wait()
    pruned = 0
    while steps.db.query("select 1 from lateshift_jobs where status = 'failed'") or thread.is_alive():
        pruned += writes.prune(steps.db, steps.now - SECOND, limit=7)
    thread.join()
    waiting = {job_id for job_id, status in found.items() if status == "failed"}
    assert {row[0] for row in steps.db.query("select id from lateshift_jobs")} == waiting
    assert (pruned + len(waiting), set(found.values()) <= {"failed", None}) == (60, True)
