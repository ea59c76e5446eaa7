"""What a job has raised: what it asks for, how it is stored, and stored errors as `failed()` hooks are given them."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

from lateshift.errors import MemoryExceeded, WorkerDied
from lateshift.job import JobError
from lateshift.outcome import Cancel, JobTimeout, Retry, Snooze
from lateshift.target_advice import import_hint
from lateshift.texts import storable, type_name

TRACEBACK_LIMIT: Final = 64 * 1024
MESSAGE_LIMIT: Final = 4 * 1024
"""Characters kept of an error: a huge one must not fill the database (Trigger.dev, 2025-09-26, ran out of memory)."""

_PACKAGE: Final = str(Path(__file__).resolve().parent.parent) + os.sep


def as_exception(error: JobError) -> BaseException:
    """What a failed() hook is given for an attempt that was ended from outside; a WorkerDied when nobody ended it."""
    kinds: tuple[type[BaseException], ...] = (JobTimeout, MemoryExceeded)
    kind = next((kind for kind in kinds if error.type.endswith(f".{kind.__name__}")), WorkerDied)
    return kind(error.message)


def without_group(error: BaseException) -> BaseException:
    """The first exception of a group that holds nothing but Cancel, Retry and Snooze, such as a TaskGroup raises.

    Any other exception is returned as it is.
    """
    left, asked = [error], []
    while left:
        one = left.pop()
        if isinstance(one, BaseExceptionGroup):
            left.extend(reversed(one.exceptions))
        elif isinstance(one, Cancel | Retry | Snooze):
            asked.append(one)
        else:
            return error
    return asked[0]


def describe(error: BaseException) -> JobError:
    """An exception as it is stored: dotted type, message, and the traceback from the first frame that is not ours."""
    kind = type(error)
    try:
        message = str(error)
        if isinstance(error, ModuleNotFoundError):
            message += import_hint(error)
    except Exception:
        message = "(its message could not be made)"
    lines = traceback.format_exception(kind, error, _own_frames(error.__traceback__))
    text = "".join(lines)
    if len(text) > TRACEBACK_LIMIT:
        text = f"{text[: TRACEBACK_LIMIT // 2]}\n... shortened ...\n{text[-TRACEBACK_LIMIT // 2 :]}"
    return JobError(storable(type_name(kind)[:MESSAGE_LIMIT]), storable(message[:MESSAGE_LIMIT]), storable(text))


def _own_frames(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_PACKAGE) and trace.tb_next is not None:
        trace = trace.tb_next
    return trace
