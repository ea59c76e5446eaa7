"""An SQLite file that is deleted or replaced, or whose locks are lost, while it is open."""

from __future__ import annotations

import shutil
import sqlite3
import sys
import time
from pathlib import Path

import pytest
from storage_steps import Place, Steps

from lateshift.errors import StorageUnavailable
from lateshift.storage import reads
from lateshift.storage.files import OpenFile

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="there an open file cannot be deleted, and a lock is its handle's"
)


@pytest.fixture
def place(sqlite_place):
    """Only SQLite here."""
    return sqlite_place


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_file_that_goes_while_it_is_open(place, file, how):
    """What is stored from then on is in the file that others find, and old jobs are not there; they all were lost."""
    steps, keeps = Steps(place.open(), place.clock), place.open()
    old = steps.enqueue()
    keeps.keeps_file = True
    assert reads.status(keeps, old) == "pending"
    shutil.rmtree(file.parent)
    if how == "replaced":
        Steps(place.open(), place.clock).enqueue()
    new = steps.enqueue()
    assert reads.status(place.open(), new) == "pending"
    assert [reads.status(steps.db, old), reads.status(keeps, old)] == [None, "pending"]


def test_reading_notices_within_a_second_that_the_file_has_gone(place, file, monkeypatch):
    """So that nobody waits for ever for a job that was deleted with its file."""
    steps = Steps(place.open(), place.clock)
    job_id = steps.enqueue()
    shutil.rmtree(file.parent)
    monkeypatch.setattr(OpenFile, "TRUST", 0.01)
    deadline = time.monotonic() + 5
    while steps.status(job_id) is not None:
        assert time.monotonic() < deadline


@pytest.fixture
def unlocked(place, file):
    """A program that has read the file with plain I/O, and so lost its locks; then another one closed the file."""
    steps = Steps(place.open(), place.clock)
    steps.enqueue()
    file.read_bytes()
    assert elsewhere(place, "reads.counts(db)['pending']") == "1"
    return steps


def elsewhere(place: Place, expression: str) -> str:
    """What another process finds, which closes the database then."""
    return place.process(f"print({expression})\ndb.close()").communicate(timeout=20)[0].strip()


def test_a_program_that_reads_the_file_stores_where_others_look(place, unlocked):
    """With the locks went the -wal that it had open: what it wrote to that was lost, though it had an id."""
    beside = place.open()
    assert reads.status(beside, unlocked.enqueue()) == "pending"
    assert elsewhere(place, "reads.counts(db)['pending']") == "2"


def test_what_else_has_the_file_open_in_such_a_program_goes_along(place, file):
    """SQLite would give the new connection the -shm that the dashboard of the same process still has open."""
    steps, dashboard = Steps(place.open(), place.clock), place.open()
    steps.enqueue()
    assert reads.counts(dashboard)["pending"] == 1
    file.read_bytes()
    elsewhere(place, "reads.counts(db)")
    steps.enqueue()
    assert elsewhere(place, "reads.counts(db)['pending']") == "2"
    assert reads.counts(dashboard)["pending"] == 2


def test_a_program_refuses_to_store_beside_a_connection_to_what_is_lost(place, file):
    """Django's, perhaps: what is stored through what they share is seen by nobody. Without it, all is well again."""
    steps = Steps(place.open(), place.clock)
    steps.enqueue()
    django = sqlite3.connect(file)
    assert django.execute("select count(*) from lateshift_jobs").fetchone() == (1,)
    file.read_bytes()
    elsewhere(place, "reads.counts(db)")
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="has read the file with plain file I/O"):
            steps.enqueue()
    django.close()
    steps.enqueue()
    assert elsewhere(place, "reads.counts(db)['pending']") == "2"


DAEMON = """
import os
writes.pause_queue(db, "before", 1)
if os.fork():
    os._exit(0)
for name in sys.stdin:
    writes.pause_queue(db, name.strip(), 1)
    print(name, end="", flush=True)
"""


def test_a_program_that_goes_on_in_a_fork_stores_where_others_look(place):
    """A daemon: the locks were those of its parent, which has ended, for SQLite took none for the child."""
    daemon = place.process(DAEMON)
    assert daemon.wait(20) == 0
    for number in (1, 2, 3):
        daemon.stdin.write(f"queue-{number}\n")
        daemon.stdin.flush()
        assert daemon.stdout.readline() == f"queue-{number}\n"
        paused = "len(db.query('select name from lateshift_queues where paused_at is not null'))"
        assert elsewhere(place, paused) == str(number + 1)


def test_a_worker_writes_nothing_where_nobody_sees_it(unlocked):
    """A claim there would be another one of a job that somebody else claims; it ends with its next heartbeat."""
    unlocked.db.keeps_file = True
    with pytest.raises(StorageUnavailable, match="its -wal removed"):
        unlocked.enqueue()
    with pytest.raises(StorageUnavailable, match="its -wal removed"):
        unlocked.db.connect_for_job()
    assert unlocked.db.file_has_gone()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="such a way of closing came with Python 3.12")
def test_closing_leaves_the_files_of_others_alone(place, file, unlocked):
    """The -wal that is there now may be all that a killed process has left of its jobs."""
    place.process("import os, signal\nwrites.pause_queue(db, 'mail', db.now())\nos.kill(os.getpid(), 9)").wait()
    left = Path(f"{file}-wal").read_bytes()
    unlocked.db.close()
    assert left
    assert Path(f"{file}-wal").read_bytes() == left
