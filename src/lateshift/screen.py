"""Text for a terminal: made harmless, in columns, in colours; for the commands and for `lateshift top`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

COLOURS: Final = {
    "completed": "green",
    "running": "cyan",
    "failed": "red",
    "pending_retry": "yellow",
    "cancelled": "magenta",
    "ok": "green",
    "warning": "yellow",
    "error": "red",
    "paused": "yellow",
}

GAP: Final = 2

LEAST: Final = 10
"""Columns of the screen that a shortened cell keeps, or it goes altogether."""

# Control characters, which could drive the terminal, those that reorder what is read (CVE-2021-42574), and those that
# cannot be seen or break a line.
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column.

    In a narrow terminal the last ones that are not `needed` go first; then those that may be `cut` become shorter, at
    that end. What is left, such as an id, is not cut.
    """

    title: str
    right: bool = False
    needed: bool = False
    cut: Literal["", "start", "end"] = ""


def one_line(text: str) -> str:
    """Text from outside as one line that cannot drive the terminal."""
    return clean(" ".join(text.split()))


def clean(text: str) -> str:
    """Text from outside with its line breaks, but without anything that drives the terminal."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def as_json_text(value: Any) -> str:
    """A value as compact JSON."""
    return safe_json(msgspec.json.encode(value))


def safe_json(text: bytes) -> str:
    """JSON that says the same, and cannot drive the terminal."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text.decode())


def fitting(columns: Sequence[Column], natural: Sequence[int], room: int) -> dict[int, int]:
    """The columns that a terminal has room for, as place and width; `natural` are the widths that all of them want."""
    widths = dict(enumerate(natural))

    def excess() -> int:
        return max(0, sum(widths.values()) + GAP * (len(widths) - 1) - room)

    for place in reversed(range(len(columns))):
        if excess() and not columns[place].needed:
            del widths[place]
    for place in list(widths):
        if columns[place].cut and (left := widths[place] - excess()) < natural[place]:
            widths[place] = left
            if left < LEAST:
                del widths[place]
    return widths


def shortened_cell(text: str, width: int, column: Column) -> str:
    """Text that is too wide, with a mark where it was cut."""
    from rich.cells import set_cell_size

    if column.cut == "start":
        return "…" + set_cell_size(text[::-1], width - 1)[::-1]
    return set_cell_size(text, width - 1).rstrip() + "…"
