"""SQLite in a process that forks: nothing that another thread was in the midst of keeps the child from its work."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from storage_steps import Place, in_child

from lateshift.storage import reads, writes

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]


@pytest.fixture
def place(tmp_path: Path, clock):
    """Only SQLite here."""
    place = Place("sqlite", f"sqlite:///{tmp_path}/lateshift.db", clock)
    yield place
    place.close()


def test_a_fork_with_an_open_connection(place, steps):
    """Parent and child both enqueue after a fork, on connections of their own; nothing is lost or damaged."""
    before = steps.enqueue()
    child = in_child(lambda: ",".join([steps.enqueue() for _ in range(20)] + [str(steps.status(before))])).split(",")
    parent = [steps.enqueue() for _ in range(20)]
    assert child.pop() == "pending"
    assert {job.id for job in reads.list_jobs(place.open(), limit=100)} == {before, *child, *parent}
    assert steps.db.query("pragma integrity_check") == [("ok",)]


def test_a_fork_while_another_thread_writes(steps):
    """The fork waits until the thread has written, as SQLite would tell the child for ever that somebody writes."""
    inside, forking = threading.Event(), threading.Event()
    os.register_at_fork(before=forking.set)  # of these the last to come is the first to be called

    def write() -> None:
        with steps.db.transaction():
            inside.set()
            forking.wait()

    thread = threading.Thread(target=write)
    thread.start()
    inside.wait()
    child = in_child(steps.enqueue)
    thread.join()
    assert steps.status(child) == "pending"


def test_several_threads_fork_at_once(steps):
    """None waits for the others for ever; parent and children all write after it."""
    together = threading.Barrier(3)

    def fork() -> str:
        together.wait()
        return in_child(steps.enqueue)

    with ThreadPoolExecutor(3) as threads:
        children = [threads.submit(fork) for _ in range(3)]
    assert {steps.status(child.result()) for child in children} == {"pending"}
    assert steps.status(steps.enqueue()) == "pending"


def test_a_fork_does_not_wait_for_a_long_transaction(steps, monkeypatch):
    """A child that is forked in the midst of another thread's transaction neither hangs nor takes part in it."""
    monkeypatch.setattr("lateshift.storage.database.FORK_PATIENCE", 0.01)
    inside, done = threading.Event(), threading.Event()
    lost = steps.new()

    def write() -> None:
        with steps.db.transaction():
            writes.enqueue(steps.db, [lost])
            inside.set()
            done.wait()
            raise ZeroDivisionError

    def swallow() -> None:
        with pytest.raises(ZeroDivisionError):
            write()

    thread = threading.Thread(target=swallow)
    thread.start()
    inside.wait()
    answer = in_child(lambda: str(steps.status(lost.id)))
    done.set()
    thread.join()
    assert answer == "None"
    assert steps.status(lost.id) is None
