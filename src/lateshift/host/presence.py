"""A worker's life as the other processes of this host see it, without asking the database.

Three files in a folder: `<worker>.lock`, on which the worker holds a lock for as long as it lives, `<worker>.open`, the
same for as long as it claims jobs, and `<worker>.run`, a memory map of slots with the job that each is executing, or
has executed last. The operating system drops the locks at the very moment of a `kill -9`, and keeps what was written to
the map; so whoever comes next knows that the worker is dead, and which of its jobs had begun. Neither a process id that
is used again nor a slow heartbeat can deceive.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import sys
import weakref
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Final, Literal
from zlib import crc32

from lateshift.errors import StorageUnavailable
from lateshift.settings import Settings, mask_url
from lateshift.storage.files import make_private

SLOT: Final = 64
"""Bytes for a mark, of at most 36 for a UUID and 21 for a lease: a cache line, so that a write does not cross one."""

_write_mark: Final = Struct(f"{SLOT}s").pack_into
"""Cuts an id off that is longer, as by other hands, and fills up with zeros."""

_ENDED: Final = "="
"""Begins the mark of an attempt that has ended, before the id and the lease; that of one that runs is the id alone."""

_LIVES: Final = b"locked"
_DISMISSED: Final = b"dismissed"
_LEFT: Final = b"left"
"""What stands in a lock's file: since its worker began; since it was asked to stop for good; and after one that ends by
itself has left it there."""

_SHORT: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What passes; any other error would keep a dead worker's jobs for ever."""

_FILE: Final = re.compile(r"(.+-\d+-[0-9a-f]{6})\.(?:lock|open|run)(?:\.\d+)?", re.ASCII)
"""A worker's file, by its id (host, process and chance), also where it was killed before it could give it this name."""


def presence_folder(settings: Settings) -> Path:
    """Where the workers of one database have their files: those of another one are nobody's to sweep up here."""
    return settings.storage_dir / "run" / short_name(settings)


def runner_file(settings: Settings, ending: Literal["only", "turn", "wanted", "allowed"]) -> Path:
    """Of one database: the lock of the runner, whose turn it is to start one, and the mark of one that came second.

    Also what programs have granted to it; see `permits`.
    """
    return settings.storage_dir / "run" / f"runner-{short_name(settings)}.{ending}"


def short_name(settings: Settings) -> str:
    """A name for the tables that these settings lead to, the same in every process of this host."""
    file = settings.database_url.removeprefix("sqlite:///")
    # By another path, as through a link, or c:\shop and C:\Shop of Windows, programs would share a runner and not know
    # what the others have granted to it.
    is_file = file != settings.database_url
    url = os.path.normcase(os.path.realpath(file)) if is_file else mask_url(settings.database_url)
    place = f"{url} {settings.schema} {settings.table_prefix}"
    return f"{crc32(place.encode()):08x}"


def no_place_for_locks(folder: Path, error: OSError) -> str:
    """Why no worker can be here, and what to do."""
    return (
        f"The folder {folder} cannot be written ({error.strerror or error}), and every worker needs its "
        "lock there. Make it writable for this user, free space on its disk, or point LATESHIFT_STORAGE_DIR elsewhere."
    )


