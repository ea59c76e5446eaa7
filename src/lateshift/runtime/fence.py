"""What ends a worker process that stands still, before others may take its jobs for abandoned.

Code in C that keeps the GIL (a huge `sum`, a regular expression that runs away) stops every thread of Python with it,
the heartbeat included. Others then take the process for dead and run its jobs anew, while the old attempt goes on. So
the time is kept by a thread that needs no GIL, the watchdog of `faulthandler`: unless it is put off again, it writes to
standard error where every thread stands, and ends the process.

A process that is stopped and woken has two threads that know it is late, and putting off would call off the watchdog
before it has looked at its clock. So whoever puts the end off looks first. The watchdog sleeps with the machine, too.
"""

from __future__ import annotations

import faulthandler
import math
import os
import time
from collections.abc import Callable
from typing import Final

from lateshift.runtime.output import complain, standard_error

MARGIN: Final = 1.0
"""Seconds before the end of the lease at which the process ends."""

AGAIN: Final = 1.0
"""Seconds between two renewals where nothing is written, as each one starts a thread, or where that cannot be had."""

TRIES: Final = 10
"""A millisecond apart: the new watchdog may need the place of the one before, whose thread ends meanwhile."""


class Fence:
    """For a lease of so many seconds: renewed with each heartbeat, or the process ends before the lease does.

    `clock` is the one by which the lease runs out. `renewed` is told each time until when, by `time.monotonic`: the
    processes of isolated jobs must not live longer.
    """

    def __init__(
        self,
        lease: float,
        renewed: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lease = lease
        self._renewed = renewed
        self._clock = clock
        self._renewed_at = math.inf

    @property
    def overdue(self) -> bool:
        """Whether a heartbeat should have been written long ago: by its clock, which others do not keep up with."""
        return self._clock() - self._renewed_at >= self.lease / 2

    def renew(self, *, idle: bool = False) -> bool:
        """Put the end off, as a heartbeat is about to be written; too late, it ends the process unless that is idle.

        False when there is no thread for the watchdog. Then no heartbeat may be written either; without one until the
        lease is nearly over, the process ends as well.
        """
        now = self._clock()
        if now - self._renewed_at >= self.lease - MARGIN and not idle:
            try:
                complain(f"lateshift: it stood still for {now - self._renewed_at:.0f} s, so others may have its jobs.")
                faulthandler.dump_traceback(file=standard_error())
            finally:
                os._exit(1)
        if not self._watch():
            return False
        self._renewed_at = now
        self._renewed(time.monotonic() + self.lease - MARGIN)
        return True

    def _watch(self) -> bool:
        for _ in range(TRIES):
            try:
                # Not `sys.stderr`: a job that had sent it into a StringIO for 14 s kept the end from being put off.
                faulthandler.dump_traceback_later(self.lease - MARGIN, exit=True, file=standard_error())
            except RuntimeError:
                time.sleep(0.001)
            else:
                return True
        return False

    def keep(self) -> None:
        """Put the end off while the database cannot be written: nobody can take the jobs then either."""
        if self._clock() - self._renewed_at >= AGAIN:
            self.renew()

    def lift(self) -> None:
        """The worker has ended: nothing is left to be fenced."""
        faulthandler.cancel_dump_traceback_later()
