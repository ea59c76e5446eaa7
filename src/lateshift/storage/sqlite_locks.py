"""How long to go on trying while somebody else has an SQLite file locked.

SQLite's own busy timeout backs off to 100 ms and starves old waiters, so we try again every millisecond ourselves.
"""

from __future__ import annotations

from typing import Final

from lateshift import django
from lateshift.clock import steady
from lateshift.errors import InvalidOption, LateshiftError, StorageUnavailable

OWN_LOCK_PATIENCE: Final = 1.0
"""Seconds to wait for a lock that this thread's own `atomic` may have; in which it may have read only, and then others
have the lock, for milliseconds."""


class Patience:
    """Of one statement, from when it first finds the file locked: `seconds` of it, less for a lock of this thread."""

    def __init__(self, path: str, seconds: float) -> None:
        self._path = path
        self._seconds = seconds
        self._own = django.may_have_locked(path)
        self._deadline = steady() + (min(OWN_LOCK_PATIENCE, seconds) if self._own else seconds)
        self._pause = 0.0001

    @property
    def over(self) -> bool:
        """Whether it has tried for long enough."""
        return steady() >= self._deadline

    def pause(self) -> float:
        """Seconds until the next try."""
        import random  # 1 ms, for who meets a lock

        pause = self._pause * random.uniform(0.5, 1.5)
        self._pause = min(0.001, self._pause * 1.5)
        return pause

    def refusal(self) -> LateshiftError:
        """What to raise when it is over."""
        if self._own:
            return InvalidOption(
                f"{self._path} is locked, it seems by this thread's own `transaction.atomic`: SQLite lets nobody else "
                "write before that ends. Enqueue with `connection=django.db.connection`, or do this after the commit, "
                "by `transaction.on_commit(...)`."
            )
        return StorageUnavailable(
            f"The database {self._path} was locked by another process, or another connection of this one, for "
            f"{self._seconds:g} s. Find out who holds a transaction open (often a database browser), or raise "
            "LATESHIFT_BUSY_TIMEOUT. In a transaction of your own, enqueue with `connection=`, or after its commit."
        )
