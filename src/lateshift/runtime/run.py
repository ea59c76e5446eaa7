"""One attempt in progress: what its executor, the execution and the worker know of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lateshift.context import JobContext
from lateshift.job import Claimed
from lateshift.options import JobOptions

if TYPE_CHECKING:
    from lateshift.storage.effects import Effects

Interruption = Literal["timeout", "memory", "cancel", "stop"]


class Run(msgspec.Struct, eq=False):
    """One attempt in progress, as its executor holds it.

    `hook_due` is taken once, by whoever calls the hook.
    """

    job: Claimed
    context: JobContext
    started_at: int
    timeout: float | None = None
    max_memory: int | None = None
    memory: int = 0
    interruption: Interruption | None = None
    options: JobOptions | None = None
    hook: Callable[[BaseException], Any] | None = None
    effects: Effects | None = None
    entered: bool = False
    hook_due: threading.Lock = msgspec.field(default_factory=threading.Lock)

    def roll_back(self) -> None:
        """Undo what the job has written in a transaction of its own and not committed; in its own thread."""
        if self.effects is not None:
            self.effects.close()


Ready = Callable[[Run], None]
"""Called when the job's module is imported and its timeout known, before its own code is entered."""
