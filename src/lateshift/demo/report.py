"""What came of a demo: totals, the longest files, what was retried, what failed, and where to look."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lateshift.demo.jobs import AlwaysFails, AnalyseFile
from lateshift.demo.run import QUEUE, Run
from lateshift.job import Job
from lateshift.wording import count, duration, shortened

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

LONGEST: Final = 5
LISTED: Final = 5
"""Jobs of a kind that are described; the rest is counted."""

_FILE: Final = f"{AnalyseFile.__module__}.{AnalyseFile.__qualname__}.handle"
_HOPELESS: Final = f"{AlwaysFails.__module__}.{AlwaysFails.__qualname__}.handle"


class Report:
    """The jobs of a run that is over, and what there is to say of them. `program` is how to call Lateshift again."""

    def __init__(self, run: Run, program: str) -> None:
        self._run, self._program = run, program
        self._jobs = run.jobs()
        self._files = [job for job in self._jobs if job.name == _FILE]

    @cached_property
    def _wrong(self) -> int:
        """How many jobs should have completed and did not; a deleted one cannot say that it had."""
        unexpected = sum(job.status != "completed" and job.name != _HOPELESS for job in self._jobs)
        return unexpected + len(self._run.statuses) - len(self._jobs)

    @property
    def exit_code(self) -> int:
        """0 when everything that should complete did, else 1."""
        return int(self._wrong > 0)

    def show(self, console: Console) -> None:
        """Print it all."""
        if self._wrong:
            verdict, style = f"{count(self._wrong, 'job')} did not complete that should have.", "bold red"
        else:
            verdict, style = "Everything that should complete did.", "bold green"
        console.print(f"\n{verdict}\n", style=style)
        for part in (_grid(self._facts()), "", self._longest(), "", _grid(self._details())):
            console.print(part)
        self._show_commands(console)

    def _facts(self) -> Iterator[tuple[str, RenderableType]]:
        done = [job for job in self._files if job.status == "completed"]
        lines, words, size = (sum(job.result[key] for job in done) for key in ("lines", "words", "bytes"))
        yield "Files", f"{len(done):,} with {count(lines, 'line')}, {count(words, 'word')}, {size / 1e6:,.1f} MB"
        statuses = sorted({job.status for job in self._jobs})
        states = [f"{sum(job.status == status for job in self._jobs):,} {status}" for status in statuses]
        gone = len(self._run.statuses) - len(self._jobs)
        yield "Jobs", ", ".join([*states, *([f"{gone:,} deleted"] if gone else [])])
        at_once = [job for job in done if job.run_at == job.enqueued_at and job.attempts == 1]
        if at_once:
            yield "Speed", _speed(at_once)
        held = sorted((job for job in done if job.run_at != job.enqueued_at), key=lambda job: job.run_at)
        if held:
            waited = [_seconds(job.run_at, job.started_at) for job in held]
            yield (
                "Held back",
                f"{count(len(held), 'job')}; none began early, the last {duration(max(waited))} after its time",
            )

    def _longest(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        table.add_column("Longest files", overflow="fold")
        table.add_column("lines", justify="right")
        table.add_column("words", justify="right")
        table.add_column("most frequent identifier", overflow="fold")
        done = [job for job in self._files if job.status == "completed"]
        for job in sorted(done, key=lambda job: -job.result["lines"])[:LONGEST]:
            facts = job.result
            name = Text(_printable(self._relative(job)), "cyan")
            often = f"{shortened(facts['identifier'], 30)} ({count(facts['occurrences'], 'time')})"
            table.add_row(name, f"{facts['lines']:,}", f"{facts['words']:,}", Text(often))
        return table

    def _details(self) -> Iterator[tuple[str, RenderableType]]:
        retried = [job for job in self._jobs if job.status == "completed" and (job.attempts > 1 or job.crashes)]
        for job in retried[:LISTED]:
            yield (
                "Retried",
                self._described(job, f"completed at attempt {job.attempts} of {job.max_attempts}", "yellow"),
            )
        if len(retried) > LISTED:
            yield "", f"and {len(retried) - LISTED:,} more"
        failed = [job for job in self._jobs if job.status != "completed"]
        failed.sort(key=lambda job: job.name == _HOPELESS)
        for job in failed[:LISTED]:
            purpose = ", on purpose" if job.name == _HOPELESS else ""
            end = f"{job.status} after attempt {job.attempts} of {job.max_attempts}{purpose}"
            yield job.status.capitalize(), self._described(job, end, "red")
        if len(failed) > LISTED:
            yield "", f"and {len(failed) - LISTED:,} more"
        yield "", ""
        settings = self._run.app.settings
        database = self._run.app.database
        yield "Database", database.place if database.file is None else _near(database.file)
        logs = sorted(
            (settings.storage_dir / "logs").glob(f"background-jobs*-{datetime.now().astimezone():%Y-%m-%d}.log")
        )
        if logs:
            yield "Logs", "\n".join(_near(path) for path in logs)
        yield "Runner", f"ends by itself after {duration(settings.idle_exit)} without work"

    def _described(self, job: Job, end: str, style: str) -> RenderableType:
        from rich.text import Text

        text = Text(f"{job.name.split('.')[-2]}")
        if job.name == _FILE:
            text.append(f" {_printable(self._relative(job))}")
        text.append(": ").append(end, style)
        for attempt in self._run.app.get_job(job.id).history:
            if attempt.error is not None:
                error = f"{attempt.error.type}: {attempt.error.message}"
                text.append(f"\nattempt {attempt.number}: {_printable(shortened(error, 200))}", "dim")
        return text

    def _show_commands(self, console: Console) -> None:
        commands = [f"list --queue {QUEUE} --limit 5"]
        commands += [f"show {job.id}" for job in self._jobs if job.status == "failed"][:1]
        commands += [f"logs {job.id}" for job in self._jobs if job.status == "completed" and job.attempts > 1][:1]
        console.print("\nTry next, in this folder:\n")
        for command in commands:
            console.print(f"  {self._program} {command}", style="cyan", soft_wrap=True)
        console.print()

    def _relative(self, job: Job) -> str:
        return os.path.relpath(str(job.parameters["path"]), self._run.folder)


def _grid(rows: Iterable[tuple[str, RenderableType]]) -> RenderableType:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


def _speed(jobs: list[Job]) -> str:
    first = min(job.started_at for job in jobs if job.started_at)
    last = max(job.finished_at for job in jobs if job.finished_at)
    took = _seconds(first, last)
    rate = f": {len(jobs) / took:,.0f} per second" if took else ""
    lead = duration(_seconds(min(job.enqueued_at for job in jobs), first))
    return f"{count(len(jobs), 'job')} due at once took {duration(took)}{rate}; the first began after {lead}"


def _seconds(start: datetime, end: datetime | None) -> float:
    return 0.0 if end is None else (end - start).total_seconds()


def _near(path: Path | str) -> str:
    """A path as one would write it in this folder."""
    try:
        return min(os.path.relpath(path), str(path), key=len)
    except ValueError:  # another drive of Windows
        return str(path)


def _printable(text: str) -> str:
    """Text from files and errors, without what could drive the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
