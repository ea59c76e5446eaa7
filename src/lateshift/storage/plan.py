"""What `lateshift migrate --plan` asks: which migrations a database lacks, without applying them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lateshift.storage.schema import MIGRATIONS, Migration
from lateshift.storage.sqlite import SqliteDatabase

if TYPE_CHECKING:
    import sqlite3


def pending(db: SqliteDatabase) -> list[Migration]:
    """The migrations still to be applied; a file that does not exist is not made. Raises StorageError."""
    if not os.path.exists(db.path):
        return list(MIGRATIONS)
    look = _Unmigrated(db.path)
    try:
        version = look.known_version()
    finally:
        look.close()
    return [migration for migration in MIGRATIONS if migration.number > version]


class _Unmigrated(SqliteDatabase):
    """A database as it is: the usual first use would migrate it."""

    def known_version(self) -> int:
        version = self.version()
        self._refuse_newer(version)
        return version

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection
