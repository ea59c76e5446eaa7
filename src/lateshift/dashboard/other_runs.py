"""The runs of a callable around a job, to scale, and how this one compares with what is usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from lateshift.dashboard.rows import JobRow, job_rows
from lateshift.dashboard.view import View
from lateshift.job import Job
from lateshift.storage import history, search
from lateshift.storage.history import Point
from lateshift.wording import long_duration

DAYS: Final = 7
EACH: Final = 4
"""Runs that are shown before a job, and after it."""

LEAST: Final = 20
"""Runs from which on "usual" means something."""

WIDTH: Final = 96
HEIGHT: Final = 16


@dataclass(frozen=True, slots=True)
class OtherRuns:
    """The runs around a job, the newest first; `usual` sums up those of the last days.

    `scale` is the longest duration that is drawn, in seconds. `told` says how the job compares; `slow` that it took
    longer than 95 % do.
    """

    rows: list[JobRow]
    usual: Point
    scale: float
    told: str
    slow: bool

    def bar(self, row: JobRow) -> Markup:
        """How long one took, beside the marks of what is usual."""
        if row.lasted is None:
            return Markup()
        usual = self.usual.running
        marks = [("median", usual.p50), ("p95", usual.p95)]
        drawn = [
            Markup('<rect class="mark-{}" x="{:.1f}" y="0" width="1" height="{}"/>').format(
                kind, self._x(seconds), HEIGHT
            )
            for kind, seconds in marks
            if seconds is not None
        ]
        return Markup(
            '<svg class="run" viewBox="0 0 {} {}" width="{}" height="{}" preserveAspectRatio="none" role="img"'
            ' aria-label="{}">'
            '<rect class="t-{}" x="0" y="5" width="{:.1f}" height="6" rx="1"/>{}</svg>'
        ).format(
            WIDTH,
            HEIGHT,
            WIDTH,
            HEIGHT,
            long_duration(row.lasted),
            row.job.status,
            self._x(row.lasted),
            Markup().join(drawn),
        )

    def _x(self, seconds: float) -> float:
        return max(1.5, min(1.0, seconds / self.scale) * (WIDTH - 2))


def around(view: View, job: Job) -> OtherRuns:
    """The runs around a job."""
    older, newer = view.read(search.runs_around, job.id, EACH)
    rows = job_rows([*reversed(newer), job, *older], view.moment)
    since = view.now - DAYS * 86_400_000_000
    usual = view.read(history.series, since, view.now, 86_400, callable=job.name).total
    mine = next(row.lasted for row in rows if row.job.id == job.id)
    lengths = [row.lasted for row in rows if row.lasted is not None]
    scale = max([*lengths, usual.running.p95 or 0.0, 0.001])
    told, slow = compare(mine, usual, running=job.status == "running")
    return OtherRuns(rows, usual, scale, told, slow)


def compare(seconds: float | None, usual: Point, *, running: bool = False) -> tuple[str, bool]:
    """How a duration stands against the usual ones, as a sentence, and whether it is unusually long."""
    p50, p95 = usual.running.p50, usual.running.p95
    if seconds is None or not p50 or not p95 or usual.count < LEAST:
        return "", False
    took = f"This one has run for {long_duration(seconds)}" if running else f"This one took {long_duration(seconds)}"
    if seconds > p95:
        times = seconds / p50
        return f"{took}: longer than 95 % do, {times:,.1f} times the median.", True
    if running:
        return f"{took}.", False
    if seconds < p50:
        return f"{took}: less than half of them do.", False
    return f"{took}: as usual.", False
