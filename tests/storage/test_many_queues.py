"""A queue for each customer: what a worker's turn costs does not grow with their number, and no promise suffers.

The lanes are looked at in parts of whole queues, in a round that goes on from turn to turn.
"""

from __future__ import annotations

import pytest
from plans import examined
from storage_steps import SECOND, Steps

from lateshift.job import EXECUTORS
from lateshift.runtime import rounds
from lateshift.runtime.rounds import Rounds, Seen
from lateshift.storage import reads, writes

ROOM = {"thread": 50, "loop": 10}


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    """A turn looks at 12 lanes, so that few queues are many."""
    monkeypatch.setattr(rounds, "MOST", 12)
    monkeypatch.setattr(rounds, "MOST_SERVED", 3)


class Turns:
    """The turns of a worker that claims only."""

    def __init__(self, steps: Steps, queues: tuple[str, ...] = ()) -> None:
        self.steps, self.rounds = steps, Rounds(steps.db, queues)
        self.seen: Seen | None = None
        self.lanes: list[reads.Lane] = []

    def claim(self, *, again: bool = False, **room: int) -> list[tuple[str, int]]:
        """One turn: (queue, priority) of the jobs that were claimed; `seen` is None in the midst of a round."""
        db, now, room = self.steps.db, self.steps.now, room or ROOM
        self.lanes = self.rounds.look(now, room, again=again)
        taken = writes.take(db, "worker-1", now, self.lanes, room)
        self.seen = self.rounds.took(taken, room)
        return [(job.queue, job.priority) for job in writes.claimed(taken)]

    def round(self, **room: int) -> list[tuple[str, int]]:
        """Turns to the end of a round."""
        claimed = self.claim(**room)
        while self.seen is None:
            claimed += self.claim(**room)
        return claimed


def customer(number: int) -> str:
    return f"customer-{number:04}"


def store(steps: Steps, count: int, each: int = 1, **fields: object) -> None:
    """That many queues with so many jobs in each."""
    jobs = [steps.new(queue=customer(number), **fields) for number in range(count) for _ in range(each)]
    writes.enqueue(steps.db, jobs)


def parts(steps: Steps, most: int) -> list[list[reads.Lane]]:
    """All lanes, in parts."""
    found, start = [], ""
    while start is not None:
        part, start = reads.lanes_from(steps.db, start, most)
        found.append(part)
    return found


def test_parts_have_whole_queues_and_every_lane_once(steps):
    """What the parts have together is what a look at all lanes gives; also where one queue has more than a part."""
    jobs = [
        steps.new(queue=customer(n), executor=kind, priority=p) for n in range(20) for kind in EXECUTORS for p in (1, 9)
    ]
    jobs += [steps.new(queue=customer(7), executor=kind, priority=p) for kind in EXECUTORS for p in range(1, 11)]
    writes.enqueue(steps.db, jobs)
    lanes = reads.lanes(steps.db)
    assert len(lanes) == 20 * 6 + 3 * 8
    for most in (8, 40, 1000):
        found = parts(steps, most)
        assert [lane for part in found for lane in part] == lanes
        queues = [{lane.queue for lane in part} for part in found]
        assert sum(map(len, queues)) == 20
        assert len(found) > 1 or most == 1000


def test_the_lanes_of_one_queue(steps):
    """They are those of a look at all; none for a queue without waiting jobs, whatever comes after it."""
    store(steps, 3)
    store(steps, 2, priority=5)
    assert reads.lanes_of(steps.db, customer(1)) == [
        lane for lane in reads.lanes(steps.db) if lane.queue == customer(1)
    ]
    assert reads.lanes_of(steps.db, "customer") == reads.lanes_of(steps.db, "zebra") == []


@pytest.mark.parametrize("served", [(), ("customer-0003", "customer-0005")])
def test_a_turn_costs_the_same_with_many_more_queues(steps, served):
    """The rows that the database looks at go by the part of the lanes that a turn is about."""
    turns = Turns(steps, served)
    store(steps, 30)
    long = 6000 if steps.db.dialect.name == "postgres" else 100  # PostgreSQL reads the whole of a small table
    steps.enqueue_many(long, queue=customer(5))

    def most_of_three() -> int:
        reads.lanes(steps.db)  # MySQL learns of the queues
        while not turns.claim(thread=10):
            pass
        return max(examined(steps.db, lambda: turns.claim(thread=10)) for _ in range(3))

    few = most_of_three()
    writes.enqueue(steps.db, [steps.new(queue=f"other-{number:04}", delay=60) for number in range(1000)])
    assert most_of_three() <= few * 1.2 + 10


