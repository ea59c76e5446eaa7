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


def create_private(path: Path) -> None:
    """Make the file readable by its owner only, before SQLite makes it readable by all."""
    try:
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StorageUnavailable(
            f"The database {path} could not be created: {error.strerror}. Make the folder writable, or point "
            "LATESHIFT_DATABASE_URL somewhere else."
        ) from error
