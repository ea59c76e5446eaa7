"""What a command prints: tables, facts and JSON. Rich in a terminal, plain aligned text everywhere else."""

from __future__ import annotations

import os
import re
import sys
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

# Control characters, which could drive the terminal, and those that reorder what is read (CVE-2021-42574).
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column. In a narrow terminal the last ones that are not `needed` go first; then the long ones fold."""

    title: str
    right: bool = False
    needed: bool = False
    long: bool = False


def json_option(keys: str) -> Callable[[F], F]:
    """The `--json` flag; `keys` says what it prints, and is part of the documented interface."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print JSON: {keys}.")


def print_json(value: Any) -> None:
    """Print one JSON object or array, indented, as UTF-8 whatever the terminal's encoding is."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n", nl=False)


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under titles."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    if fancy():
        _print_rich(columns, cells)
    else:
        _print_plain(columns, cells)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print names and values in two columns, leaving out empty values."""
    shown = [(name, one_line(value)) for name, value in facts if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        colour = COLOURS.get(value) if fancy() else None
        click.echo(f"{name:{width}}  {click.style(value, fg=colour) if colour else value}")


def fancy() -> bool:
    """Whether to draw for a person: a terminal that wants colours."""
    plain = click.get_current_context().find_root().params.get("plain")
    wanted = not plain and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return bool(wanted and sys.stdout.isatty())


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
    return msgspec.json.encode(value).decode()


def fitting(columns: Sequence[Column], rows: list[list[str]], width: int) -> list[int]:
    """The places of the columns that a terminal of this width has room for."""
    widths = _widths(columns, rows)
    places = list(range(len(columns)))
    for place in reversed(range(len(columns))):
        if sum(widths[each] + GAP for each in places) > width + GAP and not columns[place].needed:
            places.remove(place)
    return places


def _widths(columns: Sequence[Column], rows: list[list[str]]) -> list[int]:
    return [max([len(column.title), *(len(row[place]) for row in rows)]) for place, column in enumerate(columns)]


def _print_plain(columns: Sequence[Column], rows: list[list[str]]) -> None:
    widths = _widths(columns, rows)
    for line in ([column.title for column in columns], *rows):
        cells = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ]
        click.echo((" " * GAP).join(cells).rstrip())


def _print_rich(columns: Sequence[Column], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    places = fitting(columns, rows, console.width)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for place in places:
        column = columns[place]
        justify: Literal["right", "left"] = "right" if column.right else "left"
        table.add_column(column.title, justify=justify, no_wrap=not column.long, overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[place], style=COLOURS.get(row[place], "")) for place in places))
    console.print(table)
