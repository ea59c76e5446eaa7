"""The checks of `lateshift doctor` for a page that many may have open: one look for all of them, and not too often."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Final, NamedTuple

from lateshift.doctor import examine
from lateshift.doctor.place import Check
from lateshift.settings import Explained, Settings, explain_in_force

INTERVAL: Final = 20.0
"""Seconds for which a look serves: it writes to the database and undoes that, and a server is listened to."""

LEFT_OUT: Final = ("settings", "python", "allow-list")
"""What the page shows in its own way; and the allow-list, as it is checked by importing the user's code."""

ORDER: Final = ("error", "warning", "ok")


class Diagnosis(NamedTuple):
    """What was found, the worst first, and when by this machine's clock."""

    at: datetime
    checks: list[Check]
    settings: list[Explained]

    def number(self, level: str) -> int:
        """How many checks came out so."""
        return sum(check.level == level for check in self.checks)


class Checkup:
    """Looks at everything that Lateshift needs here, with the settings in force. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._looked = 0.0
        self._latest: Diagnosis | None = None

    def latest(self) -> Diagnosis:
        """What was found less than 20 seconds ago, or is found now."""
        with self._lock:
            if self._latest is None or time.monotonic() - self._looked > INTERVAL:
                self._latest = self._look()
                self._looked = time.monotonic()
            return self._latest

    def _look(self) -> Diagnosis:
        settings = explain_in_force(self._settings)
        checks = examine(self._settings, settings, without=LEFT_OUT)
        checks.sort(key=lambda check: ORDER.index(check.level))
        return Diagnosis(datetime.now(UTC), checks, settings)
