"""A worker's lock and marks: what others see of it while it lives, when it has gone, and when it was killed."""

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lateshift.host.presence import (
    Presence,
    claims,
    ended_jobs,
    forget,
    is_alive,
    presence_folder,
    signed_off,
    started_jobs,
    try_lock,
)
from lateshift.settings import Settings
from lateshift.storage.files import create_private

UNIX = pytest.mark.skipif(sys.platform == "win32", reason="forks, shared locks, file modes and limits")

WORKER = """
import os, sys, time
from lateshift.host.presence import Presence
presence = Presence(sys.argv[1], "w", 512)
presence.acquire()
presence.mark(0, "first")
presence.mark(1, "second")
presence.mark(511, "last")
presence.ended(1, "second", 2**62)
"""
WAIT = "print('ready', flush=True); sys.stdin.read()"


def start(folder: Path, then: str = WAIT) -> subprocess.Popen[str]:
    """A worker process that has acquired its presence."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER + then, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready")
    return process


def test_a_worker_is_alive_from_acquire_to_release(tmp_path):
    """A worker that nobody knows gives None, a living one True, also within its own process; a released one None."""
    presence = Presence(tmp_path / "storage/run", "host.example-1-ab", 1)
    assert is_alive(presence.folder, presence.worker_id) is None
    presence.acquire()
    assert is_alive(presence.folder, presence.worker_id) is True
    assert started_jobs(presence.folder, presence.worker_id) == frozenset()
    presence.release()
    assert is_alive(presence.folder, presence.worker_id) is None
    assert started_jobs(presence.folder, presence.worker_id) is None
    assert list(presence.folder.iterdir()) == []


def test_a_worker_signs_off_by_its_release_or_by_leaving_its_files(tmp_path):
    """Of one whose process was ended by others, or by a job, the lock's file tells that it has not."""
    worker = Presence(tmp_path, "w", 1)
    worker.acquire()
    worker.let_go()
    assert (signed_off(tmp_path, "w"), is_alive(tmp_path, "w")) == (False, False)
    worker.leave()
    assert (signed_off(tmp_path, "w"), is_alive(tmp_path, "w")) == (True, False)
    other = Presence(tmp_path, "o", 1)
    other.acquire()
    other.release()
    assert signed_off(tmp_path, "o")


def test_a_killed_worker_is_dead_at_once_and_leaves_what_it_was_executing(tmp_path):
    """After kill -9 the lock is free, and the marks are as the process last wrote them."""
    with start(tmp_path) as worker:
        assert is_alive(tmp_path, "w") is True
        worker.kill()
        worker.wait()
    assert is_alive(tmp_path, "w") is False
    assert started_jobs(tmp_path, "w") == {"first", "last"}
    assert ended_jobs(tmp_path, "w") == {("second", 2**62)}
    forget(tmp_path, "w")
    assert is_alive(tmp_path, "w") is None
    assert started_jobs(tmp_path, "w") is None
    forget(tmp_path, "w")


