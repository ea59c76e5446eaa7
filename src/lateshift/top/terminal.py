"""The keyboard and the screen of a terminal, and leaving both as they were, whatever happens."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[2J"
"""To the other screen, so that what was on this one comes back; the cursor is hidden."""

LEAVE: Final = "\x1b[0m\x1b[?25h\x1b[?1049l"

PAUSE: Final = 0.05
"""Seconds within which the rest of a key's sequence comes, also over a slow line; else it was the Escape key."""

_KEY: Final = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z~]|O[A-Za-z])|.", re.DOTALL)
_PARTIAL: Final = re.compile(r"\x1b(?:\[[0-9;?]*|O)?\Z")
_NAMES: Final = {
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x0c": "redraw",
    "\x15": "clear",
    "\x1b": "escape",
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\x1b[H": "home",
    "\x1b[F": "end",
    "\x1b[1~": "home",
    "\x1b[4~": "end",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[Z": "back tab",
}


def keys_of(text: str) -> list[str]:
    """The keys that a terminal's bytes stand for: "up", "enter", or the character itself."""
    return [_NAMES.get(piece.replace("\x1bO", "\x1b["), piece) for piece in _KEY.findall(text)]


def is_partial(text: str) -> bool:
    """Whether more of a key's sequence may be on its way."""
    return _PARTIAL.search(text) is not None


class Screen:
    """What is drawn: only the lines that have changed are written, for a slow line's sake."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._size = (0, 0)
        self._waiting: deque[str] = deque()

    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        try:
            size = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            return 80, 24
        return size.columns or 80, size.lines or 24

    def forget(self) -> None:
        """Draw everything anew: somebody else has written here."""
        self._size = (0, 0)

    def draw(self, lines: Sequence[str], size: tuple[int, int]) -> None:
        """Show these lines, from the top."""
        out = []
        if size != self._size:
            self._lines, self._size = [], size
            out.append("\x1b[0m\x1b[2J")
        for number, line in enumerate(lines):
            if number >= len(self._lines) or self._lines[number] != line:
                out.append(f"\x1b[{number + 1};1H{line}\x1b[0m\x1b[K")
        if len(lines) < len(self._lines):
            out.append(f"\x1b[{len(lines) + 1};1H\x1b[J")
        self._lines = list(lines)
        if out:
            self.write("".join(out))

    def write(self, text: str) -> None:
        """Write at once."""
        sys.stdout.write(text)
        sys.stdout.flush()


if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import wintypes

    _SPECIAL: Final = {
        "H": "up",
        "P": "down",
        "M": "right",
        "K": "left",
        "G": "home",
        "O": "end",
        "I": "page up",
        "Q": "page down",
    }
    _VIRTUAL: Final = 7
    """Processed output, wrapping at the end of a line, and sequences as everywhere else."""

    _KERNEL: Final = ctypes.WinDLL("kernel32")
    _KERNEL.GetStdHandle.restype = wintypes.HANDLE
    _OUTPUT: Final = -11

    class Terminal(Screen):
        """A console of Windows. Its size is looked at whenever it is drawn."""

        def __enter__(self) -> Self:
            self._console, self._mode = wintypes.HANDLE(_KERNEL.GetStdHandle(_OUTPUT)), wintypes.DWORD()
            _KERNEL.GetConsoleMode(self._console, ctypes.byref(self._mode))
            _KERNEL.SetConsoleMode(self._console, _VIRTUAL)
            self.write(ENTER)
            return self

        def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
            with contextlib.suppress(OSError, ValueError):
                self.write(LEAVE)
            _KERNEL.SetConsoleMode(self._console, self._mode)

        def key(self, seconds: float) -> str | None:
            """The next key; None if none comes in that time."""
            end = time.monotonic() + seconds
            while not msvcrt.kbhit():
                if time.monotonic() >= end:
                    return None
                time.sleep(0.02)
            pressed = msvcrt.getwch()
            if pressed == "\x03":
                raise KeyboardInterrupt
            if pressed in ("\x00", "\xe0"):
                return _SPECIAL.get(msvcrt.getwch(), "")
            return _NAMES.get(pressed, pressed)

else:
    import codecs
    import select
    import signal
    import termios
    import tty

    ENDING: Final = (signal.SIGTERM, signal.SIGHUP)

    class Terminal(Screen):
        """A terminal on standard input and output. `key` returns "" when something else has happened: draw again.

        SIGTERM and SIGHUP end the program in good order, Ctrl-Z gives the terminal back until `fg`.
        """

        def __enter__(self) -> Self:
            self._input = sys.stdin.fileno()
            self._text = codecs.getincrementaldecoder("utf-8")("replace")
            self._before = termios.tcgetattr(self._input)
            self._bell, self._ringer = os.pipe()
            os.set_blocking(self._ringer, False)
            handlers = {signal.SIGWINCH: self._resized, signal.SIGTSTP: self._suspended}
            self._handlers = {
                number: signal.signal(number, handler)
                for number, handler in (handlers | dict.fromkeys(ENDING, self._ended)).items()
            }
            self._take()
            return self

        def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
            for number in (*self._handlers, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)  # a second one must not end it half-way
            self._give_back()
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.close(self._bell)
            os.close(self._ringer)

        def key(self, seconds: float) -> str | None:
            """The next key; None if none comes in that time. Raises EOFError when the terminal is gone."""
            if not self._waiting:
                ready, _, _ = select.select([self._input, self._bell], [], [], max(0.0, seconds))
                if self._bell in ready:
                    os.read(self._bell, 100)
                    return ""
                if self._input in ready:
                    self._waiting.extend(keys_of(self._read()))
            return self._waiting.popleft() if self._waiting else None

        def _read(self) -> str:
            text = self._decoded()
            while is_partial(text) and select.select([self._input], [], [], PAUSE)[0]:
                text += self._decoded()
            return text

        def _decoded(self) -> str:
            try:
                data = os.read(self._input, 1024)
            except OSError:
                data = b""
            if not data:
                raise EOFError("The terminal is gone.")
            return self._text.decode(data)

        def _take(self) -> None:
            tty.setcbreak(self._input)
            self.write(ENTER)
            self.forget()

        def _give_back(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                self.write(LEAVE)
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._input, termios.TCSAFLUSH, self._before)

        def _resized(self, *_: object) -> None:
            with contextlib.suppress(BlockingIOError):
                os.write(self._ringer, b"r")

        def _suspended(self, *_: object) -> None:
            self._give_back()
            os.kill(os.getpid(), signal.SIGSTOP)
            self._take()
            self._resized()

        def _ended(self, number: int, _: object) -> None:
            raise SystemExit(128 + number)
