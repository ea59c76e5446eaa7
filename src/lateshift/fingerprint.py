"""Which failures are the same one: those of one type, from one place in the code, with one message but for numbers.

The place is the file and the function of the last frame of the program's own, without the line, so that an edit above
it makes no new group; the file goes by its last two parts, so that a release in another folder makes none either.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from lateshift.job import JobError

MESSAGE_LENGTH: Final = 300
"""Characters of a message that count; what follows is often data."""

_FRAME: Final = re.compile(r'^[ |+]*File "([^"\n]+)", line \d+(?:, in (.+))?$', re.MULTILINE)
_LAST_PART: Final = re.compile(r".*^[ |+]*Traceback \(most recent call last\)", re.MULTILINE | re.DOTALL)
_LIBRARY: Final = re.compile(
    r"site-packages|dist-packages|^<|[/\\]lateshift[/\\](?:runtime|storage|host)[/\\]|[/\\][Ll]ib[/\\](?:python|pypy)[\d.]+t?[/\\]"
    r"|(?:[Pp]ython|conda)[^/\\]*[/\\]Lib[/\\]"  # Windows: C:\Program Files\Python312\Lib
    rf"|^{re.escape(str(Path(dataclasses.__file__).parent))}[/\\]"  # wherever else it is; cx_Freeze's os has no file
)

_VARIABLE: Final = (
    (re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE), "<url>"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "<email>"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"(?<!\w)'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`"), "<text>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
    (re.compile(r"\s+"), " "),
)
_UNCLOSED: Final = re.compile(r"(?<!\w)'.*|[\"`].*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a group of failures has in common; `key` is 16 hexadecimal digits made of the rest."""

    key: str
    type: str
    place: str
    message: str


@lru_cache(maxsize=256)
def fingerprint(error: JobError) -> Fingerprint:
    """The fingerprint of a failure, from what is stored about it."""
    place, message = _place(error.traceback), _shape(error.message)
    key = hashlib.sha256(f"{error.type}\0{place}\0{message}".encode("utf-8", "replace")).hexdigest()[:16]
    return Fingerprint(key, error.type, place, message)


def _place(trace: str) -> str:
    """`app/jobs.py: handle` of the last frame of the program's own, of the error that came last."""
    last = _LAST_PART.match(trace)
    frames = _FRAME.findall(trace, last.end() if last else 0)
    own = [frame for frame in frames if not is_library(frame[0])] or frames
    if not own:
        return ""
    file, function = own[-1]
    short = "/".join(re.split(r"[/\\]", file)[-2:])
    return f"{short}: {function}" if function else short


def is_library(file: str) -> bool:
    """Whether a file is not the program's own; programs in one file and zipped Pythons tell `json/decoder.py`."""
    return bool(_LIBRARY.search(file)) or re.split(r"[/\\.]", file)[0] in sys.stdlib_module_names


def _shape(message: str) -> str:
    """A message without what differs from one failure to the next."""
    text = message[: 2 * MESSAGE_LENGTH]
    for pattern, word in _VARIABLE:
        text = pattern.sub(word, text)
    if len(message) > 2 * MESSAGE_LENGTH:  # which may have cut off the end of a quote
        text = _UNCLOSED.sub("<text>", text)
    return text[:MESSAGE_LENGTH].strip()
