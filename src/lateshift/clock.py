"""The clocks: the wall's, in microseconds, for what is stored; the monotonic ones, in seconds, for waiting."""

from __future__ import annotations

import sys
import time
from typing import Final

_COUNTS_SLEEP: Final = time.CLOCK_MONOTONIC if sys.platform == "darwin" else getattr(time, "CLOCK_BOOTTIME", None)
_MONOTONIC: Final = getattr(time, "CLOCK_UPTIME_RAW", getattr(time, "CLOCK_MONOTONIC", None))


def elapsed() -> float:
    """Seconds on a clock that nobody sets, and that goes on while the machine sleeps.

    `time.monotonic` does so on Windows. On Linux and macOS it stands still meanwhile.
    """
    return time.monotonic() if _COUNTS_SLEEP is None else time.clock_gettime(_COUNTS_SLEEP)


def elapsed_ns() -> int:
    """The same in nanoseconds."""
    return time.monotonic_ns() if _COUNTS_SLEEP is None else time.clock_gettime_ns(_COUNTS_SLEEP)


def steady() -> float:
    """The seconds of `time.monotonic`, also in a test that has freezegun stop that one, though not on Windows.

    For waits that have to end: freezegun lets `time.sleep` wait.
    """
    return time.monotonic() if _MONOTONIC is None else time.clock_gettime(_MONOTONIC)


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
