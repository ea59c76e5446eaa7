"""The model of the claim protocol is held against the databases: random walks through it leave the same rows there."""

from __future__ import annotations

import random
from collections import Counter

from model.claim_protocol import ClaimProtocol
from model.protocol_rows import NOW, State
from storage_steps import Steps, new_job

from lateshift.job import WAITING
from lateshift.runtime import duties
from lateshift.storage import workers, writes
from lateshift.storage.settlements import Batch, Settlement

VERBS = ("beat", "register", "remove", "claim", "release", "settle", "take back", "cancel", "retry", "delete", "prune")
WALKS = {"sqlite": 150, "postgres": 25, "mariadb": 25}
LENGTH = 40

JOBS = """
select id, status, lease, attempts, crashes, case when status = 'running' then worker else '' end, cancel_requested,
       case when exists (select 1 from lateshift_attempts a where a.job_id = lateshift_jobs.id) then 1 else 0 end
from lateshift_jobs order by id"""


class Replay:
    """Does to a database what the model says is done to it."""

    def __init__(self, steps: Steps, model: ClaimProtocol, state: State) -> None:
        self.steps, self.db, self.model = steps, steps.db, model
        for table in ("jobs", "attempts", "logs", "workers"):
            self.db.execute(f"delete from lateshift_{table}")
        for w in range(2):
            self.do(state, ("register", w))
        for j in range(len(state.jobs)):
            writes.enqueue(self.db, [new_job(NOW, id=str(j), max_retries=model.max_retries)])

    def do(self, before: State, call: tuple) -> None:
        verb, *what = call
        if verb in ("beat", "register", "remove"):
            self._of_a_worker(verb, f"worker-{what[0]}", known=bool(before.workers[what[0]].row))
        elif verb == "claim":
            self._claim(before, *what)
        elif verb == "release":
            writes.release(self.db, [self.model.claimed(what[0])], NOW)
        elif verb == "settle":
            writes.settle(self.db, Batch([Settlement(self.model.claimed(what[0]), what[1])]))
        elif verb == "take back":
            worker, begun, through = what
            ids = None if begun is None else frozenset(map(str, begun))
            ended = frozenset((str(hold.job), hold.lease) for hold in through)
            self.db.transact(lambda: duties._take_back(self.db, f"worker-{worker}", ids, ended, NOW))
        elif verb == "prune":
            writes.prune(self.db, NOW + 1)
        elif verb == "delete":
            writes.delete(self.db, str(what[0]))
        else:
            getattr(writes, verb)(self.db, str(what[0]), NOW)

    def _of_a_worker(self, verb: str, name: str, *, known: bool) -> None:
        if verb == "register":
            self.steps.register(name)
        elif verb == "beat":
            assert workers.heartbeat(self.db, name, NOW)
        else:
            assert workers.remove_worker(self.db, name) == known

    def _claim(self, before: State, w: int, j: int) -> None:
        if sum(job.status in WAITING for job in before.jobs) == 1:
            assert self.steps.claim_ids(f"worker-{w}", thread=1, process=1) == [str(j)]
        else:
            assert writes.claim_one(self.db, f"worker-{w}", NOW, str(j)) is not None

    def compare(self, state: State) -> None:
        """The rows are those of the model."""
        jobs = [
            (str(j), *job[:4], f"worker-{job.worker}" if job.status == "running" else "", job.cancel, job.tried)
            for j, job in enumerate(state.jobs)
            if job.status != "deleted"
        ]
        assert self.db.query(JOBS) == jobs
        known = [(f"worker-{w}",) for w, worker in enumerate(state.workers) if worker.row]
        assert self.db.query("select id from lateshift_workers order by id") == known


def test_the_model_is_as_the_database(place, clock):
    """After every step of a random walk the database holds what the model says, and nothing is wrong on the way."""
    steps = Steps(place.open(sqlite_durability="normal"), clock)
    assert steps.now == NOW
    chance, done = random.Random(20251125), Counter()
    for walk in range(WALKS[place.kind]):
        model = ClaimProtocol(jobs=1 + walk % 2, faults=8, acts=6)
        state = model.start()
        replay = Replay(steps, model, state)
        for _ in range(LENGTH):
            step = chance.choice([*model.steps(state)])
            for call in step.calls:
                replay.do(state, call)
                done[call[0]] += 1
            state = step.state
            assert model.wrong(state) is None, step.story
            replay.compare(state)
    assert set(done) == set(VERBS)
