"""What one sees of the demo: how far the jobs are, and in the end what came of them."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from lateshift.demo.run import Run
from lateshift.explain import explain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

SHOWN: Final = (
    ("pending", "default"),
    ("running", "cyan"),
    ("pending_retry", "yellow"),
    ("completed", "green"),
    ("failed", "red"),
)

LOOK: Final = 0.1
"""Seconds between two looks at the database."""

LINE: Final = 1.0
"""Seconds between two lines where there is no terminal."""

NUDGE: Final = 1.0
"""Seconds between two looks whether a runner is there."""

STALLED: Final = 5.0
"""Seconds without any change after which the display says why; delays and retries are shorter."""

RATE_WINDOW: Final = 1.0
"""Seconds over which the rate is taken."""


class Progress:
    """Follows a run to its end, on the console."""

    def __init__(self, run: Run, console: Console) -> None:
        self._run, self._console = run, console
        self._began = self._moved = self._nudged = time.monotonic()
        self._first = (self._began, run.finished)
        self._counted = deque([self._first])
        self._note = ""

    def follow(self) -> None:
        """Show how far the jobs are until all are finished."""
        if self._run.done:
            return
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._follow_live()
        else:
            self._follow_in_lines()

    def _follow_live(self) -> None:
        from rich.live import Live

        with Live(self._picture(), console=self._console, auto_refresh=False) as live:
            while not self._run.done:
                time.sleep(LOOK)
                self._look()
                live.update(self._picture(), refresh=True)

    def _follow_in_lines(self) -> None:
        due, told = self._began + LINE, ""
        while not self._run.done:
            time.sleep(LOOK)
            self._look()
            if time.monotonic() >= due or self._run.done:
                due += LINE
                self._console.print(self._line(), soft_wrap=True)
            if self._note != told:
                told = self._note
                self._console.print(told, soft_wrap=True)

    def _look(self) -> None:
        now = time.monotonic()
        if self._run.refresh():
            self._moved, self._note = now, ""
        self._counted.append((now, self._run.finished))
        while now - self._counted[0][0] > RATE_WINDOW and len(self._counted) > 2:
            self._counted.popleft()
        if now - self._nudged > NUDGE:
            self._nudged = now
            self._run.keep_going()
        waiting = self._run.unfinished()
        if waiting is not None and not self._note and now - self._moved > STALLED:
            why = explain(self._run.app, waiting).sentences
            self._note = "\n".join((f"\nNothing has changed for {STALLED:g} s. One of the jobs:", *why))

    def _rate(self) -> float:
        """Jobs per second: lately, and in the end in all."""
        (then, before) = self._first if self._run.done else self._counted[0]
        (now, after) = self._counted[-1]
        return (after - before) / (now - then) if now > then else 0.0

    def _picture(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        finished, total = self._run.finished, max(1, len(self._run.statuses))
        bar = Table.grid(expand=True, padding=(0, 1))
        bar.add_column(ratio=1)
        bar.add_column(justify="right", width=4)
        bar.add_column(justify="right", width=2 * len(f"{total:,}") + 4)
        drawn = ProgressBar(total=total, completed=finished, complete_style="cyan", finished_style="green")
        bar.add_row(drawn, f"{100 * finished // total}%", f"{finished:,} of {total:,}")
        counts = Counter(self._run.statuses.values())
        states = Text()
        for status, style in SHOWN:
            states.append(f"{status} ", "dim").append(f"{counts[status]:,}   ", style if counts[status] else "dim")
        speed = Text(f"{self._rate():,.0f} jobs per second, {time.monotonic() - self._began:.1f} s", "dim")
        return Group("", bar, states, speed, *([Text(self._note, "yellow")] if self._note else []))

    def _line(self) -> str:
        counts = Counter(self._run.statuses.values())
        states = ", ".join(f"{status} {counts[status]:,}" for status, _ in SHOWN if counts[status])
        passed, jobs = time.monotonic() - self._began, f"{self._run.finished:,} of {len(self._run.statuses):,} jobs"
        return f"{passed:5.1f} s  {jobs}, {self._rate():,.0f} per second: {states}"
