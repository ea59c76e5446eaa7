"""The file of an SQLite database, as far as SQLite does not see to it."""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from lateshift.errors import StorageUnavailable

Identity = tuple[int, int]

GONE: Final = (
    "{} was deleted or replaced, or its -wal removed, while this process had it open: nobody would see what it writes."
)


def same_file(one: str, other: str) -> bool:
    """Whether two paths lead to one file."""
    try:
        return os.path.samefile(one, other)
    except OSError:  # one is gone, or in memory, which has no path
        return False


class OpenFile:
    """A file that a connection has open, and whether it and its -shm are still those at their paths.

    The -shm goes alone when this process has read the file with plain I/O: with the first descriptor that is closed,
    POSIX drops all locks that a process has on a file. So the next one who closes the database takes itself for the
    last, and removes -wal and -shm. What is written through the old ones is in no file.
    """

    TRUST: Final = 1.0
    """Seconds until a program that only reads looks again."""

    def __init__(self, path: str) -> None:
        self._path, self._shm_path = path, f"{path}-shm"
        self._file: Identity | None = None
        self._shm: Identity | None = None
        self._lost: Identity | None = None
        self._looked_at = -math.inf

    def opening(self) -> None:
        """It is about to be opened, and is there. Raises StorageUnavailable if that would lead to what is lost."""
        if self._lost is not None and _is_other(self._shm_path, self._lost) and _is_open_here(self._lost):
            raise StorageUnavailable(
                f"Nothing can be stored in {self._path} by this process any more: it has read the file with plain file "
                "I/O, which broke SQLite's locks, and another connection of it still uses a -wal that was removed "
                "since. Restart it, and copy the file with sqlite3's backup() only."
            )
        self._lost = None
        with suppress(OSError):  # it has gone again: that is noticed at the next use
            self._file = _identify(self._path)

    def opened(self) -> None:
        """It is open. Without a -shm that can be looked at, the file alone tells."""
        self._shm = None
        with suppress(OSError):
            self._shm = _identify(self._shm_path)

    def has_gone(self, *, trust: bool) -> bool:
        """Whether one of them was deleted, or replaced by another; asked with `trust` often, it looks every second."""
        now = time.monotonic()
        if trust and now - self._looked_at < self.TRUST:
            return False
        self._looked_at = now
        if _is_other(self._path, self._file):
            return True
        if self._shm is None or not _is_other(self._shm_path, self._shm):
            return False
        self._lost = self._shm
        return True


def _identify(path: str) -> Identity:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _is_other(path: str, known: Identity | None) -> bool:
    try:
        return _identify(path) != known
    except OSError as error:  # as long as nobody can look, nobody knows
        return isinstance(error, FileNotFoundError)


def _is_open_here(identity: Identity) -> bool:
    """Whether this process has a descriptor of it. SQLite would use that -shm for a new connection as well."""
    with suppress(OSError):  # Windows, where an open file cannot be deleted
        for name in os.listdir("/dev/fd"):
            with suppress(OSError):  # the one of this listing
                found = os.fstat(int(name))
                if (found.st_dev, found.st_ino) == identity:
                    return True
    return False


def is_there(path: str | Path) -> bool:
    """Whether something is at `path`. Raises StorageUnavailable if this user may not look into a folder above."""
    try:
        os.stat(path)
    except PermissionError as error:
        closed = next(filter(os.path.exists, Path(path).parents), Path(path))
        raise StorageUnavailable(
            f"This user may not look into {with_owner(closed)}. Run this as the user it belongs to, or give this one "
            "the folder and all that is in it."
        ) from error
    except (OSError, ValueError):
        return False
    return True


def with_owner(path: Path) -> str:
    """The path in words, and on POSIX the users whose it is and who asks."""
    if os.name != "posix":
        return str(path)
    return f"{path}, which belongs to user {path.stat().st_uid} (this is user {os.geteuid()})"


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, each for its owner only; one that is there stays as it is."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        if folder.parent == folder:  # a drive of Windows that is not there
            raise
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def create_private(path: Path) -> None:
    """Make the file readable by its owner only, before SQLite makes it readable by all."""
    try:
        if not path.parent.exists():
            make_private(path.parent)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if path.is_dir():
            raise StorageUnavailable(
                f"{path} is a folder: LATESHIFT_DATABASE_URL names a file, as sqlite:///{path.as_posix()}/lateshift.db."
            ) from None
    except OSError as error:
        is_there(path)  # perhaps it is, in a folder of another user: that is the better reason
        raise StorageUnavailable(
            f"The database {path} could not be created: {error.strerror}. Make the folder writable, or point "
            "LATESHIFT_DATABASE_URL somewhere else."
        ) from error
