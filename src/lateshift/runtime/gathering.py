"""Letting outcomes come together under load: a commit costs as much for one of them as for fifty."""

from __future__ import annotations

from typing import Final

from lateshift.clock import Clock
from lateshift.runtime.crew import Crew

GATHER: Final = 0.002
"""Seconds between two turns under load."""

GATHER_MOST: Final = 0.01
"""The same while there are jobs in hand for the threads to begin. Of eight threads with jobs of 10 ms a worker took 230
us of a core for each job while it turned every 2 ms, and 150 us so."""


def gather(crew: Crew, clock: Clock, turned_at: float, now: float) -> float:
    """Sleep, for as long as the executors have enough to do; what time it is then. The last turn was at `turned_at`."""
    while crew.busy > 1 and not crew.used_up:
        left = turned_at + (GATHER_MOST if crew.supplied else GATHER) - now
        if left <= 0:
            break
        clock.sleep(min(left, GATHER))
        now = clock.monotonic()
    return now
