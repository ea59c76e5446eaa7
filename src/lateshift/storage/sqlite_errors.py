"""What SQLite's error codes mean for us, in words."""

from __future__ import annotations

from typing import Final

from lateshift.errors import AlreadyStored, QueryTooSlow, StorageCorrupt, StorageError, StorageUnavailable

BUSY: Final = frozenset({5, 6, 15})
"""Codes of what passes when others are done; 15 (protocol) comes on mounts of Docker Desktop and WSL."""

_UNAVAILABLE: Final = {
    8: "is read-only",
    10: "could not be read or written (I/O error)",
    13: "cannot grow: the disk is full",
    14: "could not be opened",
    23: "may not be accessed",
}
_CORRUPT: Final = frozenset({11, 26})
_UNIQUE: Final = frozenset({1555, 2067})


def code_of(error: BaseException) -> int:
    """The error's primary code; 0 for one that is not SQLite's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def explained(path: str, error: Exception) -> StorageError:
    """An error of the database at `path` as one of ours."""
    code = code_of(error)
    if getattr(error, "sqlite_errorcode", 0) in _UNIQUE:
        return AlreadyStored(f"A row of this key is stored already: {error}")
    if code == 9:  # interrupted
        return QueryTooSlow()
    if code in _CORRUPT:
        return StorageCorrupt(
            f"The database {path} is damaged ({error}). Stop the workers, restore it from a backup, or move "
            "it away: a new one is made at the next use."
        )
    if code in _UNAVAILABLE:
        return StorageUnavailable(
            f"The database {path} {_UNAVAILABLE[code]} ({error}). Check the folder's permissions and the free "
            "space; `lateshift doctor` tells more."
        )
    return StorageError(f"The database {path} refused a statement: {error}. Please report this.")
