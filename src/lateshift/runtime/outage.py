"""What a worker tells of a database that it cannot use: once that it is so, and why, and once that it is over."""

from __future__ import annotations

import time
from typing import Final

from lateshift.errors import StorageError
from lateshift.events import DatabaseAway, DatabaseBack, Events
from lateshift.runtime.output import complain
from lateshift.storage.database import Database

TROUBLE_PAUSE: Final = 1.0
"""Seconds between two tries while the database cannot be written."""


class Outage:
    """Of one worker's database. `now` is in seconds, by a monotonic clock."""

    def __init__(self, worker: str, db: Database, events: Events) -> None:
        self._worker = worker
        self._db = db
        self._events = events
        self._began_at = 0.0
        self._kind: type[StorageError] | None = None

    def tell(self, error: StorageError, now: float) -> None:
        """It cannot be used. Told again only when the trouble is of another kind; its words change with each try."""
        if self._kind is None:
            self._began_at = now
        if type(error) is not self._kind:
            self._kind = type(error)
            self._complain(f"{error} Trying again.")
            self._events.emit([DatabaseAway(self._db.reckon(), self._worker, str(error))])

    def over(self, now: float) -> None:
        """It has just been used."""
        if self._kind is not None:
            self._kind = None
            seconds = now - self._began_at
            self._complain(f"The database is back after {seconds:.0f} s.")
            self._events.emit([DatabaseBack(self._db.reckon(), self._worker, seconds)])

    def _complain(self, told: str) -> None:
        complain(f"lateshift: {time.strftime('%H:%M:%S')} {self._worker}: {told}")
