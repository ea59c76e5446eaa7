"""Becomes `sitecustomize` in each process of a run: gives it the name of its host, and a clock that can be moved.

libfaketime would do the latter from outside, but makes sleep() fail at random.
"""

import os
import socket
import time

_of_day, _nanoseconds, _monotonic = time.time, time.time_ns, time.monotonic
_seen = [0.0, 0]

if "CHAOS_HOST" in os.environ:
    socket.gethostname = lambda: os.environ["CHAOS_HOST"]


def _shift() -> int:
    """The seconds that the file says; looked at four times a second."""
    if _monotonic() - _seen[0] > 0.25:
        try:
            with open(os.environ["CHAOS_SHIFT"], encoding="ascii") as file:
                _seen[1] = int(file.read() or 0)
        except OSError:
            _seen[1] = 0
        _seen[0] = _monotonic()
    return _seen[1]


if "CHAOS_SHIFT" in os.environ:
    time.time = lambda: _of_day() + _shift()
    time.time_ns = lambda: _nanoseconds() + _shift() * 10**9
