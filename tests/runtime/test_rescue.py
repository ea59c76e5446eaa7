"""When a worker counts as dead: its lock tells at once, its heartbeat after three missed ones that were watched."""

from __future__ import annotations

import contextlib
import errno
import os
import time

import pytest

from lateshift import Lateshift
from lateshift.enqueuing import new_id
from lateshift.errors import StorageUnavailable
from lateshift.events import Events
from lateshift.host import presence
from lateshift.host.fleet import host_name
from lateshift.host.presence import Presence, presence_folder, started_jobs
from lateshift.job import NewJob
from lateshift.runtime.duties import Rescue, Sweep, rescue
from lateshift.runtime.process import TakeBack
from lateshift.settings import load_settings
from lateshift.storage import open_database, reads, workers, writes
from lateshift.storage.workers import NewWorker
from lateshift.testing import FrozenClock

SECOND = 1_000_000


class Scene:
    """A worker `other` that holds a job, and the duty of a worker `mine`, tick by tick."""

    def __init__(self, folder) -> None:
        self.folder, self.clock = folder, FrozenClock()
        self.db = open_database(load_settings(database_url=f"sqlite:///{folder}/lateshift.db"), self.clock)
        self.duty = Rescue(self.db, Events(), "mine")

    def worker(self, host: str) -> str:
        now = self.clock.now()
        workers.register_worker(self.db, NewWorker("other", "worker", host, 1, str(self.folder), (), "1"), now)
        job = NewJob(new_id(now), "app.jobs.add", "default", "thread", 1, "{}", 3, now, now)
        writes.enqueue(self.db, [job])
        writes.claim(self.db, "other", now, reads.lanes(self.db), {"thread": 1})
        return job.id

    def beat(self) -> None:
        workers.heartbeat(self.db, "other", self.clock.now())

    def rescued_after(self, seconds: int) -> int | None:
        """The second in which the worker is found dead, looking once in each."""
        for second in range(seconds):
            self.duty.tick(self.clock.now())
            if not reads.workers(self.db):
                return second
            self.clock.move(1)
        return None


@pytest.fixture
def scene(tmp_path):
    scene = Scene(tmp_path)
    yield scene
    scene.db.close()


def test_three_missed_heartbeats_of_another_host(scene):
    """A worker elsewhere that has gone silent is taken for dead when its lease is over, and its job waits again."""
    job_id = scene.worker("elsewhere")
    assert scene.rescued_after(30) == 16
    assert reads.status(scene.db, job_id) == "pending_retry"


def test_a_living_worker_is_left_alone(scene):
    """As long as heartbeats come, at whatever time within the lease, nothing is taken."""
    scene.worker("elsewhere")
    for _ in range(5):
        assert scene.rescued_after(14) is None
        scene.beat()


def test_a_clock_that_was_set_back_makes_nobody_immortal(scene):
    """The last heartbeat of a worker elsewhere is an hour in the future: its job waited for as long.

    The living write another one.
    """
    job_id = scene.worker("elsewhere")
    assert scene.rescued_after(5) is None
    scene.clock.move(-3600)
    assert scene.rescued_after(14) is None
    scene.beat()
    scene.clock.move(-3600)
    assert scene.rescued_after(30) == 15
    assert reads.status(scene.db, job_id) == "pending_retry"


def test_after_an_outage_the_living_may_speak_first(scene):
    """When every heartbeat is old because the database was away, a worker that writes one within seconds lives on."""
    scene.worker("elsewhere")
    scene.duty.tick(scene.clock.now())
    scene.clock.move(60)
    assert scene.rescued_after(5) is None
    scene.beat()
    assert scene.rescued_after(14) is None


def test_a_new_worker_does_not_judge_by_what_it_has_not_seen(scene):
    """One that has only just begun watches an old heartbeat for a whole lease before it acts."""
    scene.worker("elsewhere")
    scene.clock.move(60)
    assert scene.rescued_after(30) == 15


def test_an_outage_shorter_than_the_lease_condemns_nobody(scene):
    """A heartbeat that became due as the database went away may come when it is back: it was watched, and is old."""
    scene.worker("elsewhere")
    assert scene.rescued_after(5) is None
    scene.clock.move(10.5)
    assert scene.rescued_after(3) is None
    scene.beat()
    assert scene.rescued_after(14) is None


def test_who_speaks_at_the_last_moment_keeps_its_jobs(scene):
    """Between being found silent and being taken back from, the worker has written a heartbeat: nothing is taken."""
    job_id = scene.worker("elsewhere")
    silent = reads.workers(scene.db)[0].heartbeat_at
    scene.clock.move(60)
    scene.beat()
    assert rescue(scene.db, Events(), "other", None, silent) == 0
    assert (reads.status(scene.db, job_id), len(reads.workers(scene.db))) == ("running", 1)
    assert rescue(scene.db, Events(), "other", None, scene.clock.now()) == 1