class Presence:
    """One worker's locks and slots. Acquire it before the worker is made known to others, release it at the end.

    `slots` is how many jobs the worker may execute at once. Safe to use from several threads, on different slots.
    """

    def __init__(self, folder: Path | str, worker_id: str, slots: int) -> None:
        self.folder = Path(folder)
        self.worker_id = worker_id
        self.slots = slots
        self._lock: int | None = None
        self._open: int | None = None
        self._marks: mmap.mmap | bytearray = bytearray(slots * SLOT)

    def acquire(self) -> None:
        """Take the locks and make the slots.

        Raises StorageUnavailable where they cannot be written, FileExistsError if this worker lives already.
        """
        if is_alive(self.folder, self.worker_id):
            raise FileExistsError(f"a living process is worker {self.worker_id} already")
        try:
            make_private(self.folder)
            self._marks = _make_marks(_run_file(self.folder, self.worker_id), self.slots * SLOT)
            self._lock = _take_lock(_lock_file(self.folder, self.worker_id))
            self._open = _take_lock(_open_file(self.folder, self.worker_id))
        except OSError as error:
            self.let_go()
            forget(self.folder, self.worker_id)
            raise StorageUnavailable(no_place_for_locks(self.folder, error)) from error
        _held.add(self)

    def mark(self, slot: int, job_id: str) -> None:
        """Note that `slot` is executing this job: one write to memory, which a `kill -9` does not undo."""
        _write_mark(self._marks, slot * SLOT, job_id.encode())

    def ended(self, slot: int, job_id: str, lease: int) -> None:
        """Note that `slot` is executing this job no more; what became of it is perhaps not in the database yet."""
        self.mark(slot, f"{_ENDED}{job_id} {lease}")

    def dismiss(self) -> None:
        """Note that somebody asked this worker to stop for good: should it die on the way, nobody is to replace it."""
        if self._lock is not None:
            with suppress(OSError):  # a full disk: then it is replaced
                os.lseek(self._lock, 0, os.SEEK_SET)
                os.write(self._lock, _DISMISSED)

    def stop_claiming(self) -> None:
        """Tell those who store jobs that this worker takes no more of them, while it lives on."""
        if self._open is not None:
            os.close(self._open)
            self._open = None
            with suppress(OSError):  # Windows, while somebody looks at it: a file without a lock says the same
                os.unlink(_open_file(self.folder, self.worker_id))

    def release(self) -> None:
        """Remove the files and drop the locks; marks made after this go nowhere."""
        if self._lock is None:
            return
        if sys.platform == "win32":  # there an open file cannot be removed; an empty one says nothing
            for handle in filter(None, (self._open, self._lock)):
                with suppress(OSError):
                    os.ftruncate(handle, 0)
        else:  # the name goes before the lock does
            forget(self.folder, self.worker_id)
        self.let_go()
        forget(self.folder, self.worker_id)

    def leave(self) -> None:
        """Say that this worker ends by itself now, and keep its files for those who take its jobs back."""
        with suppress(OSError):
            Path(_lock_file(self.folder, self.worker_id)).write_bytes(_LEFT)

    def let_go(self) -> None:
        """Close the files, without removing them: what a forked child does with what it inherited."""
        _held.discard(self)
        self._marks = bytearray(self.slots * SLOT)  # the map goes when the last thread in mark() has let go of it
        for handle in (self._open, self._lock):
            if handle is not None:
                os.close(handle)
        self._open = self._lock = None


def is_alive(folder: Path | str, worker_id: str) -> bool | None:
    """Whether the worker's process lives; None when its lock file is not there or cannot be read, so nobody knows."""
    return _is_held(_lock_file(folder, worker_id))


def signed_off(folder: Path | str, worker_id: str) -> bool:
    """Whether a worker whose process has ended did that itself: a job may have ended it, with any exit code."""
    return _word(folder, worker_id) not in (_LIVES, _DISMISSED)


def was_dismissed(folder: Path | str, worker_id: str) -> bool:
    """Whether a worker that is leaving, or has died, was asked to stop for good."""
    return _word(folder, worker_id) == _DISMISSED


def _word(folder: Path | str, worker_id: str) -> bytes | None:
    try:
        return Path(_lock_file(folder, worker_id)).read_bytes()
    except OSError:
        return None


def claims(folder: Path | str, worker_id: str) -> bool:
    """Whether the worker lives and has not said that it takes no more jobs."""
    return _is_held(_open_file(folder, worker_id)) is True


def is_leaving(folder: Path | str, worker_id: str) -> bool:
    """Whether the worker takes no more jobs and still runs some; without any it will have ended in a moment."""
    if is_alive(folder, worker_id) is not True or claims(folder, worker_id):
        return False
    with suppress(OSError):
        return bool(started_jobs(folder, worker_id))
    return False


def _is_held(path: str) -> bool | None:
    try:
        handle = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError):  # ValueError: a name that no file can have, in a row by other hands
        return None
    try:
        return _has_holder(handle)
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(handle)


def started_jobs(folder: Path | str, worker_id: str) -> frozenset[str] | None:
    """The ids of the jobs that the worker is executing, or was when it died; None where no file of it can be read.

    Raises OSError where nobody can tell now, as too many files are open.
    """
    marks = _read_marks(folder, worker_id)
    return None if marks is None else frozenset(mark for mark in marks if not mark.startswith(_ENDED))


def ended_jobs(folder: Path | str, worker_id: str) -> frozenset[tuple[str, int]]:
    """(id, lease) of the last job of each slot that runs nothing. Raises OSError as `started_jobs` does."""
    marks = _read_marks(folder, worker_id) or ()
    ended = (mark[1:].rpartition(" ") for mark in marks if mark.startswith(_ENDED))
    return frozenset((job_id, int(lease)) for job_id, _, lease in ended if lease.isdecimal())


