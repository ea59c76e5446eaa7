"""The overview as lines of text for a screen of any size, or as plain lines where there is none."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.text import Text

from lateshift.job import moment
from lateshift.judgement import Light
from lateshift.screen import COLOURS, GAP, one_line
from lateshift.storage.counting import Count
from lateshift.top import tables
from lateshift.top.picture import PANES, Pane, Picture
from lateshift.top.state import State
from lateshift.wording import count

LIGHTS: Final[Mapping[Light, tuple[str, str]]] = {
    "good": ("●", "bold green"),
    "warning": ("▲", "bold yellow"),
    "bad": ("■", "bold red"),
}
BARS: Final = "▁▂▃▄▅▆▇█"

ONE_PANE: Final = 12
"""Lines for the panes with which only the one that is looked at is shown."""

TALL: Final = 34
"""Lines for the panes with which each has the titles of its columns."""

TOLD: Final = 3
"""Lines that a sentence takes at most."""

HINTS: Final[Sequence[tuple[str, str]]] = (
    ("Tab", "pane"),
    ("↑↓", "select"),
    ("Enter", "show"),
    ("r", "retry"),
    ("c", "cancel"),
    ("p", "pause"),
    ("/", "filter"),
    ("q", "quit"),
)


def frame(picture: Picture, state: State, place: str, width: int, height: int) -> list[Text]:
    """The overview on a screen of so many columns and lines."""
    foot = footer(state, HINTS, width)
    head = _head(picture, state, place, width, height)
    body = _body(picture, state, width, height - len(head) - len(foot))
    lines = [*head, *body]
    lines += [Text()] * (height - len(lines) - len(foot))
    return cropped([*lines[: max(0, height - len(foot))], *foot], width, height)


def plain(picture: Picture, place: str, room: int | None, *, filtered: bool) -> Iterator[str]:
    """The overview as lines without an end, each pane with ten rows at most."""
    yield f"{moment(picture.now).astimezone():%Y-%m-%d %H:%M:%S}  {place}"
    yield picture.verdict.sentence + "."
    yield from (f"- {one_line(reason.words)}" for reason in picture.verdict.reasons)
    yield ", ".join(figures(picture))
    for pane in PANES:
        yield ""
        yield tables.title(pane, picture, filtered=filtered)
        columns, wide = tables.COLUMNS[pane], room or 10_000
        rows = tables.cells(pane, picture, wide)[:10]
        widths = tables.fit(columns, rows, wide)
        for row in ([column.title for column in columns], *rows) if rows else ():
            yield (" " * GAP).join(tables.line(columns, widths, row)).rstrip()


def figures(picture: Picture) -> list[str]:
    """The numbers of the moment, the most telling first."""
    facts, rate = picture.facts, picture.failure_rate
    dead = f", {len(facts.dead)} dead" if facts.dead else ""
    oldest = [] if facts.oldest is None else [f"oldest {tables.age(facts.oldest)}"]
    return [
        f"{tables.speed(picture.per_second)} jobs/s",
        f"{0 if rate is None else rate:.1%} failed".replace(".0%", "%"),
        *oldest,
        f"{facts.running:,} running",
        f"{Count.of(facts.waiting)} waiting",
        count(len(facts.alive), "worker") + dead,
    ]


def footer(state: State, hints: Sequence[tuple[str, str]], width: int) -> list[Text]:
    """The last lines: a filter that is typed, a question, what was just done, or what the keys do."""
    told = [
        Text(f" {line}", "bold red" if state.wrong else "bold")
        for line in textwrap.wrap(one_line(state.told), max(10, width - 2))[:TOLD]
    ]
    if state.mode == "filter":
        typed = Text.assemble((" / ", "bold"), state.typed, (" ", "reverse"), ("  Enter searches, Esc leaves", "dim"))
        if typed.cell_len > width:
            typed = Text.assemble((" / ", "bold"), state.typed[-max(1, width - 5) :], (" ", "reverse"))
        return [*told, typed]
    if told:
        return told
    line = Text(" ")
    for key, words in hints:
        if line.cell_len + len(key) + len(words) + 3 <= width + 2:
            line.append(key, "bold").append(f" {words}  ", "dim")
    return [line]


def cropped(lines: Sequence[Text], width: int, height: int) -> list[Text]:
    """The lines as far as the screen has room, the last of them for sure."""
    shown = list(lines[max(0, len(lines) - height) :])
    for each in shown:
        each.truncate(width, overflow="crop")
    return shown


def _head(picture: Picture, state: State, place: str, width: int, height: int) -> list[Text]:
    first = Text.assemble((" lateshift top  ", "bold"))
    first.append(f"/ {state.query.text}  (Esc clears)", "cyan") if state.query.text else first.append(place, "dim")
    clock = f"{moment(picture.now).astimezone():%H:%M:%S} "
    first.truncate(max(0, width - len(clock)), overflow="ellipsis", pad=True)
    first.append(clock, "dim")
    shape, style = LIGHTS[picture.verdict.light]
    head = [first, Text(f" {shape} {picture.verdict.sentence}", style)]
    most = 0 if height < 16 else 1 if height < 22 else 2
    head += [_ellipsis(Text(f"   {one_line(reason.words)}"), width) for reason in picture.verdict.reasons[:most]]
    head.append(_figures(picture, width))
    return [*head, _spark(picture.per_minute, width)] if height >= 22 else head


def _figures(picture: Picture, width: int) -> Text:
    words = figures(picture)
    while len(words) > 1 and len("  ".join(words)) + 1 >= width:
        words.pop()
    line = Text(" " + ("   " if len("   ".join(words)) + 1 < width else "  ").join(words))
    line.highlight_regex(r"\d[\d.,]*[%+]?", "bold")
    return line


def _spark(values: Sequence[int], width: int) -> Text:
    """The last hour by minutes, as high as each was busy."""
    top = max(values) or 1
    shown = values[-max(1, min(len(values), width - 34)) :]
    drawn = "".join(BARS[-(-value * (len(BARS) - 1) // top)] for value in shown)
    return Text.assemble(" ", (drawn, "cyan"), (f"  jobs a minute, at most {max(values):,}", "dim"))


def _body(picture: Picture, state: State, width: int, height: int) -> list[Text]:
    if height < ONE_PANE:
        shown = _rows(state.pane, picture, state, width, max(0, height - 1), titled=height > 4)
        return [_tabs(picture, state, width), *shown]
    tall = height >= TALL
    lines: list[Text] = []
    for pane, rows in _shares(picture, state.pane, height, tall=tall).items():
        lines.append(_title(pane, picture, state, width))
        titled = tall or pane == state.pane
        lines += _rows(pane, picture, state, width, rows + titled, titled=titled)
    return lines


def _shares(picture: Picture, focus: Pane, height: int, *, tall: bool) -> dict[Pane, int]:
    """How many rows each pane gets: a few for each, the rest for the one that is looked at, then for the others."""
    wanted = {pane: max(1, len(picture.rows(pane))) for pane in PANES}
    left = height - len(PANES) - (len(PANES) if tall else 1)
    least = max(1, left // 6)
    shares = {pane: min(wanted[pane], least) for pane in PANES}
    left -= sum(shares.values())
    for pane in (focus, *PANES):
        more = min(left, wanted[pane] - shares[pane])
        shares[pane] += more
        left -= more
    return shares


def _tabs(picture: Picture, state: State, width: int) -> Text:
    """The panes' names in a line; in a narrow one only that of the pane below."""
    filtered = bool(state.query.text)
    tabs = Text(" ")
    for pane in PANES:
        tabs.append(f" {tables.title(pane, picture, filtered=filtered)} ", "reverse" if pane == state.pane else "dim")
    if tabs.cell_len <= width:
        return tabs
    title = tables.title(state.pane, picture, filtered=filtered)
    return Text.assemble("  ", (title, "bold cyan"), (f"  pane {PANES.index(state.pane) + 1} of {len(PANES)}", "dim"))


