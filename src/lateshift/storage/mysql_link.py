"""A connection of PyMySQL or mysqlclient, and how large a statement may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from lateshift.errors import StorageError
from lateshift.storage.database import Parameters, Row
from lateshift.storage.server import Link

NO_ROOM: Final = frozenset({*range(1, 200), 1021, 1026, 1030, 1034, 1114, 1878})
"""The numbers of errors by which a server says that it could not write a file, or had no room for a table.

Those below 200 are of its files. In a tmpdir that is full, the table that MariaDB makes for a statement has error 126,
"Index is corrupted", as often as 28, "No space left on device".
"""

_ESCAPED: Final = "\0\n\r\x1a\\'\""
"""The characters of a text that take one byte more in a statement."""


def too_large(sql: str, parameters: Parameters, most: float) -> int:
    """How many bytes a statement has, if they are at least `most`; else 0."""
    texts = [value for value in parameters.values() if isinstance(value, str)]
    if 4 * sum(map(len, texts)) < most:  # a character has four bytes at most
        return 0
    size = len(sql) + sum(len(text.encode()) + sum(map(text.count, _ESCAPED)) for text in texts)
    return size if size >= most else 0


class MysqlLink(Link):
    """A connection of PyMySQL or mysqlclient, which are alike. `most` is how many bytes a statement may have."""

    most: float = math.inf

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def query(self, sql: str, parameters: Parameters) -> list[Row]:
        """Run a statement, return its rows."""
        self._refuse_large(sql, parameters)
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return list(cursor.fetchall())

    def execute(self, sql: str, parameters: Parameters) -> int:
        """Run a statement, return how many rows matched."""
        self._refuse_large(sql, parameters)
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return int(cursor.rowcount)

    def execute_many(self, sql: str, rows: Sequence[Parameters]) -> int:
        """Run a statement for each row of parameters; the driver sends inserts together."""
        for row in rows:
            self._refuse_large(sql, row)
        with self.connection.cursor() as cursor:
            cursor.executemany(sql, rows)
            return int(cursor.rowcount)

    def _refuse_large(self, sql: str, parameters: Parameters) -> None:
        """Raise StorageError for a statement that is too large. The server would close the connection, each time."""
        if size := too_large(sql, parameters, self.most):
            raise StorageError(
                f"The database server takes no statement of {size:,} bytes: its max_allowed_packet is {self.most:,}. "
                "Raise that, or let jobs have smaller parameters and results."
            )

    def close(self) -> None:
        """Close the connection."""
        try:
            self.connection.close()
        except Exception:  # it is closed already, which PyMySQL calls an error, or broken
            return
