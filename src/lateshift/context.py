"""What a running job can know and say about itself: `current_job()`."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Final, Protocol, cast

import msgspec

from lateshift.errors import InvalidOption, NotInsideJob
from lateshift.job import WAITING, Claimed
from lateshift.texts import shown, storable

LOG_LINES: Final = 200
"""How many of its last log lines are kept with each attempt."""

LONGEST_MESSAGE: Final = 1000
"""Characters kept of a progress message: it is words for people, and written every half second."""

Report = Callable[[Claimed, float | None, str | None], None]


class Effects(Protocol):
    """The transaction of a transactional job."""

    @property
    def connection(self) -> Any:
        """The connection that it is on, opened at the first use."""

    def keeps_out(self, place: str) -> bool:
        """Whether it keeps all others from writing to the database at this place."""


class JobContext(msgspec.Struct, eq=False, dict=True):
    """One attempt, as those who run it hold it: its executor, the duties that report on it, what captures its logs.

    `loop_thread` is the thread of the event loop that it shares with other coroutines, if it does; `waits_for` the job
    that it was last warned of waiting for; `has_logged` whether there are `log_lines`, to ask which would make them.
    """

    job: Claimed
    report: Report
    loop_thread: int | None = None
    waits_for: str | None = None
    cancel_requested: bool = False
    cancel_observed: bool = False
    effects: Effects | None = None
    has_logged: bool = False

    @cached_property
    def log_lines(self) -> deque[str]:
        """The last lines that it logged. Made for the first of them: an empty one costs a short job 5 % of its time."""
        self.has_logged = True
        lines: deque[str] = deque(maxlen=LOG_LINES)
        return cast("deque[str]", self.__dict__.setdefault("log_lines", lines))  # two of its threads may come at once


class CurrentJob:
    """The running job as its own code sees it.

    `id`, `name`, `queue`, `attempt` (1 for the first) and `max_attempts` say who it is.
    """

    __slots__ = ("_context", "attempt", "id", "max_attempts", "name", "queue")

    def __init__(self, context: JobContext) -> None:
        job, self._context = context.job, context
        self.id, self.name, self.queue = job.id, job.name, job.queue
        self.attempt, self.max_attempts = job.attempt, job.max_retries + 1

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked to cancel this job; a job that sees True should return soon, and ends as cancelled."""
        if self._context.cancel_requested:
            self._context.cancel_observed = True
        return self._context.cancel_requested

    @property
    def connection(self) -> Any:
        """The connection of a transactional job to the jobs' database, in a transaction that begins with the first use.

        What is written there is committed together with the job's completion, or not at all. Never commit it yourself.
        Raises InvalidOption in a job that is not transactional, TransactionEnded in its `failed()` hook.
        """
        if self._context.effects is None:
            raise InvalidOption(
                f"{self.name} has no connection of its own: declare it with @background(transactional=True), or with "
                "`transactional = True` in its class."
            )
        return self._context.effects.connection

    def progress(self, fraction: float | None, message: str | None = None) -> None:
        """Tell how far the job has come, from 0 to 1, with a few words; `get_job` shows it within about a second.

        A fraction outside of that is taken for the nearer end; of the message the first 1,000 characters are kept.
        Raises InvalidOption for a fraction that is no number, or a message that is no text.
        """
        self._context.report(self._context.job, _fraction(fraction), _message(message))


def _fraction(given: object) -> float | None:
    if given is None:
        return None
    try:
        fraction = float(given)  # type: ignore[arg-type]  # a Decimal or a numpy number will do
    except (TypeError, ValueError, OverflowError):
        fraction = math.nan
    if not math.isfinite(fraction):
        raise InvalidOption(f"The progress is {shown(given)}: give a number from 0 to 1, or None.")
    return min(1.0, max(0.0, fraction))


def _message(given: object) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str):
        raise InvalidOption(f"The progress message is of type {type(given).__name__}: give text, such as str(message).")
    return storable(given[:LONGEST_MESSAGE])


current: Final[ContextVar[JobContext | None]] = ContextVar("lateshift_job", default=None)


def current_job() -> CurrentJob:
    """The job that this code runs in. A thread that the job starts itself needs `contextvars.copy_context()`.

    Raises NotInsideJob where no job runs.
    """
    context = current.get()
    if context is None:
        raise NotInsideJob(
            "current_job() was called where no job runs. Call it in the job's own thread or coroutine; in a thread "
            "that the job starts, run the code through contextvars.copy_context().run."
        )
    return CurrentJob(context)


def refuse_to_wait_for_itself(place: str) -> None:
    """Raise InvalidOption where a job is about to write to a database that its own transaction has locked."""
    context = current.get()
    if context is not None and context.effects is not None and context.effects.keeps_out(place):
        raise InvalidOption(
            f"{context.job.name} has written to {place}, and until it ends SQLite lets nobody else write there: "
            "enqueue with connection=current_job().connection, or do this before the job writes."
        )


def refuse_to_hold_up_the_loop() -> None:
    """Raise InvalidOption where a coroutine is about to wait on the event loop that it shares with others."""
    context = current.get()
    if context is not None and context.loop_thread == threading.get_ident():
        raise InvalidOption(
            f"wait_for_job was called in the coroutine {context.job.name}. It would hold up all coroutines of the "
            "worker, perhaps the one that it waits for: write `await await_for_job(...)`."
        )


def warn_of_waiting(job_id: str, status: str) -> None:
    """Log, once, that a job in a thread waits for one that has not begun: perhaps for want of this thread."""
    context = current.get()
    if context is None or context.loop_thread is not None or context.waits_for == job_id or status not in WAITING:
        return
    import logging  # only this needs it

    context.waits_for = job_id
    logging.getLogger("lateshift").warning(
        "waits for job %s, which is %s, and takes a place of its worker meanwhile. If jobs that wait take all of them, "
        "none is left for what they wait for. An `async def` with `await await_for_job(...)` takes no thread.",
        job_id,
        status,
    )