def _read_marks(folder: Path | str, worker_id: str) -> list[str] | None:
    try:
        marks = Path(_run_file(folder, worker_id)).read_bytes()
    except ValueError:  # a name that no file can have
        return None
    except OSError as error:
        if error.errno in _SHORT:
            raise
        return None
    slots = (marks[start : start + SLOT].rstrip(b"\0") for start in range(0, len(marks), SLOT))
    return [mark.decode(errors="replace") for mark in slots if mark]


def forget(folder: Path | str, worker_id: str) -> None:
    """Remove what a dead worker left, if it is a worker's: its row, which names it, may be by other hands."""
    try:
        if Path(worker_id).name != worker_id or os.stat(_run_file(folder, worker_id)).st_size % SLOT:
            return
    except (OSError, ValueError):  # there is nothing; or a name that no file can have
        return
    for path in (_open_file(folder, worker_id), _lock_file(folder, worker_id), _run_file(folder, worker_id)):
        try:
            Path(path).unlink(missing_ok=True)
        except OSError:  # Windows, while somebody looks at it: others sweep it up
            continue


def left_behind(folder: Path | str, age: float) -> dict[str, list[Path]]:
    """The files older than `age` seconds of workers whose process does not live, by the worker's id.

    A file is a moment older than its lock, so what has just been made may belong to a worker that comes. How old it is
    the folder's own clock tells: on a network file system that is another host's, and ours may be minutes off.
    """
    found: dict[str, list[Path]] = {}
    if not os.path.isdir(folder):  # somebody has cleaned up
        return found
    now = _time_in(folder)
    for name in os.listdir(folder):
        named, path = _FILE.fullmatch(name), Path(folder, name)
        with suppress(OSError):  # it has gone meanwhile
            if named and now - path.stat().st_mtime > age:
                found.setdefault(named[1], []).append(path)
    return {worker_id: paths for worker_id, paths in found.items() if not is_alive(folder, worker_id)}


def _time_in(folder: Path | str) -> float:
    from tempfile import TemporaryFile  # 5 ms, for a program that only enqueues

    with TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime


def _lock_file(folder: Path | str, worker_id: str) -> str:
    return f"{folder}{os.sep}{worker_id}.lock"  # not a Path: every enqueue asks, and making one took a third of that


def _open_file(folder: Path | str, worker_id: str) -> str:
    return f"{folder}{os.sep}{worker_id}.open"


def _run_file(folder: Path | str, worker_id: str) -> str:
    return f"{folder}{os.sep}{worker_id}.run"


def _make_marks(path: str, size: int) -> mmap.mmap:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
    try:
        # Written, not only sized: a map over a hole of a full disk would end the process by SIGBUS at the first mark.
        if os.write(handle, bytes(size)) != size:
            raise OSError(errno.ENOSPC, "no space left for the worker's slots", path)
        return mmap.mmap(handle, size)
    finally:
        os.close(handle)


if sys.platform == "win32":
    from lateshift.host.file_lock import lock_file

    def _take_lock(path: str) -> int:
        """Lock first, write after: an open file cannot be renamed here, and nobody believes an empty one."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOINHERIT, 0o600)
        lock_file(handle, wait=True)
        os.write(handle, _LIVES)
        return handle

    def _lock_now(handle: int) -> None:
        if not lock_file(handle):
            raise BlockingIOError

    def _has_holder(handle: int) -> bool | None:
        """Ask with a shared lock, as below; None for an empty file, whose worker comes or goes."""
        if not lock_file(handle, shared=True):
            return True
        return False if os.fstat(handle).st_size else None

else:
    import fcntl

    def _take_lock(path: str) -> int:
        """Lock first, name after: nobody ever sees the file of a living worker unlocked."""
        unnamed = f"{path}.{os.getpid()}"
        handle = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            os.write(handle, _LIVES)
            os.rename(unnamed, path)
        except OSError:
            os.close(handle)
            Path(unnamed).unlink(missing_ok=True)
            raise
        return handle

    def _lock_now(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _has_holder(handle: int) -> bool | None:
        """Ask with a shared lock, so that two who ask at once do not take one another for the worker."""
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False if os.fstat(handle).st_nlink else None  # unlinked: it was released while we looked


def try_lock(path: Path) -> int | None:
    """Take the one lock of this name for as long as the handle is open, or None because another process has it."""
    make_private(path.parent)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock_now(handle)
    except OSError:
        os.close(handle)
        return None
    return handle


_held: weakref.WeakSet[Presence] = weakref.WeakSet()


def _let_go_in_child() -> None:
    """A process that a job forks shares the lock, and would keep a dead worker alive for as long as it runs itself."""
    for presence in tuple(_held):
        presence.let_go()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go_in_child)
