"""The two clocks: the wall's, in microseconds, for what is stored; the monotonic one, in seconds, for waiting."""

from __future__ import annotations

import time


class Clock:
    """The time as the database's host sees it. Tests hand in a frozen one (`lateshift.testing.FrozenClock`)."""

    def now(self) -> int:
        """Microseconds since 1970 in UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds that only ever grow, unmoved by changes of the wall clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        time.sleep(seconds)
