"""A connection to an SQLite file: how it is opened and closed, and what becomes of one that a fork brought along.

WAL always; a connection never crosses a fork; we do not open the database file with plain file I/O, because closing it
would drop every POSIX lock of the process (others do, see `OpenFile`).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from lateshift.errors import StorageError
from lateshift.storage.files import OpenFile, create_private

MINIMUM: Final = (3, 35, 0)
"""`returning` came with 3.35; CPython 3.11 is built against newer ones everywhere we looked."""

_LEAVE_WAL: Final[int | None] = getattr(sqlite3, "SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE", None)
"""Since Python 3.12: closing neither writes the -wal back nor removes what is at its path."""

_abandoned: list[tuple[str, sqlite3.Connection]] = []
"""Connections inherited through a fork, with their paths."""


def connect(path: str, durability: str, file: OpenFile) -> sqlite3.Connection:
    """Open the file at `path`, or make it, and let `file` know. Raises StorageError, and SQLite's errors."""
    if sqlite3.sqlite_version_info < MINIMUM:
        raise StorageError(
            f"This Python is linked to SQLite {sqlite3.sqlite_version}, Lateshift needs "
            f"{'.'.join(map(str, MINIMUM))} or newer. Use a newer Python."
        )
    if path != ":memory:":
        create_private(Path(path))
        file.opening()
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        for pragma in ("journal_mode = wal", f"synchronous = {durability}", "temp_store = memory"):
            connection.execute(f"pragma {pragma}")
        connection.execute("pragma journal_size_limit = 67108864")
        connection.execute("pragma user_version")  # the -shm is there from the first read on
        file.opened()
    except BaseException:
        connection.close()
        raise
    return connection


def take_bytes(connection: sqlite3.Connection, error: sqlite3.Error) -> bool:
    """After an error by a text that is no UTF-8, as other hands may write it: give such as bytes; whether that is new.

    `soundness` makes a text of them. Not from the beginning, as it takes time for each text.
    """
    if "decode to UTF-8" not in str(error) or connection.text_factory is not str:
        return False
    connection.text_factory = _text_or_bytes
    return True


def _text_or_bytes(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def close(connection: sqlite3.Connection, *, gone: bool) -> None:
    """Close it; when its file has `gone`, without touching what is at its path and that of its -wal now."""
    if gone and _LEAVE_WAL is not None:
        connection.setconfig(_LEAVE_WAL, True)  # type: ignore[attr-defined,unused-ignore]
    connection.close()


def abandon(path: str, connection: sqlite3.Connection) -> None:
    """In a forked child: keep the parent's connection unclosed, as closing it would harm the parent."""
    _abandoned.append((path, connection))


def close_abandoned(path: str) -> None:
    """Close those after all, as their file or its -wal has gone.

    That is so once the parent has: the locks which they seem to have, and for whose sake SQLite takes none for the
    child's own connection, were its.
    """
    for inherited in [one for one in _abandoned if one[0] == path]:
        _abandoned.remove(inherited)
        close(inherited[1], gone=True)
