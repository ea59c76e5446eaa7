"""Whether the source files of a runner's code have changed since it imported them: another one is to have the new code.

That is for who edits a program and runs it again and again, while a runner of an edit ago is alive. What streams in is
not held up: there is a look only when there may be something to do after a rest, or a job does not fit the code.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Final

from lateshift.allowlist import AllowList
from lateshift.job import Claimed

REST: Final = 0.5
"""Seconds without a job after which the next one is worth a look at the files, and between two such looks: some
hundred take a millisecond."""

GIVEN_BACK_MOST: Final = 10
"""Times that a job goes back to a process with newer code: a file may be written all the time."""

Stamp = tuple[int, int]
"""When a file was written, in nanoseconds, and its size."""


class NewCode:
    """Watches the modules below `root`, and those that the allow-list covers, if `watched` is set.

    `found`: one of them was written since it was imported, or is gone. A file that is seen for the first time was, if
    one of its times is after the last look, or the start of this process, and not in the future. Any thread may look.
    """

    def __init__(self, root: Path, allow: AllowList) -> None:
        self.watched = self.found = False
        self._root = f"{root}{os.sep}"
        self.allow = allow
        pythons = (f"{prefix}{os.sep}" for prefix in (sys.prefix, sys.base_prefix))
        self._others = tuple(prefix for prefix in pythons if prefix.startswith(self._root))  # .venv in the project
        self._files: dict[str, str | None] = {}
        self._stamps: dict[str, Stamp] = {}
        self._read: set[str] = set()
        self._looked_at = time.time_ns()
        self._looking = threading.Lock()
        self._look_again_at = 0.0

    def look(self) -> bool:
        """Look at all of them, if they are watched; whether one was written since it was imported."""
        if not self.watched:
            return False
        with self._looking:
            self._look_again_at = time.monotonic() + REST
            now = time.time_ns()
            for name, module in sys.modules.copy().items():
                if name not in self._files:
                    self._files[name] = self._file_of(name, module)
            changed = [self._has_changed(path, now) for path in filter(None, self._files.values())]
            self._looked_at = now
            self.found = self.found or any(changed)
            return self.found

    def look_after(self, rest: float) -> bool:
        """Look if there was nothing to do for `rest` seconds, and that is long enough; what all looks have found."""
        if not self.found and rest >= REST and time.monotonic() >= self._look_again_at:
            self.look()
        return self.found

    def may_fit(self, job: Claimed) -> bool:
        """Whether a job that does not fit the code of this process may fit that of a new one; not for ever."""
        return job.lease - job.attempt < GIVEN_BACK_MOST and self.look()

    def _file_of(self, name: str, module: object) -> str | None:
        names = getattr(module, "__dict__", {})  # getattr alone would load what a module loads lazily
        path = names.get("__file__")
        if not isinstance(path, str) or not path.endswith(".py"):
            return None
        if isinstance(getattr(names.get("__spec__"), "loader", None), SourceFileLoader):
            self._read.add(path)
        ours = path.startswith(self._root) and not path.startswith(self._others)
        return path if ours or self.allow.covers(name) else None

    def _has_changed(self, path: str, now: int) -> bool:
        try:
            status = os.stat(path)
        except FileNotFoundError:  # its code is elsewhere now, as that of a module that has become a package
            return path in self._read  # a frozen program's module never was where it says
        except OSError:
            return False
        stamp = status.st_mtime_ns, status.st_size
        if path in self._stamps:
            return self._stamps[path] != stamp
        self._stamps[path] = stamp
        # An older file may have been put there, by `mv` or `cp -p`, which keep the time of its text.
        return any(self._looked_at < at <= now for at in (status.st_mtime_ns, status.st_ctime_ns))
