"""The file of an SQLite database, as far as SQLite does not see to it."""

from __future__ import annotations

import os
from pathlib import Path

from lateshift.errors import StorageUnavailable


def same_file(one: str, other: str) -> bool:
    """Whether two paths lead to one file."""
    try:
        return os.path.samefile(one, other)
    except OSError:  # one is gone, or in memory, which has no path
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
