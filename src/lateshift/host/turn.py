"""Whose turn it is to start a runner: a file on this host, which needs no database that others have locked.

The turn lasts until the runner is about to announce itself, or has found another one in its place and ends. Should
neither happen, because it was killed on the way, it lasts for `PAUSE`. It ends before the announcement: one that was
killed as soon as it was seen, but still had the turn, left the next job without a runner.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from lateshift.host.presence import try_lock

PAUSE: Final = 2.0
"""Seconds that a runner has to appear: Python's start on a slow machine. After that others may start one as well."""


def take_turn(file: Path) -> bool:
    """Whether this process may start a runner; if not, another one is about to. Raises OSError, as on a full disk."""
    lock = try_lock(file)
    if lock is None:
        return False
    try:
        if _lasts(os.read(lock, 32)):
            return False
        os.ftruncate(lock, 0)
        os.lseek(lock, 0, os.SEEK_SET)
        os.write(lock, str(time.time()).encode())
        return True
    finally:
        os.close(lock)


def is_taken(file: Path) -> bool:
    """Whether a runner was started that is about to announce itself."""
    try:
        return _lasts(file.read_bytes())
    except OSError:  # nobody has ever taken a turn here; or, on Windows, somebody does just now
        return False


def _lasts(taken_at: bytes) -> bool:
    try:
        return abs(time.time() - float(taken_at or 0)) < PAUSE
    except ValueError:
        return False


def end_turn(file: Path) -> None:
    """Let the next one who finds no worker start a runner at once."""
    with suppress(OSError):  # nobody has ever taken a turn here; or, on Windows, somebody looks at it just now
        os.truncate(file, 0)