def test_every_job_is_claimed_once(steps):
    """Of 15 queues with three kinds of jobs and two priorities, in many turns with little room."""
    jobs = [
        steps.new(queue=customer(n), executor=kind, priority=p) for n in range(15) for kind in EXECUTORS for p in (1, 9)
    ]
    writes.enqueue(steps.db, jobs)
    turns, claimed = Turns(steps), []
    while not claimed or turns.seen is None or turns.seen.open:
        claimed += turns.claim(thread=8, loop=5, process=2)
    assert len(claimed) == len(jobs)
    assert reads.lanes(steps.db) == []
    assert turns.seen == Seen()


def test_a_long_queue_starves_no_other(steps):
    """With room for one job a turn, each of the others has had its turn before the long one has a second."""
    steps.enqueue_many(30, queue=customer(10))
    store(steps, 20)
    turns = Turns(steps)
    claimed = [queue for _ in range(20) for queue, _ in turns.claim(thread=1)]
    assert sorted(claimed) == [customer(number) for number in range(20)]


def test_many_long_queues_take_turns(steps):
    """What a turn has room for goes to one queue, and the next turn's to the next; also over the end of a round."""
    store(steps, 20, each=4)
    turns = Turns(steps)
    for _ in range(2):
        claimed = [queue for _ in range(20) for queue, _ in turns.claim(thread=2)]
        assert sorted(claimed) == sorted([customer(number) for number in range(20)] * 2)


def test_the_queue_that_has_more_need_not_wait_for_the_round(steps):
    """The only one with due jobs gets the room of each turn, and what is urgent in it comes first."""
    store(steps, 40, delay=60)
    writes.pause_queue(steps.db, customer(25), steps.now)
    steps.enqueue(queue=customer(25))
    steps.enqueue_many(30, queue=customer(20))
    turns = Turns(steps)
    while not turns.claim(thread=4):
        assert turns.seen is None
    for _ in range(3):
        assert turns.claim(thread=4) == [(customer(20), 1)] * 4
        assert len(turns.lanes) == 1
        assert turns.claim(loop=4) == []
    steps.enqueue(queue=customer(20), priority=7)
    assert turns.claim(thread=4) == [(customer(20), 7), *[(customer(20), 1)] * 3]
    writes.pause_queue(steps.db, customer(20), steps.now)
    assert turns.round(thread=4) == turns.round(thread=4) == []
    assert turns.seen == Seen(due_at=steps.now + 60 * SECOND)


def test_a_higher_priority_comes_first_in_its_queue(steps):
    """Wherever the round is: a queue is looked at as a whole, and as it is then."""
    store(steps, 20, each=2)
    turns = Turns(steps)
    turns.claim(thread=1)
    store(steps, 20, priority=8)
    assert all(priority == 8 for _ in range(19) for _, priority in turns.claim(thread=1))


def test_a_worker_of_some_queues_claims_from_these(steps):
    """Where others have thousands, its own are looked up; without them it looks when the next of its own is due."""
    store(steps, 20)
    mine = (customer(3), customer(12), *(f"mine-{number}" for number in range(7)))
    steps.enqueue(queue="mine-6", priority=9)
    steps.enqueue(queue="mine-2", delay=30)
    turns = Turns(steps, mine)
    assert sorted(turns.round()) == [(customer(3), 1), (customer(12), 1), ("mine-6", 9)]
    assert turns.round() == []
    assert turns.seen == Seen(due_at=steps.now + 30 * SECOND)


def test_a_round_tells_what_it_has_seen(steps):
    """When the first of the delayed jobs of all queues will be due, what it had no room for, what may be new."""
    store(steps, 30, delay=60)
    steps.enqueue(queue=customer(1), delay=20)
    steps.enqueue(queue=customer(29), executor="loop")
    turns = Turns(steps)
    turns.claim(thread=1, again=True)
    turns.claim(thread=1, again=True)
    assert turns.round(thread=1) == []
    assert turns.seen == Seen(blocked=True, due_at=steps.now + 20 * SECOND, again=True)
    assert turns.round(thread=1) == []
    assert not turns.seen.again


def test_what_others_have_locked_is_looked_at_again_after_a_while(steps, place):
    """A client of the database has rows locked, perhaps for an hour: there is something due, and nothing to take."""
    if place.kind == "sqlite":
        pytest.skip("it locks no rows")
    job_id, other = steps.enqueue(), place.open()
    turns = Turns(steps)
    with other.transaction():
        other.query("select id from lateshift_jobs where id = :id{lock}", {"id": job_id})
        assert turns.round() == []
        assert turns.seen == Seen(open=True, due_at=steps.now + rounds.LOCKED)
    assert turns.round() == [("default", 1)]
    assert turns.seen == Seen(open=True, taken=True)
