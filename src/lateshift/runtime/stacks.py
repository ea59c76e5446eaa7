"""Where a running job is at this moment, as text that reads like a traceback: outermost call first."""

from __future__ import annotations

import linecache
import sys
import traceback
from types import CoroutineType, FrameType
from typing import Any, Final

DEEPEST: Final = 200
"""Frames that are shown; of a deeper stack, the innermost."""


def of_thread(thread_id: int | None) -> str:
    """The stack of a thread of this process; empty when it has none any more."""
    frame = sys._current_frames().get(thread_id or 0)  # noqa: SLF001 - a documented name
    return "" if frame is None else _shown(traceback.extract_stack(frame))


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
