"""What a supervisor and its worker processes agree upon: what a worker is told, and what its exit code means."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from lateshift.host.fleet import LEASE

LEAVE_AFTER: Final = 600.0
"""Seconds after which a runner with nothing in hand leaves a database that is not there. Its server may have been
restarted or moved meanwhile; but one that was deleted must not leave a process behind for ever."""


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker process does; the supervisor hands it over as JSON. Times are in seconds, memory in bytes."""

    worker: str
    folder: str
    kind: Literal["worker", "runner"] = "worker"
    queues: tuple[str, ...] = ()
    burst: bool = False
    max_jobs: int | None = None
    max_memory: int | None = None
    idle_exit: float = 30.0
    grace: float = 30.0
    lease: float = LEASE
    patience: float = LEAVE_AFTER


End = Literal["stopped", "done", "idle", "dismissed", "cut off"]
Replacement = Literal["recycle", "max jobs", "max memory", "outdated", "stuck", "evicted"]
Reason = End | Replacement
"""Why a worker ends: told to; nothing left (burst); idle runner; runner that somebody asked to stop; runner whose
database has been away for too long. Or, to be replaced: for none of those that follow; a limit reached; a job came
whose code it does not have; code that cannot be stopped; declared dead by others."""

FINISHED: Final = 0
"""Exit code of a worker that has ended for good: told to, nothing left, or idle."""

RECYCLE: Final = 75
"""Exit code of a worker that asks to be replaced at once (EX_TEMPFAIL of sysexits.h: come again)."""

CUT_OFF: Final = 69
"""Exit code of a runner whose database has been away for too long (EX_UNAVAILABLE). The next enqueue starts another."""

DISMISSED: Final = 76
"""Exit code of a runner's worker that somebody asked to stop: nobody takes its place, though jobs may wait."""

REPLACED: Final[dict[Replacement, tuple[int, str]]] = {
    "recycle": (RECYCLE, ""),
    "max jobs": (80, "after --max-jobs"),
    "max memory": (81, "as it takes more than --max-memory"),
    "outdated": (82, "as a job came whose code it does not have"),
    "stuck": (83, "as code in it cannot be stopped"),
    "evicted": (84, "as others took it for dead"),
}
"""The reasons for which a worker is to be replaced: its exit code, and why in words."""

UNFINISHED: Final = 32
"""Added to the exit code of a worker in which jobs still ran: they run again, and what they had started is to end."""

_CODES: Final[dict[Reason, int]] = {
    "stopped": FINISHED,
    "done": FINISHED,
    "idle": FINISHED,
    "dismissed": DISMISSED,
    "cut off": CUT_OFF,
    **{reason: code for reason, (code, _) in REPLACED.items()},
}


def exit_code(reason: Reason, *, unfinished: bool) -> int:
    """What a worker ends with; `unfinished` is whether jobs still run in it."""
    return _CODES[reason] + (UNFINISHED if unfinished else 0)


def without_flag(code: int | None) -> tuple[int | None, bool]:
    """What a worker ended with, and whether UNFINISHED was added to it."""
    unfinished = code is not None and code > 0 and bool(code & UNFINISHED)
    return (code - UNFINISHED if code and unfinished else code), unfinished