@UNIX
@pytest.mark.parametrize(
    "start_child",
    [
        "if os.fork() == 0:\n    print('ready', os.getpid(), flush=True); os.close(1); time.sleep(600)\n",
        "import subprocess\nchild = subprocess.Popen(['sleep', '600'], close_fds=False, stdout=2).pid\n"
        "print('ready', child, flush=True)\n",
    ],
    ids=["forked", "started"],
)
def test_what_a_job_has_started_does_not_keep_a_dead_worker_alive(tmp_path, start_child):
    """A child that outlives the worker has no share in its lock."""
    command = [sys.executable, "-c", f"{WORKER}{start_child}sys.stdin.read()", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        child = int(worker.stdout.readline().split()[1])
        try:
            assert is_alive(tmp_path, "w") is True
            worker.kill()
            worker.wait()
            os.kill(child, 0)
            assert is_alive(tmp_path, "w") is False
        finally:
            os.kill(child, signal.SIGKILL)


@UNIX
def test_the_end_of_a_forked_child_does_not_release_its_parents_lock(tmp_path):
    """The child closes what it inherited; the worker goes on being alive, and its marks go on being seen."""
    then = "if os.fork() == 0:\n    presence.mark(2, 'child'); os._exit(0)\nos.wait(); presence.mark(3, 'third')\n"
    with start(tmp_path, then + WAIT) as worker:
        assert is_alive(tmp_path, "w") is True
        assert started_jobs(tmp_path, "w") == {"first", "third", "last"}
        worker.kill()


@UNIX
def test_two_that_ask_at_once_do_not_take_one_another_for_the_worker(tmp_path):
    """Whoever looks at a dead worker's lock holds it for a moment, and that must not look like life."""
    import fcntl

    (tmp_path / "w.lock").touch()
    with (tmp_path / "w.lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert is_alive(tmp_path, "w") is False


def test_a_name_is_never_visible_without_its_lock(tmp_path):
    """While a worker comes and goes, another one sees it alive or not at all, but never dead."""
    seen, done = set(), threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.add(is_alive(tmp_path, "w"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(200):
            presence = Presence(tmp_path, "w", 1)
            presence.acquire()
            presence.release()
    finally:
        done.set()
        thread.join()
    assert seen <= {None, True}


def test_a_second_process_cannot_be_the_same_worker(tmp_path):
    """Acquiring the presence of a living worker is refused, and harms it not."""
    with start(tmp_path) as worker:
        with pytest.raises(FileExistsError, match="w already"):
            Presence(tmp_path, "w", 1).acquire()
        assert is_alive(tmp_path, "w") is True
        assert started_jobs(tmp_path, "w") == {"first", "last"}
        worker.kill()


def test_a_worker_may_take_the_place_of_a_dead_one_of_its_name(tmp_path):
    """What a dead worker left is no hindrance, and its marks are gone."""
    with start(tmp_path) as worker:
        worker.kill()
    presence = Presence(tmp_path, "w", 1)
    presence.acquire()
    assert is_alive(tmp_path, "w") is True
    assert started_jobs(tmp_path, "w") == frozenset()
    presence.release()


def test_marks_outside_of_acquire_and_release_go_nowhere(tmp_path):
    """A thread that is still busy when the worker ends meets no error."""
    presence = Presence(tmp_path, "w", 1)
    presence.mark(0, "early")
    presence.acquire()
    presence.release()
    presence.mark(0, "late")
    presence.ended(0, "late" * 20, 1)
    presence.release()
    assert list(tmp_path.iterdir()) == []


def test_a_worker_may_live_on_without_claiming(tmp_path):
    """It claims until it says otherwise, is released or is killed; alive is another matter."""
    presence = Presence(tmp_path, "w", 1)
    assert not claims(tmp_path, "w")
    for end in (presence.stop_claiming, presence.release):
        presence.acquire()
        assert claims(tmp_path, "w")
        end()
        assert not claims(tmp_path, "w")
        assert is_alive(tmp_path, "w") is (True if end == presence.stop_claiming else None)
        presence.release()
    assert list(tmp_path.iterdir()) == []
    with start(tmp_path) as worker:
        assert claims(tmp_path, "w")
        worker.kill()
        worker.wait()
        assert not claims(tmp_path, "w")


@UNIX
def test_only_the_owner_may_read_what_it_writes(tmp_path):
    """Files are made with mode 0600, folders with 0700."""
    presence = Presence(tmp_path / "storage/run", "w", 1)
    presence.acquire()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "storage").rglob("*")}
    assert modes == {"run": 0o700, "w.lock": 0o600, "w.open": 0o600, "w.run": 0o600}
    assert stat.S_IMODE((tmp_path / "storage").stat().st_mode) == 0o700
    presence.release()


@UNIX
@pytest.mark.parametrize("make", [lambda path: os.close(try_lock(path)), create_private], ids=["lock", "database"])
def test_every_folder_that_is_made_is_for_its_owner_only(tmp_path, make):
    """The last one alone was: others could look into what lay above it, and rename it."""
    tmp_path.chmod(0o755)
    make(tmp_path / "storage/run/deep/file")
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_dir()} == {0o700}
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@UNIX
def test_a_full_disk_is_an_error_when_acquiring(tmp_path):
    """A worker that has no room for its marks does not start, and leaves nothing behind."""
    code = (
        "import resource, signal, sys\nfrom lateshift.errors import StorageUnavailable\n"
        "from lateshift.host.presence import Presence\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    Presence(sys.argv[1], 'w', 512).acquire()\nexcept StorageUnavailable as error:\n"
        "    print('refused', error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("refused")
    assert list(tmp_path.iterdir()) == []


def test_only_one_process_has_a_lock_of_one_name(tmp_path):
    """The lock that keeps a second runner away is given once, and again when the first has let go."""
    first = try_lock(tmp_path / "run/runner.only")
    assert first is not None
    assert try_lock(tmp_path / "run/runner.only") is None
    os.close(first)
    second = try_lock(tmp_path / "run/runner.only")
    assert second is not None
    os.close(second)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("sqlite:///c:/Shop/lateshift.db", "sqlite:///C:/shop/Lateshift.db", sys.platform == "win32"),
        ("postgresql://shop@db/Shop", "postgresql://shop@db/shop", False),
    ],
)
def test_a_database_is_one_however_its_folder_is_spelled(tmp_path, one, other, same):
    """Two runners for one file of Windows took jobs that only the other may run; a server's names have a case."""
    folders = {presence_folder(Settings(database_url=url, storage_dir=tmp_path)) for url in (one, other)}
    assert (len(folders) == 1) is same
