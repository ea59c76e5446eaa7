"""The rows of each pane as text, and how wide each column is where there is not room for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from rich.cells import cell_len

from lateshift.job import Job, moment
from lateshift.screen import GAP, Column, one_line, shortened_cell
from lateshift.storage.counting import Count
from lateshift.storage.reads import QueueRow
from lateshift.top.picture import ROWS, Pane, Picture
from lateshift.wording import ago, last_part, long_duration

TITLES: Final[Mapping[Pane, str]] = {
    "queues": "Queues",
    "running": "Running",
    "waiting": "Waiting",
    "failed": "Failures",
}
NOTHING: Final[Mapping[Pane, str]] = {
    "queues": "No queue has jobs.",
    "running": "Nothing runs.",
    "waiting": "Nothing waits.",
    "failed": "Nothing has failed.",
}
COLUMNS: Final[Mapping[Pane, tuple[Column, ...]]] = {
    "queues": (
        Column("QUEUE", needed=True, cut="end"),
        Column("WAITING", right=True, needed=True),
        Column("RUNNING", right=True, needed=True),
        Column("OLDEST", right=True),
        Column("STATE"),
        Column("PER SECOND", right=True),
        Column("DELAYED", right=True),
    ),
    "running": (
        Column("NAME", needed=True, cut="start"),
        Column("FOR", right=True, needed=True),
        Column("QUEUE"),
        Column("PROGRESS", cut="end"),
        Column("ATTEMPT", right=True),
        Column("WORKER"),
    ),
    "waiting": (
        Column("NAME", needed=True, cut="start"),
        Column("DUE", right=True, needed=True),
        Column("QUEUE"),
        Column("STATUS"),
        Column("PRIORITY", right=True),
        Column("ATTEMPT", right=True),
    ),
    "failed": (
        Column("NAME", needed=True, cut="start"),
        Column("FAILED", right=True, needed=True),
        Column("ERROR", needed=True, cut="end"),
        Column("QUEUE"),
        Column("ATTEMPT", right=True),
    ),
}

LEAST: Final = 24
"""Columns of the screen that a shortened cell keeps before others give way."""

WORTH: Final = 48
"""Columns that a cell should have before names become shorter for its sake."""


def title(pane: Pane, picture: Picture, *, filtered: bool) -> str:
    """A pane's name with how many there are; of waiting jobs, how many are due."""
    shown = len(picture.rows(pane))
    if pane == "queues" or (filtered and shown < ROWS):
        return f"{TITLES[pane]} {shown:,}"
    if filtered:
        return f"{TITLES[pane]} {shown:,}+"
    number = picture.facts.waiting if pane == "waiting" else picture.counts[pane]
    return f"{TITLES[pane]} {Count.of(number)}"


def later(picture: Picture) -> str:
    """How many jobs are not due yet."""
    delayed = Count.of(sum(queue.delayed for queue in picture.facts.queues))
    return f"{delayed} later" if delayed.number else ""


def cells(pane: Pane, picture: Picture, room: int) -> list[tuple[str, ...]]:
    """The rows of a pane, a text for each of its columns; where there is little room, names without their modules."""
    if pane == "queues":
        return [_queue(row, picture) for row in picture.queues]
    describe = {"running": _running, "waiting": _waiting, "failed": _failed}[pane]
    now = moment(picture.now)
    rows = [tuple(one_line(text) for text in describe(job, now)) for job in picture.jobs[pane]]
    wanted = [min(width, WORTH) for width in _natural(COLUMNS[pane], rows)]
    if sum(wanted) + GAP * (len(wanted) - 1) > room:
        return [(last_part(row[0]), *row[1:]) for row in rows]
    return rows


def fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int) -> dict[int, int]:
    """The columns that there is room for, as place and width: the last that are not needed go first."""
    natural = _natural(columns, rows)
    widths = {n: min(width, LEAST) if columns[n].cut else width for n, width in enumerate(natural)}

    def spare() -> int:
        return room - sum(widths.values()) - GAP * (len(widths) - 1)

    for place in reversed(range(len(columns))):
        if spare() < 0 and not columns[place].needed:
            del widths[place]
    for place in (n for n in widths if columns[n].cut):
        widths[place] = max(1, min(natural[place], widths[place] + spare()))
    return {place: width for place, width in widths.items() if width > 1 or not columns[place].cut or place == 0}


def _natural(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    """How wide each column would be."""
    lines = [[column.title for column in columns], *rows]
    return [max(map(cell_len, texts)) for texts in zip(*lines, strict=True)]


def line(columns: Sequence[Column], widths: Mapping[int, int], row: Sequence[str]) -> list[str]:
    """The cells of a row, padded, with what stands between them."""
    parts = []
    for place, width in widths.items():
        text = row[place] if cell_len(row[place]) <= width else shortened_cell(row[place], width, columns[place])
        padding = " " * (width - cell_len(text))
        parts.append(padding + text if columns[place].right else text + padding)
    return parts


def _queue(row: QueueRow, picture: Picture) -> tuple[str, ...]:
    return (
        one_line(row.name),
        str(Count.of(row.waiting)),
        f"{row.running:,}",
        "" if row.oldest is None else age((picture.now - row.oldest) / 1_000_000),
        "paused" if row.paused else "open",
        speed(picture.speeds.get(row.name, 0.0)),
        str(Count.of(row.delayed)),
    )


def _running(job: Job, now: datetime) -> tuple[str, ...]:
    told = [f"{job.progress:.0%}"] if job.progress is not None else []
    told += [job.progress_message] if job.progress_message else []
    stopping = ["asked to stop"] if job.cancel_requested else []
    lasted = age(_seconds(job.started_at, now))
    return (job.name, lasted, job.queue, " ".join(stopping or told), tried(job), job.worker or "")


def _waiting(job: Job, now: datetime) -> tuple[str, ...]:
    ahead = _seconds(now, job.run_at)
    due = ago(-ahead) if ahead > 0 else f"for {age(-ahead)}"
    return (job.name, due, job.queue, job.status, str(job.priority), tried(job))


def _failed(job: Job, now: datetime) -> tuple[str, ...]:
    error = "" if job.error is None else f"{job.error.type.rpartition('.')[2]}: {job.error.message}"
    return (job.name, ago(_seconds(job.finished_at, now)), error, job.queue, tried(job))


def age(seconds: float) -> str:
    """How long something has gone on so far: in whole seconds, which tick calmly."""
    return long_duration(float(int(seconds)) if seconds >= 1 else seconds)


def tried(job: Job) -> str:
    """Attempts begun, of how many."""
    return f"{job.attempts}/{job.max_attempts}"


def speed(per_second: float) -> str:
    """Jobs a second in few digits."""
    return f"{per_second:,.0f}" if per_second >= 100 or not per_second else f"{per_second:.2g}"


def _seconds(start: datetime | None, end: datetime) -> float:
    return 0.0 if start is None else (end - start).total_seconds()
