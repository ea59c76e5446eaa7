"""How many jobs a worker holds: about a tenth of a second's worth of what it turns out to be fast enough for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from types import SimpleNamespace

import pytest
from worker_here import store, worker_in

from lateshift import Lateshift
from lateshift.events import JobStarted
from lateshift.host.presence import Presence
from lateshift.job import Claimed
from lateshift.outcome import Outcome
from lateshift.runtime import ledger, worker
from lateshift.runtime.crew import GROWTH, Crew
from lateshift.runtime.execution import Execution
from lateshift.runtime.executors import loop, thread
from lateshift.runtime.wake import PlainWake
from lateshift.storage import reads
from lateshift.storage.settlements import Settlement

SLOTS = 4


@pytest.fixture
def crew(tmp_path):
    """The crew of a worker with four threads, whose jobs take as long as the test says."""
    app = Lateshift(database_url=f"sqlite:///{tmp_path}/lateshift.db", allowed=["app"], threads=SLOTS, spawn="never")
    execution = Execution(app.settings, app.database.reckon, lambda *_: None)
    yield Crew("mine", app.settings, execution, Presence(tmp_path, "mine", SLOTS), PlainWake(), lambda *_: None)
    app.close()


def job(job_id: str) -> Claimed:
    return Claimed(job_id, 1, "app.jobs.add", "{}", 1, 0, 3, 0, 0, None, "default", "thread", 1)


def ended(crew: Crew, count: int, now: float) -> None:
    """So many jobs have come in at that moment."""
    for number in range(count):
        crew.held["thread"] += 1
        crew.inbox.append(Settlement(job(f"{now}-{number}"), Outcome("completed", "completed", 0, 0)))
    crew.collect(now)


def test_fast_jobs_are_held_in_hundreds(crew):
    """A thousand a second: a hundred are in hand, after a fraction of a second."""
    for turn in range(1, 100):
        ended(crew, 10, turn * 0.01)
    assert 80 <= crew.hand <= 120


def test_a_burst_of_slow_jobs_is_no_speed(crew):
    """Four jobs of 0.2 s end within a millisecond, but not in the same turn: it holds no more than its threads."""
    for turn in range(1, 50):
        ended(crew, 1, turn * 0.2)
        ended(crew, 3, turn * 0.2 + 0.001)
        assert crew.hand == SLOTS


def test_a_rest_does_not_slow_it_down(crew):
    """What comes after an hour without work is measured from its own beginning."""
    crew.collect(3600.0)
    ended(crew, 40, 3600.01)
    assert crew.hand == GROWTH * SLOTS


def test_no_more_is_held_than_it_gets_through_in_a_second(crew, monkeypatch):
    """Jobs that take no time, and a second each to be written: what is written is written between two heartbeats."""
    starved = [0.0]
    monkeypatch.setattr(thread, "time", SimpleNamespace(monotonic=lambda: starved[0]))
    crew._executor("thread")
    for _ in range(10):
        starved[0] += crew.hand * 0.02
        ended(crew, crew.hand, starved[0])
    assert 48 <= crew.hand <= 50


def test_slow_claims_are_no_slow_jobs(crew, monkeypatch):
    """Its threads had nothing to begin for half of the time, as a claim takes 20 ms: they can do twice as much."""
    starved = [0.0]
    monkeypatch.setattr(thread, "time", SimpleNamespace(monotonic=lambda: starved[0]))
    crew._executor("thread")
    for turn in range(1, 100):
        starved[0] += 0.02
        ended(crew, SLOTS, turn * 0.04)
    assert 18 <= crew.hand <= 20


def test_what_ended_meanwhile_has_no_beginning_told_before_its_end(crew):
    """While the worker wrote 1,000 outcomes, 1,000 more jobs began and ended: each had a line in the log for both."""
    crew.collect(0.0)
    crew.notes.append(JobStarted(0, "1", "app.jobs.add", "default", 1, "mine"))
    assert crew.begun() == []
    crew.collect(0.1)
    assert [event.job_id for event in crew.begun()] == ["1"]
    assert crew.begun() == []


def test_no_end_is_told_without_its_beginning(crew):
    """A job that runs while outcomes are collected, after those that had begun were looked at, waits its turn."""

    class Busy(deque):
        def popleft(self):
            crew.held["thread"] += 1
            self.append(JobStarted(0, "2", "app.jobs.add", "default", 1, "mine"))
            crew.inbox.append(Settlement(job("2"), Outcome("completed", "completed", 0, 0)))
            return super().popleft()

    crew.notes = Busy([JobStarted(0, "1", "app.jobs.add", "default", 1, "mine")])
    assert crew.collect(0.0) == []
    assert [event.job_id for event in crew.begun()] == ["1"]


@pytest.mark.parametrize("hand", range(SLOTS, 4 * SLOTS))
@pytest.mark.parametrize("held", range(SLOTS + 1))
def test_a_free_thread_gets_a_job(crew, hand, held):
    """Whatever is in hand of fast jobs: the others that run may be long ones, which hold what they have for hours."""
    crew.hand, crew.held["thread"] = hand, held
    assert crew.room().get("thread", 0) >= SLOTS - held


def test_what_is_too_much_is_noticed(crew):
    """Jobs that were fast have become slow: what was claimed for a tenth of a second would now take many."""
    for turn in range(1, 100):
        ended(crew, 10, turn * 0.01)
    crew.held["thread"] = crew.hand
    for turn in range(3):
        assert crew.overloaded is (turn == 2)
        ended(crew, SLOTS, 2.0 + turn)
    crew.held["thread"] = SLOTS
    assert not crew.overloaded


@pytest.mark.parametrize(("running", "hand", "used_up"), [(0, SLOTS, True), (1, SLOTS, False), (0, SLOTS + 1, False)])
def test_no_time_is_given_to_what_cannot_come(crew, running, hand, used_up):
    """It waits for more outcomes only where a job may bring one; of a few that came by themselves, for the next few."""
    crew.hand = hand
    crew.inbox.extend([Settlement(job("1"), Outcome("completed", "completed", 0, 0))] * (SLOTS - running))
    crew.held["thread"] = SLOTS
    assert crew.used_up is used_up


def test_the_control_thread_is_woken_once_for_what_it_collects(crew, monkeypatch):
    """By the first outcome with which there is enough, and again by the first that comes after it has looked."""
    calls = []
    monkeypatch.setattr(crew._wake, "set", lambda: calls.append(len(crew.inbox)))
    crew.hand, crew.held["thread"] = 8, 8
    crew._executor("thread")._todo.append(job("waits"))
    for _ in range(2):
        for number in range(6):
            crew.finished(job(str(number)), Outcome("completed", "completed", 0, 0))
        crew.collect(0.0)
        crew.hand = 8
    assert calls == [4, 4]


def fail() -> None:
    raise ValueError


def tell() -> str:
    return "x" * 98


@pytest.mark.parametrize(
    ("job", "bound", "most", "status", "counts"),
    [
        ("fail", "SINGLY", 3, "failed", [3, 6, 8]),
        ("tell", "TOGETHER", 300, "completed", [3, 6, 8]),
        ("tell", "TOGETHER", 99, "completed", [1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_outcomes_that_take_long_are_written_a_few_at_a_time(tmp_path, monkeypatch, job, bound, most, status, counts):
    """Between two heartbeats, and without claiming more meanwhile; one is written, however large it is.

    A thousand that failed together took 14 seconds, and 200 with results of 1 MiB no server ever took.
    """
    monkeypatch.setattr(ledger, bound, most)
    with worker_in(tmp_path, allowed=[__name__]) as mine:
        ids = [store(mine, f"{__name__}.{job}") for _ in range(8)]
        mine.turn()
        while len(mine.crew.inbox) < len(ids):
            mine._wake.wait(0.01)
        written = []
        while mine.ledger.unsettled or mine.crew.busy:
            mine.turn()
            mine._wait()
            written.append(len(reads.list_jobs(mine._db, status=status)))
        assert written == counts


go, leave = threading.Event(), threading.Event()


def hold() -> None:
    go.wait(30)


async def quick() -> None:
    pass


def test_coroutines_that_end_do_not_keep_what_no_thread_begins(tmp_path, monkeypatch):
    """It held dozens of long jobs while others had nothing to do, for as long as coroutines or isolated jobs ended."""
    monkeypatch.setattr(worker, "STALLED", 0.05)
    with worker_in(tmp_path, allowed=[__name__]) as mine:
        mine.crew.hand = 100
        for _ in range(20):
            store(mine, f"{__name__}.hold")
        mine.turn()
        give_up = time.monotonic() + 5
        while mine.crew.unstarted and time.monotonic() < give_up:
            store(mine, f"{__name__}.quick", executor="loop")
            mine.look_again()
            mine.turn()
            mine._wake.wait(0.01)
        go.set()
        assert mine.crew.held["thread"] == mine.crew.slots["thread"]


async def block() -> None:
    """Hold the loop up, as code that waits for a database does, and go on for as long."""
    go.wait(30)
    while not leave.is_set():
        await asyncio.sleep(0.01)


def test_a_coroutine_that_blocks_the_loop_keeps_no_others(tmp_path, monkeypatch):
    """They go back, and none are claimed before the loop goes on: 44 of 60 waited behind it, beside an idle worker."""
    monkeypatch.setattr(loop, "HELD_UP", 0.05)
    go.clear()
    with worker_in(tmp_path, allowed=[__name__]) as mine:
        store(mine, f"{__name__}.block", executor="loop")
        mine.turn()
        others = [store(mine, f"{__name__}.quick", executor="loop") for _ in range(3)]
        mine.look_again()
        until(mine, lambda: {reads.status(mine._db, other) for other in others} == {"running"})
        until(mine, lambda: {reads.status(mine._db, other) for other in others} == {"pending"})
        assert (mine.crew.held["loop"], mine.crew.room().get("loop")) == (1, None)
        go.set()
        until(mine, lambda: {reads.status(mine._db, other) for other in others} == {"completed"})
        assert mine.crew.held["loop"] == 1
        leave.set()
        until(mine, lambda: not mine.crew.busy)


def until(mine, condition) -> None:
    """Let the worker turn until something holds."""
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        mine.turn()
        mine._wake.wait(0.01)
