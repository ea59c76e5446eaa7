"""`logs`: what a job has logged, or the log file of today."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Final

import click

from lateshift.app import Lateshift
from lateshift.cli.base import Refusal, open_app
from lateshift.cli.completion import job_ids
from lateshift.cli.output import json_option, print_json, when
from lateshift.host.logs import ALL, daily_files
from lateshift.job import Attempt
from lateshift.screen import clean, one_line

LOOK: Final = 0.25
"""Seconds between two looks while following."""


@click.command()
@click.argument("job_id", required=False, shell_complete=job_ids)
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines, until Ctrl-C or the job has finished.")
@click.option(
    "--lines",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    metavar="N",
    help="How many lines of the log file.",
)
@json_option(
    "with JOB_ID an array of attempts (number, outcome, started_at, finished_at, lines), "
    "without it one object (file, lines)"
)
def logs(job_id: str | None, lines: int, *, follow: bool, as_json: bool) -> None:
    """Print what a job has logged, or the end of today's log.

    With JOB_ID: the lines kept with each attempt, at most the last 200. Without: the log file of this machine. The
    files are in LATESHIFT_STORAGE_DIR/logs; errors with their tracebacks also in background-jobs-errors-*.log.
    """
    if as_json and follow:
        raise Refusal("--json and --follow exclude each other: JSON is printed when it is complete. Leave one out.")
    if job_id is None:
        folder = open_app(create=True).settings.storage_dir / "logs"
        _print_file(folder, lines, follow=follow, as_json=as_json)
    else:
        _print_attempts(open_app(), job_id, follow=follow, as_json=as_json)


def _print_attempts(app: Lateshift, job_id: str, *, follow: bool, as_json: bool) -> None:
    history = app.get_job(job_id).history
    if as_json:
        print_json([_shape(attempt) for attempt in history])
    elif follow:
        for line in _follow_job(app, job_id):
            _print([line])
    elif any(attempt.logs for attempt in history):
        for attempt in history:
            click.echo(_title(attempt))
            _print(attempt.logs)
    else:
        click.echo("Nothing was logged." if history else "The job has not run yet.", err=True)


def _follow_job(app: Lateshift, job_id: str) -> Iterator[str]:
    """The lines of all attempts, as they come, until the job is finished."""
    shown: list[tuple[str, ...]] = []
    while True:
        job = app.get_job(job_id)
        for place, attempt in enumerate(job.history):
            if place >= len(shown):
                shown.append(())
                yield _title(attempt)
            yield from new_lines(shown[place], attempt.logs)
            shown[place] = attempt.logs or shown[place]
        if job.finished:
            return
        time.sleep(LOOK)


def new_lines(before: Sequence[str], now: Sequence[str]) -> Sequence[str]:
    """What was added to a log of which only the last lines are kept."""
    for dropped in range(len(before) + 1):
        kept = len(before) - dropped
        if list(before[dropped:]) == list(now[:kept]):
            return now[kept:]
    return now


def _print_file(folder: Path, lines: int, *, follow: bool, as_json: bool) -> None:
    path, read = todays_file(folder), {path: size for path, (size, _) in _written(folder).items()}
    tail, read[path] = _tail(path, lines)
    if as_json:
        print_json({"file": str(path), "lines": tail})
        return
    if not tail and not follow and lines:
        click.echo(f"Nothing was logged today: {path} is empty or not there.", err=True)
    _print(tail)
    if follow:
        for line in _follow_files(folder, read):
            _print([line])


def todays_file(folder: Path) -> Path:
    """The log file that is written today: the last one, if jobs that set another time zone write another day's."""
    today = date.today()  # noqa: DTZ011 - files are named by local days
    fresh = {at: path for path, (_, at) in _written(folder).items() if date.fromtimestamp(at) == today}  # noqa: DTZ012
    return fresh[max(fresh)] if fresh else folder / f"{ALL}{today}.log"


def _written(folder: Path) -> dict[Path, tuple[int, float]]:
    """How large each day's file is, and when it was written last."""
    found = {}
    for path in daily_files(folder):
        with contextlib.suppress(FileNotFoundError):  # too old by now
            found[path] = (path.stat().st_size, path.stat().st_mtime)
    return found


def _tail(path: Path, count: int) -> tuple[list[str], int]:
    """The last lines of a file, and its size when they were read. Reads no more of a large file than it needs."""
    block = 65_536
    while True:
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                start = file.seek(max(0, size - block))
                found = _lines(file.read(size - start))
        except FileNotFoundError:
            return [], 0
        if start == 0 or len(found) > count:
            return found[len(found) - min(count, len(found)) :], size
        block *= 4


def _follow_files(folder: Path, read: dict[Path, int]) -> Iterator[str]:
    """Whole lines as they are appended to any day's file; `read` is how much of each is known."""
    rest: dict[Path, bytes] = {}
    while True:
        for path in daily_files(folder):
            with contextlib.suppress(FileNotFoundError):  # too old by now
                yield from _appended(path, read, rest)
        time.sleep(LOOK)


def _appended(path: Path, read: dict[Path, int], rest: dict[Path, bytes]) -> list[str]:
    size, place, before = path.stat().st_size, read.get(path, 0), rest.pop(path, b"")
    if size < place:  # somebody emptied the file
        place, before = 0, b""
    with path.open("rb") as file:
        file.seek(place)
        whole, _, rest[path] = (before + file.read(size - place)).rpartition(b"\n")
    read[path] = size
    return _lines(whole)


def _lines(data: bytes) -> list[str]:
    text = data.decode(errors="backslashreplace").rstrip("\n")
    return [line.rstrip("\r") for line in text.split("\n")] if data else []


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(clean(line))
    sys.stdout.flush()


def _title(attempt: Attempt) -> str:
    return one_line(f"--- attempt {attempt.number}, {attempt.outcome}, {when(attempt.started_at)}")


def _shape(attempt: Attempt) -> dict[str, object]:
    return {
        "number": attempt.number,
        "outcome": attempt.outcome,
        "started_at": attempt.started_at,
        "finished_at": attempt.finished_at,
        "lines": list(attempt.logs),
    }


COMMANDS: Final = (logs,)
