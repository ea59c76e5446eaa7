"""Where a running job is at this moment, as text that reads like a traceback: outermost call first."""

from __future__ import annotations

import linecache
import logging
import sys
import threading
import traceback
from types import CoroutineType, FrameType, FunctionType
from typing import Any, Final

from lateshift.host import logs

_STEPS: Final = (
    *((logging.Handler, name) for name in ("acquire", "release")),
    *((logging, name) for name in ("_acquireLock", "_releaseLock")),  # up to Python 3.12
    *((threading.Condition, name) for name in ("__enter__", "__exit__")),
    *((threading.Semaphore, name) for name in ("acquire", "release", "__exit__")),
    (threading.BoundedSemaphore, "release"),
    (logs, "open_to_append"),
)
_UNREADY: Final = {step.__code__ for of, name in _STEPS if isinstance(step := getattr(of, name, None), FunctionType)}
"""What takes or lets go of a lock, or opens a file, where whoever called it sees to the end of that in its next step:
also the locks of `queue`, and so those of pools of connections. No more than that: who logs all the time would else
not be ready for an exception in five seconds, and its worker be replaced."""

_IMPORTS: Final = "<frozen importlib._bootstrap>"
"""The file of the code that takes the locks of modules."""

DEEPEST: Final = 200
"""Frames that are shown; of a deeper stack, the innermost."""


def of_thread(thread_id: int | None) -> str:
    """The stack of a thread of this process; empty when it has none any more."""
    frame = sys._current_frames().get(thread_id or 0)  # noqa: SLF001 - a documented name
    return "" if frame is None else _shown(traceback.extract_stack(frame))


def is_unready(thread_id: int) -> bool:
    """Whether an exception that is raised in a thread now may leave a lock, or an open file, behind for ever.

    With logging's lock the first timeout of a job that was about to log held up all others of its process as they
    logged. And of 600 that ran out of time as they logged, 325 left a log file open. What a thread does at this moment
    is where it is raised: this one has the GIL, so that one waits for it between two steps, or is in a call into C.
    """
    frame = sys._current_frames().get(thread_id)  # noqa: SLF001 - a documented name
    return frame is not None and (frame.f_code in _UNREADY or frame.f_code.co_filename == _IMPORTS)


def of_coroutine(coroutine: Any) -> str:
    """The stack of a coroutine that waits: through all that it awaits, to what it waits for in the end."""
    frames: list[FrameType] = []
    waits_for = coroutine
    while isinstance(waits_for, CoroutineType) and len(frames) < DEEPEST:
        if waits_for.cr_frame is not None:
            frames.append(waits_for.cr_frame)
        waits_for = waits_for.cr_await
    lines = [traceback.FrameSummary(f.f_code.co_filename, f.f_lineno, f.f_code.co_name) for f in frames]
    last = "" if waits_for is None else f"  waits for {waits_for!r}\n"
    return _shown(lines) + last[:1000]


def _shown(frames: list[traceback.FrameSummary]) -> str:
    linecache.checkcache()
    return "".join(traceback.StackSummary.from_list(frames[-DEEPEST:]).format())
