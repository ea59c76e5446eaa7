"""The file of an SQLite database, as far as SQLite does not see to it."""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from lateshift.errors import StorageUnavailable


def same_file(one: str, other: str) -> bool:
    """Whether two paths lead to one file."""
    try:
        return os.path.samefile(one, other)
    except OSError:  # one is gone, or in memory, which has no path
        return False


class OpenFile:
    """A file that a connection has open, and whether it is still the one at its path."""

    TRUST: Final = 1.0
    """Seconds until a program that only reads looks again."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._looked_at = -math.inf

    def opened(self) -> None:
        """It is about to be opened, and is there."""
        with suppress(OSError):  # it has gone again: that is noticed at the next use
            self._identity = self._identify()

    def has_gone(self, *, trust: bool) -> bool:
        """Whether it was deleted, or replaced by another; asked with `trust` often, it looks every second."""
        now = time.monotonic()
        if trust and now - self._looked_at < self.TRUST:
            return False
        self._looked_at = now
        try:
            return self._identify() != self._identity
        except OSError as error:  # as long as nobody can look, nobody knows
            return isinstance(error, FileNotFoundError)

    def _identify(self) -> tuple[int, int]:
        found = os.stat(self._path)
        return found.st_dev, found.st_ino


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


def create_private(path: Path) -> None:
    """Make the file readable by its owner only, before SQLite makes it readable by all."""
    try:
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        is_there(path)  # perhaps it is, in a folder of another user: that is the better reason
        raise StorageUnavailable(
            f"The database {path} could not be created: {error.strerror}. Make the folder writable, or point "
            "LATESHIFT_DATABASE_URL somewhere else."
        ) from error