def _title(pane: Pane, picture: Picture, state: State, width: int) -> Text:
    name = tables.title(pane, picture, filtered=bool(state.query.text))
    focused = pane == state.pane
    line = Text.assemble(("─ ", "dim"), (name, "bold cyan" if focused else "bold"))
    if pane == "waiting" and not state.query.text and tables.later(picture):
        line.append(f", {tables.later(picture)}", "dim")
    line.append(" ")
    return line.append("─" * max(0, width - line.cell_len), "cyan" if focused else "dim")


def _rows(pane: Pane, picture: Picture, state: State, width: int, height: int, *, titled: bool) -> list[Text]:
    """The rows of a pane that fit, among them the selected one."""
    rows, columns = tables.cells(pane, picture, width - 4), tables.COLUMNS[pane]
    if not rows:
        nothing = "Nothing matches." if state.query.text else tables.NOTHING[pane]
        return [Text(f"   {nothing}", "dim")][:height]
    widths = tables.fit(columns, rows, width - 4)
    lines = [Text(f"   {(' ' * GAP).join(tables.line(columns, widths, [c.title for c in columns]))}", "dim")]
    lines = lines if titled else []
    room = max(0, height - len(lines))
    place = state.place.get(pane, 0)
    start = max(0, min(place - room // 2, len(rows) - room))
    for number, row in enumerate(rows[start : start + room], start):
        selected = pane == state.pane and number == place
        lines.append(_row(tables.line(columns, widths, row), selected=selected, width=width))
    return lines


def _row(cells: Sequence[str], *, selected: bool, width: int) -> Text:
    line = Text(" > " if selected else "   ")
    for cell in cells:
        line.append(cell, COLOURS.get(cell.strip(), "") if not selected else "").append(" " * GAP)
    if selected:
        line.truncate(width, overflow="crop", pad=True)
        line.stylize("reverse")
    return line


def _ellipsis(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    return text
