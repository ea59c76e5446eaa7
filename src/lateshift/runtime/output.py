"""Standard output and error of a process that runs jobs, whose code may redirect, close or replace them for all of it.

What the process has to say itself goes to standard error as that was in the beginning, on a descriptor of its own.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import get_ident
from typing import Final, ParamSpec

_kept: Final[list[int]] = []
"""The descriptor, in a process that was prepared."""

P = ParamSpec("P")

LONGEST: Final = 8192
"""Characters of a line that are kept until it ends, as many as Python itself keeps."""


class WholeLines:
    """Has a stream write whole lines, whichever threads print at once: `print` writes a text and what ends it apart.

    What cannot be written is lost: nobody reads it any more, or the disk is full, and no job is to fail by that. The
    stream stays what it is, as others may have got hold of it.
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._write, self._flush = _as_can_be(stream.write), _as_can_be(stream.flush)
        self._begun: dict[int, str] = {}
        vars(stream).update(write=self.write, flush=self.flush)

    def write(self, text: str) -> int:
        """Write up to the last end of a line, and keep the rest for this thread."""
        end = max(str.rfind(text, "\n"), str.rfind(text, "\r")) + 1
        before, begun = self._begun.pop(get_ident(), ""), text[end:]
        if end:
            self._write(before + text[:end])
        else:
            begun = before + begun
        if len(begun) > LONGEST:
            self._write(begun)
        elif begun:
            self._begun[get_ident()] = begun
        return len(text)

    def flush(self) -> None:
        """Write what this thread has begun, too."""
        if begun := self._begun.pop(get_ident(), ""):
            self._write(begun)
        self._flush()

    def finish(self) -> None:
        """Write what any thread has begun."""
        for thread in list(self._begun):
            self._write(self._begun.pop(thread, ""))
        self._flush()


_whole_lines: Final[list[WholeLines]] = []


def keep_lines_whole() -> None:
    """Let what jobs print from now on go out in whole lines."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    _whole_lines[:] = map(WholeLines, streams)


def prepare() -> None:
    """Let what jobs print go out in whole lines: a process that is killed, or ends at once, takes its buffers with it.

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
    keep_lines_whole()


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
    for lines in _whole_lines:
        with suppress(Exception):
            lines.finish()


def _as_can_be(write: Callable[P, object]) -> Callable[P, None]:
    def attempt(*args: P.args, **kwargs: P.kwargs) -> None:
        with suppress(OSError):
            write(*args, **kwargs)

    return attempt