@pytest.mark.parametrize("host", [host_name(), "the-container-before"])
def test_a_lock_that_was_dropped_tells_at_once(scene, host):
    """It is free when its worker was killed, whatever that called its machine: no heartbeat has to be waited for.

    The job that it was given, and had not begun, counts as no crash.
    """
    presence = Presence(scene.folder, "other", 1)
    presence.acquire()
    job_id = scene.worker(host)
    assert scene.rescued_after(3) is None
    presence.let_go()
    assert scene.rescued_after(3) == 0
    assert reads.status(scene.db, job_id) == "pending"


def test_a_dead_worker_whose_marks_cannot_be_read_is_taken_back_from(scene):
    """A damaged disk, or a folder by other hands: nobody knows which of its jobs had begun, and nobody ever would."""
    (scene.folder / "other.run").mkdir()
    job_id = scene.worker(host_name())
    assert scene.rescued_after(30) == 16
    assert reads.get(scene.db, job_id).crashes == 1


def test_one_that_cannot_be_taken_back_from_now_keeps_no_other_waiting(scene, monkeypatch):
    """Of a worker nobody can tell which jobs had begun, for want of open files: those of the next one wait again."""
    scene.worker("elsewhere")
    now = scene.clock.now()
    workers.register_worker(scene.db, NewWorker("first", "worker", host_name(), 1, "first", (), "1"), now)

    def told(folder, worker):
        if folder == "first":
            raise OSError(errno.EMFILE, "Too many open files")
        return started_jobs(folder, worker)

    monkeypatch.setattr(presence, "started_jobs", told)
    with pytest.raises(OSError, match="Too many"):
        scene.rescued_after(30)
    assert [worker.id for worker in reads.workers(scene.db)] == ["first"]


def test_a_supervisor_waits_a_second_for_a_locked_database(tmp_path):
    """It has signals to look after, and the dead worker's successor tries again."""
    app = Lateshift(database_url=f"sqlite:///{tmp_path}/lateshift.db", storage_dir=tmp_path, allowed=["app"])
    take_back, began = TakeBack(app), time.monotonic()
    with app.database.transaction(), pytest.raises(StorageUnavailable):
        take_back("dead", "was killed")
    assert time.monotonic() - began < 10
    app.close()


def test_files_of_the_dead_whom_nobody_knows_are_removed(scene, tmp_path):
    """Killed before signing on, or rescued by another host; who lives, is known or new, or no worker, keeps them."""
    living, folder = Presence(tmp_path, "host-4710-00a11e", 1), tmp_path
    living.acquire()
    known = NewWorker("host-4714-0dead0", "worker", host_name(), 4714, str(folder), (), "1")
    workers.register_worker(scene.db, known, scene.clock.now())
    dead, half = "host-1.example-4711-00beef", "host-4712-c0ffee"
    theirs = [f"{dead}.lock", f"{dead}.open", f"{dead}.run", f"{half}.lock.4712"]
    for name in (*theirs, f"{known.id}.lock", "uv.lock"):
        (folder / name).write_text("locked")
    (folder / "runner.only").touch()
    for path in folder.iterdir():
        with contextlib.suppress(PermissionError):  # on Windows, of the database
            os.utime(path, (0, 0))
    (folder / "host-4713-00f00d.run").touch()
    Sweep(scene.db, folder).tick(0)
    names = {path.name for path in folder.iterdir() if not path.name.startswith("lateshift.db")}
    mine = {f"{living.worker_id}.{kind}" for kind in ("lock", "open", "run")}
    assert names == mine | {f"{known.id}.lock", "runner.only", "host-4713-00f00d.run", "uv.lock"}
    living.release()


def test_the_files_of_another_databases_workers_are_left_to_them(scene, tmp_path):
    """Two projects in one storage folder: what a worker of the other was executing when it died, its rescuer needs."""
    ours, theirs = (
        presence_folder(load_settings(database_url=f"sqlite:///{tmp_path}/{name}.db", storage_dir=tmp_path))
        for name in ("lateshift", "theirs")
    )
    dead = Presence(theirs, "host-4710-00dead", 1)
    dead.acquire()
    dead.mark(0, "job-1")
    dead.let_go()
    for path in theirs.iterdir():
        os.utime(path, (0, 0))
    Sweep(scene.db, ours).tick(0)
    assert started_jobs(theirs, dead.worker_id) == {"job-1"}


def test_the_files_of_a_worker_that_comes_are_left_to_it(scene, tmp_path, monkeypatch):
    """A host whose clock is ten minutes ahead took what was made on a shared folder just now for ten minutes old."""
    made = tmp_path / "host-4713-00f00d.run"
    made.touch()
    ours = time.time
    monkeypatch.setattr("time.time", lambda: ours() + 600)
    Sweep(scene.db, tmp_path).tick(0)
    assert made.exists()


def test_a_folder_that_was_removed_is_swept_without_a_word(scene, tmp_path):
    """Somebody has cleaned up under a living worker: its housekeeping goes on."""
    assert Sweep(scene.db, tmp_path / "gone").tick(0) == Sweep.INTERVAL
