"""What the control thread sleeps on: a flag that any thread may raise, and the writing of others to the database.

On Linux both are file descriptors of one `poll`: a pipe, and an inotify watch on the database's folder, in which every
commit writes to the `-wal` file. So an idle worker sleeps for good and wakes within a fraction of a millisecond.
(Looking at `pragma data_version` every 3 ms instead took 2.8 % of a core on the machine where we measured: 50 to 80 µs
a look, nearly all of it waking up.) Elsewhere, and behind the watch, the worker looks from time to time; that alone is
enough.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from lateshift.errors import StorageError
from lateshift.storage import reads
from lateshift.storage.database import Database, Listener
from lateshift.storage.sqlite import SqliteDatabase

LOOK: Final = 0.1
"""Seconds between two looks at the database where its folder is watched: the net below the watch."""

LOOK_AGAIN: Final = 0.0005
"""Seconds until the first look after somebody wrote: the file changes before its commit is complete and can be seen."""

LOOK_UNWATCHED: Final = 0.005
"""The same where it cannot be watched: 2.5 ms of mean delay."""

_IN_MODIFY: Final = 0x2


LOOK_SOON: Final = 0.002
"""Seconds until the first look at a database server after there was something to do; the pause doubles from there."""

LOOK_LISTENING: Final = 1.0
"""Seconds between two looks at a server that tells us of new jobs: the net below its telling."""

LOOK_POLLING: Final = 0.08
"""Seconds between two looks at a server that does not. There are 100 ms until a job begins, and 1 % of a core for an
idle worker, to which a look costs 0.4 ms: 5 system calls, asleep in two of them, and Python out of a cold cache."""


class Wake(Protocol):
    """What a control thread sleeps on."""

    def set(self) -> None:
        """Let the waiting thread, or the next one to wait, go on."""

    def wait(self, seconds: float) -> bool:
        """Wait until the flag is up (it is lowered) or somebody wrote; False when the time ran out first."""

    def written(self) -> bool:
        """Whether somebody may have written to the database since this was asked last."""

    def pause(self) -> float:
        """Seconds until `written` should be asked again."""

    def close(self) -> None:
        """Give the file descriptors back."""


def make_wake(db: Database) -> Wake:
    """The best that this system and this database have."""
    if not isinstance(db, SqliteDatabase):
        return PollingWake(db.listen, lambda: reads.anything_waiting(db, ()))
    folder = Path(db.path).parent
    watch = _watch_folder(folder) if sys.platform == "linux" and folder.is_dir() else None
    return PlainWake(db.changed) if watch is None else WatchingWake(watch, db.changed)


class PlainWake:
    """A lock that is released to wake: cheaper than an Event, and it is raised for every job."""

    def __init__(self, changed: Callable[[], bool] = lambda: False) -> None:
        self.written = changed
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Let the waiting thread, or the next one to wait, go on."""
        try:
            self._lock.release()
        except RuntimeError:  # it is up already
            return

    def wait(self, seconds: float) -> bool:
        """Wait until the flag is up (it is lowered); False when the time ran out first."""
        return self._lock.acquire(timeout=max(0.0, seconds))

    def pause(self) -> float:
        """Seconds until `written` should be asked again."""
        return LOOK_UNWATCHED

    def close(self) -> None:
        """Nothing to give back."""


class PollingWake(PlainWake):
    """For a server: a look every now and then, soon after there was something to do, and when the server tells.

    Where nothing waits, that look is `anything_waiting` only: a turn of the worker costs as much again as its answer.
    """

    def __init__(
        self,
        listen: Callable[[Callable[[], None]], Listener | None],
        anything_waiting: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(self._due)
        self._anything_waiting = anything_waiting
        self._monotonic = monotonic
        self._interval = LOOK_SOON
        self._look_at = 0.0
        self._told = False
        self._listener = listen(self._hear)

    def set(self) -> None:
        """Let the waiting thread, or the next one to wait, go on."""
        self._interval = LOOK_SOON
        self._look_at = min(self._look_at, self._monotonic() + LOOK_SOON)
        super().set()

    def pause(self) -> float:
        """Seconds until `written` should be asked again. What else the owner wakes up for does not put it off."""
        return max(0.0, self._look_at - self._monotonic())

    def close(self) -> None:
        """End the listening."""
        if self._listener is not None:
            self._listener.close()

    def _hear(self) -> None:
        self._told = True
        self.set()

    def _due(self) -> bool:
        now, told = self._monotonic(), self._told
        if not told and now < self._look_at:
            return False
        self._told = False
        listening = self._listener is not None and self._listener.listening
        self._interval = min(self._interval * 2, LOOK_LISTENING if listening else LOOK_POLLING)
        self._look_at = now + self._interval
        return told or self._may_have_some()

    def _may_have_some(self) -> bool:
        try:
            return self._anything_waiting()
        except StorageError:  # the worker's own look tells of it, and waits until it tries again
            return True


class WatchingWake:
    """A pipe and an inotify watch in one poll. The pause grows from `LOOK_AGAIN` to `LOOK` after each writing."""

    def __init__(self, watch: int, changed: Callable[[], bool]) -> None:
        self._interval = LOOK
        self.written = changed
        self._watch = watch
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)
        self._poll.register(self._watch, select.POLLIN)
        self._up = False
        self._waiting = False

    def set(self) -> None:
        """Let the waiting thread, or the next one to wait, go on."""
        self._up = True
        if self._waiting:  # else it looks at the flag before it sleeps, and the pipe costs a system call
            try:
                os.write(self._writer, b"!")
            except OSError:  # full: it is awake a thousand times over; or closed: it has ended
                return

    def wait(self, seconds: float) -> bool:
        """Wait until the flag is up (it is lowered) or somebody wrote; False when the time ran out first."""
        self._waiting = True
        ready = [] if self._up else self._poll.poll(max(0.0, seconds) * 1000)
        self._waiting = False
        self._interval = min(LOOK, self._interval * 2)
        for descriptor, _ in ready:
            if descriptor == self._watch:
                self._interval = LOOK_AGAIN
            try:
                os.read(descriptor, 65536)
            except BlockingIOError:
                continue
        if self._up:  # lowered only when seen: what was put down before it was raised is seen by the caller's next turn
            self._up = False
            return True
        return bool(ready)

    def pause(self) -> float:
        """Seconds until `written` should be asked again."""
        return self._interval

    def close(self) -> None:
        """Give the file descriptors back."""
        for descriptor in (self._watch, self._reader, self._writer):
            os.close(descriptor)


def _watch_folder(folder: Path) -> int | None:
    """A descriptor that becomes readable when a file in the folder is written to; None where that is not to be had."""
    try:
        library = ctypes.CDLL(None)
        descriptor = int(library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    except (OSError, AttributeError):
        return None
    if descriptor < 0:
        return None
    if library.inotify_add_watch(descriptor, os.fsencode(folder), _IN_MODIFY) < 0:
        os.close(descriptor)
        return None
    return descriptor
