"""What a command prints: tables, facts and JSON. Rich in a terminal, plain aligned text everywhere else."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

import click
import msgspec

from lateshift.wording import local_time

F = TypeVar("F", bound=Callable[..., Any])

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


def json_option(keys: str) -> Callable[[F], F]:
    """The `--json` flag; `keys` says what it prints, and is part of the documented interface."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print JSON: {keys}.")


def print_json(value: Any) -> None:
    """Print one JSON object or array, indented, as UTF-8 whatever the terminal's encoding is."""
    click.echo(_safe_json(msgspec.json.format(msgspec.json.encode(value), indent=2)).encode() + b"\n", nl=False)


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under titles; on a screen no wider than it is, and in colours where they are wanted."""
    lines = [[column.title for column in columns], *([one_line(cell) for cell in row] for row in rows)]
    fits, colours = on_screen(), coloured()
    measure = _columns_of_the_screen() if fits else len
    natural = [max(map(measure, cells)) for cells in zip(*lines, strict=True)]
    widths = fitting(columns, natural, shutil.get_terminal_size().columns) if fits else dict(enumerate(natural))
    for number, line in enumerate(lines):
        cells = []
        for place, width in widths.items():
            text = line[place] if measure(line[place]) <= width else shortened_cell(line[place], width, columns[place])
            padding = " " * (width - measure(text))
            if colours:
                text = click.style(text, bold=number == 0 or None, fg=COLOURS.get(line[place]))
            cells.append(padding + text if columns[place].right else text + padding)
        click.echo((" " * GAP).join(cells).rstrip())


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print names and values in two columns, leaving out empty values."""
    shown = [(name, one_line(value)) for name, value in facts if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        colour = COLOURS.get(value) if coloured() else None
        click.echo(f"{name:{width}}  {click.style(value, fg=colour) if colour else value}")


def wrapped(text: str, indent: int = 0) -> str:
    """Text that begins in a column of the screen: on a screen it goes on below that, and breaks between words."""
    if not on_screen():
        return text
    margin, width = " " * indent, max(shutil.get_terminal_size().columns, indent + 20)
    told = textwrap.fill(
        text,
        width,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return told[indent:]


def on_screen() -> bool:
    """Whether to write for a screen, no wider than it is: in a terminal, unless plain text is asked for."""
    plain = click.get_current_context().find_root().params.get("plain")
    return bool(not plain and os.environ.get("TERM") != "dumb" and sys.stdout.isatty())


def coloured() -> bool:
    """Whether to write in colours: on a screen, unless NO_COLOR is set."""
    return on_screen() and not os.environ.get("NO_COLOR")


def one_line(text: str) -> str:
    """Text from outside as one line that cannot drive the terminal."""
    return clean(" ".join(text.split()))


def clean(text: str) -> str:
    """Text from outside with its line breaks, but without anything that drives the terminal."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def when(moment: datetime | None) -> str:
    """A moment in this machine's time, or nothing."""
    return "" if moment is None else local_time(moment)


def as_json_text(value: Any) -> str:
    """A value as compact JSON."""
    return _safe_json(msgspec.json.encode(value))


def _safe_json(text: bytes) -> str:
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


def _columns_of_the_screen() -> Callable[[str], int]:
    from rich.cells import cell_len  # some characters are two columns wide

    return cell_len
