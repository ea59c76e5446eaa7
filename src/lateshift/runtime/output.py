"""Standard output and error of a process that runs jobs, whose code may redirect, close or replace them for all of it.

What the process has to say itself goes to standard error as that was in the beginning, on a descriptor of its own.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Final

_kept: Final[list[int]] = []
"""The descriptor, in a process that was prepared."""


def prepare() -> None:
    """Let what jobs print go out line by line: a process that is killed, or ends at once, takes its buffers with it.

    And whatever it is: a job must not fail by a character that the system's encoding lacks. On Windows what is no
    console gets UTF-8, as our own log files and messages are.
    """
    try:
        _kept.append(os.dup(2))
    except OSError:  # there is none
        _kept.append(os.open(os.devnull, os.O_WRONLY))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            as_it_is = sys.platform != "win32" or stream.isatty() or "PYTHONIOENCODING" in os.environ
            encoding = None if as_it_is else "utf-8"
            stream.reconfigure(line_buffering=True, errors="backslashreplace", encoding=encoding)


def standard_error() -> int:
    """A descriptor of standard error."""
    return _kept[-1] if _kept else 2


def complain(text: str) -> None:
    """Write some lines there, if that can be; it may be a file on a disk that is full."""
    with suppress(OSError):
        os.write(standard_error(), f"{text.rstrip()}\n".encode(errors="backslashreplace"))


def flush() -> None:
    """Let go of what jobs have printed, as far as that can be."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # closed, or replaced by anything
            stream.flush()
