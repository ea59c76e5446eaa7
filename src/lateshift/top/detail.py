"""One job on the whole screen: why it is where it is, its error, what it logged last."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from rich.console import Console
from rich.text import Text

from lateshift.app import Lateshift
from lateshift.errors import JobNotFound
from lateshift.explain import explain
from lateshift.job import Attempt, Job, moment
from lateshift.screen import COLOURS, as_json_text, clean, one_line
from lateshift.storage import reads
from lateshift.storage.database import Database
from lateshift.top.drawing import cropped, footer
from lateshift.top.state import State
from lateshift.wording import ago

HINTS: Final = (("Esc", "back"), ("↑↓", "scroll"), ("r", "retry"), ("c", "cancel"), ("q", "quit"))

LOG_LINES: Final = 12
EXPLAINED: Final = 2_000_000
"""Microseconds for which an explanation serves: it may import the callable."""

LONGEST: Final = 2_000
"""Characters of parameters and results; `lateshift show` has all."""


@dataclass(frozen=True, slots=True)
class Detail:
    """A job with its attempts at the moment `now`, and its explanation as of `explained` (both in microseconds)."""

    job: Job
    sentences: tuple[str, ...]
    explained: int
    now: int


def read(app: Lateshift, db: Database, job_id: str, before: Detail | None) -> Detail | None:
    """The job as it is now, None if it is gone."""
    job, now = reads.get(db, job_id, history=True), db.now()
    if job is None:
        return None
    if before is not None and now - before.explained < EXPLAINED and _standing(before.job) == _standing(job):
        return replace(before, job=job, now=now)
    with contextlib.redirect_stdout(io.StringIO()):  # modules may print when imported
        try:
            return Detail(job, explain(app, job_id).beside_the_job, now, now)
        except JobNotFound:
            return None


def _standing(job: Job) -> tuple[object, ...]:
    return job.id, job.status, job.attempts, job.run_at, job.started_at, job.cancel_requested


def frame(detail: Detail | None, state: State, console: Console, width: int, height: int) -> list[Text]:
    """The job on a screen of so many columns and lines."""
    foot = footer(state, HINTS, width)
    if detail is None:
        lines = [Text(" This job is not there any more.", "bold")]
    else:
        lines = [part for line in _lines(detail) for part in line.wrap(console, max(10, width - 1))]
    room = max(0, height - len(foot))
    state.scroll = max(0, min(state.scroll, len(lines) - room))
    shown = [Text(" ") + line for line in lines[state.scroll : state.scroll + room]]
    shown += [Text()] * (room - len(shown))
    return cropped([*shown, *foot], width, height)


def _lines(detail: Detail) -> Iterator[Text]:
    job, now = detail.job, moment(detail.now)
    status = Text(job.status, f"bold {COLOURS.get(job.status, '')}")
    yield Text.assemble((one_line(job.name), "bold"), "  ", status)
    yield Text(job.id, "dim")
    yield Text()
    for name, value in _facts(job, now):
        yield Text.assemble((f"{name:11}", "dim"), one_line(value))
    yield Text()
    yield from (Text(one_line(sentence)) for sentence in detail.sentences)
    yield from _error(job)
    yield from _log(job.history)
    if job.error is not None and job.error.traceback:
        yield from _section("Traceback")
        yield from (Text(clean(line)) for line in job.error.traceback.rstrip().split("\n"))


def _facts(job: Job, now: datetime) -> Iterator[tuple[str, str]]:
    worker = f", worker {job.worker}" if job.worker else ""
    yield "queue", f"{job.queue}, priority {job.priority}, attempt {job.attempts} of {job.max_attempts}{worker}"
    moments = (("enqueued", job.enqueued_at), ("started", job.started_at), ("finished", job.finished_at))
    yield "times", ", ".join(f"{name} {ago((now - when).total_seconds())}" for name, when in moments if when)
    if job.progress is not None or job.progress_message:
        yield "progress", f"{job.progress or 0:.0%} {job.progress_message or ''}"
    yield "parameters", _json(job.parameters)
    if job.status == "completed":
        yield "result", _json(job.result)


def _error(job: Job) -> Iterator[Text]:
    if job.error is not None:
        yield from _section("Error")
        yield Text(one_line(f"{job.error.type}: {job.error.message}"), "red")


def _log(history: tuple[Attempt, ...]) -> Iterator[Text]:
    attempt = next((attempt for attempt in reversed(history) if attempt.logs), None)
    if attempt is not None:
        yield from _section(f"Log of attempt {attempt.number}, its last lines")
        yield from (Text(clean(line)) for line in attempt.logs[-LOG_LINES:])


def _section(title: str) -> Iterator[Text]:
    yield Text()
    yield Text(title, "bold cyan")


def _json(value: object) -> str:
    text = as_json_text(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
