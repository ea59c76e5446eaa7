"""The pipe from the process that started this one: a supervisor's words, an isolated job, and the parent's death.

It arrives as standard input, which a job and everything that a job starts inherit. `cat` in a job would wait on it for
ever, and swallow a `stop`; so it is moved out of their way before anything of the user's runs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Final, Literal

_kept: Final[list[BinaryIO]] = []
"""Never collected: in a forked child, closing a file waits for a thread that was reading it and is not there."""

_ours: Final[list[int]] = []
"""Descriptors of this process alone."""


def take_standard_input() -> BinaryIO:
    """What standard input was, for this process alone; whoever reads standard input now finds the null device."""
    pipe = os.fdopen(os.dup(0), "rb")  # a descriptor that programs started from here do not inherit (PEP 446)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process lives
    _kept.append(pipe)
    close_in_forks(pipe.fileno())
    return pipe


def close_in_forks(descriptor: int) -> None:
    """Close a descriptor in every process that a job forks: held open there, nobody would see the end of the pipe."""
    _ours.append(descriptor)


def _close_ours() -> None:
    while _ours:  # once: in what that process forks, the number may be a file of the job
        with suppress(OSError):  # a job has closed it
            os.close(_ours.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_ours)


class Parent:
    """A worker's supervisor as the worker hears it. `said_stop`: it asked for the end; `lost`: it died before that."""

    def __init__(self) -> None:
        self.said_stop = False
        self.lost = False

    def listen(self, tell: Callable[[Literal["stop", "now"]], None]) -> None:
        """Pass on from now on what the supervisor says, and signals, of which it knows nothing."""
        for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda *_: tell("stop"))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of a terminal's processes; the parent decides
        if hasattr(os, "register_at_fork"):  # multiprocessing ends its processes by SIGTERM; that is not for us
            os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
        pipe = take_standard_input()
        threading.Thread(target=self._read, args=(pipe, tell), name="lateshift-listen", daemon=True).start()

    def _read(self, pipe: BinaryIO, tell: Callable[[Literal["stop", "now"]], None]) -> None:
        for line in pipe:
            self.said_stop = True
            tell("now" if line.strip() == b"now" else "stop")
        self.lost = not self.said_stop
        tell("stop")
