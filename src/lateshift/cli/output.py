"""What a command prints: tables, facts and JSON. For the screen in a terminal, plain aligned text everywhere else."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import click
import msgspec

from lateshift.screen import COLOURS, GAP, Column, fitting, one_line, safe_json, shortened_cell
from lateshift.wording import local_time

F = TypeVar("F", bound=Callable[..., Any])

_UNSPACED: Final = "\u2e80-\u312f\u3190-\ua4cf\uf900-\ufaff\uff00-\uff60\U00020000-\U0003fffd"
"""Characters of Chinese and Japanese, which have no spaces between words."""

_PIECE: Final = re.compile(f" *(?:[{_UNSPACED}]|[^ {_UNSPACED}]+)")
"""What stays on one line: a word, or one of those characters."""


def json_option(keys: str) -> Callable[[F], F]:
    """The `--json` flag; `keys` says what it prints, and is part of the documented interface."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print JSON: {keys}.")


def print_json(value: Any) -> None:
    """Print one JSON object or array, indented, as UTF-8 whatever the terminal's encoding is."""
    click.echo(safe_json(msgspec.json.format(msgspec.json.encode(value), indent=2)).encode() + b"\n", nl=False)


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
    room, measure = max(shutil.get_terminal_size().columns - indent, 20), _columns_of_the_screen()
    lines = [""]
    for piece in _PIECE.findall(re.sub("[\n\t]", " ", text)):
        if lines[-1] and measure(lines[-1] + piece) > room:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip(" ")
    return f"\n{' ' * indent}".join(lines)


def on_screen() -> bool:
    """Whether to write for a screen, no wider than it is: in a terminal, unless plain text is asked for."""
    plain = click.get_current_context().find_root().params.get("plain")
    return bool(not plain and os.environ.get("TERM") != "dumb" and sys.stdout.isatty())


def coloured() -> bool:
    """Whether to write in colours: on a screen, unless NO_COLOR is set."""
    return on_screen() and not os.environ.get("NO_COLOR")


def when(moment: datetime | None) -> str:
    """A moment in this machine's time, or nothing."""
    return "" if moment is None else local_time(moment)


def _columns_of_the_screen() -> Callable[[str], int]:
    from rich.cells import cell_len  # some characters are two columns wide

    return cell_len
