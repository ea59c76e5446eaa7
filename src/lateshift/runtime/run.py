"""One attempt in progress: what its executor, the execution and the worker know of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from lateshift.context import JobContext
from lateshift.job import Claimed
from lateshift.options import JobOptions

if TYPE_CHECKING:
    from lateshift.storage.effects import Effects

Interruption = Literal["timeout", "memory", "cancel", "stop"]


class Run:
    """One attempt in progress, as its executor holds it."""

    __slots__ = (
        "context",
        "effects",
        "entered",
        "hook",
        "hook_due",
        "interruption",
        "job",
        "max_memory",
        "memory",
        "options",
        "started_at",
        "timeout",
    )

    def __init__(self, job: Claimed, context: JobContext, started_at: int) -> None:
        self.job = job
        self.context = context
        self.started_at = started_at
        self.timeout: float | None = None
        self.max_memory: int | None = None
        self.memory = 0
        self.interruption: Interruption | None = None
        self.options: JobOptions | None = None
        self.hook: Callable[[BaseException], Any] | None = None
        self.effects: Effects | None = None
        self.entered = False
        self.hook_due = threading.Lock()  # taken once, by whoever calls the hook

    def roll_back(self) -> None:
        """Undo what the job has written in a transaction of its own and not committed; in its own thread."""
        if self.effects is not None:
            self.effects.close()


Ready = Callable[[Run], None]
"""Called when the job's module is imported and its timeout known, before its own code is entered."""
