"""Where a running job is at this moment, as text that reads like a traceback: outermost call first."""

from __future__ import annotations

import linecache
import logging
import sys
import traceback
from types import CoroutineType, FrameType
from typing import Any, Final

_LOCKING: Final = (logging.Handler.handle.__code__.co_filename, "<frozen importlib._bootstrap>")
"""Code that takes a lock in one step and sees to its release in the next; that of logging up to Python 3.12."""
DEEPEST: Final = 200
"""Frames that are shown; of a deeper stack, the innermost."""


def of_thread(thread_id: int | None) -> str:
    """The stack of a thread of this process; empty when it has none any more."""
    frame = sys._current_frames().get(thread_id or 0)  # noqa: SLF001 - a documented name
    return "" if frame is None else _shown(traceback.extract_stack(frame))


def takes_a_lock(thread_id: int) -> bool:
    """Whether an exception that is raised in a thread now may leave it with a lock for ever: logging's, or a module's.

    With logging's the first timeout of a job that was about to log held up all others of its process as they logged.
    """
    frame = sys._current_frames().get(thread_id)  # noqa: SLF001 - a documented name
    return frame is not None and frame.f_code.co_filename in _LOCKING


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
