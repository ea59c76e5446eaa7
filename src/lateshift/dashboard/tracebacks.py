"""A stored traceback as pieces: frames of the project's own code, and runs of library frames to be folded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from lateshift.fingerprint import is_library

_FRAME: Final = re.compile(r'  File "(?P<file>.*?)", line (?P<line>\d+)(?:, in (?P<function>.*))?$')


@dataclass(frozen=True, slots=True)
class Frame:
    """One call: where it was, and the lines shown below it."""

    file: str
    line: str
    function: str
    code: str
    library: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """Text between frames, or neighbouring frames that are all the project's own or all of libraries."""

    text: str = ""
    frames: tuple[Frame, ...] = ()

    @property
    def library(self) -> bool:
        """Whether these frames are to be folded."""
        return bool(self.frames) and self.frames[0].library


def take_apart(traceback: str) -> list[Piece]:
    """The pieces of a traceback, in its order. What is no frame stays text, so nothing is ever lost."""
    parts: list[Frame | str] = []
    for line in traceback.splitlines():
        found = _FRAME.match(line)
        if found:
            file = found["file"]
            parts.append(Frame(file, found["line"], found["function"] or "", "", is_library(file)))
        elif parts and isinstance(parts[-1], Frame) and line.startswith("    "):
            last = parts[-1]
            code = f"{last.code}\n{line[4:]}" if last.code else line[4:]
            parts[-1] = Frame(last.file, last.line, last.function, code, last.library)
        else:
            parts.append(line)
    pieces = []
    for kind, group in groupby(parts, key=lambda part: None if isinstance(part, str) else part.library):
        items = list(group)
        if kind is None:
            pieces.append(Piece(text="\n".join(map(str, items))))
        else:
            pieces.append(Piece(frames=tuple(item for item in items if isinstance(item, Frame))))
    return pieces


def innermost(traceback: str) -> Frame | None:
    """The place in the project's own code that was nearest to the error."""
    frames = [frame for piece in take_apart(traceback) for frame in piece.frames if not frame.library]
    return frames[-1] if frames else None
