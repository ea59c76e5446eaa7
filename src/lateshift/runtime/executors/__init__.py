"""Where a job's code runs: a thread, the event loop, or a child process. The worker knows them by this protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from lateshift.job import Claimed
from lateshift.outcome import Outcome
from lateshift.runtime.run import Run

Finished = Callable[[Claimed, Outcome], None]
Started = Callable[[Run], bool]
"""Asked when a run is about to begin; it must not when the answer is False, and is answered as `returned`."""


class Executor(Protocol):
    """Takes claimed jobs and answers each with `finished(job, outcome)`, from whatever thread it likes.

    `slots` is how many run at once. Only the worker's control thread calls it.
    """

    slots: int

    @property
    def unstarted(self) -> int:
        """How many jobs it has taken and not begun."""

    @property
    def held_up(self) -> bool:
        """Whether it begins nothing for now, so that it should get nothing more, and others what it has not begun."""

    @property
    def broken(self) -> bool:
        """Whether one of its threads has ended, and an attempt perhaps without an answer."""

    def submit(self, jobs: Sequence[Claimed]) -> None:
        """Take jobs; they start in this order."""

    def withdraw(self) -> list[Claimed]:
        """Give back what has not been started, and forget it."""

    def cancel(self, job_id: str, lease: int) -> None:
        """Ask a running job to stop, by the means that the executor has."""

    def renew(self, ends_at: float) -> None:
        """The worker's process goes on at least until that monotonic time; what runs elsewhere no longer than that."""

    def tick(self, now: float) -> float | None:
        """Look after timeouts at monotonic time `now`; the seconds until it wants to look again, None for never."""

    def stuck(self) -> list[Run]:
        """Runs that went on after they were interrupted: only the end of the process stops them."""

    def interrupt(self) -> None:
        """The worker stops and its grace is over: interrupt what runs; each still answers if it can."""

    def running(self) -> list[Run]:
        """What runs now."""

    def stack(self, job_id: str) -> str | None:
        """Where a job that runs is at the moment; empty when it does not, None when that takes a moment: ask again."""

    def close(self) -> None:
        """End its threads and processes, as far as they are idle."""
