"""A process with all that it has started, in whatever session or process group that is."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil


class ProcessTree:
    """The tree below a process that leads a group of its own.

    What it has seen once it remembers: the children of a parent that has ended cannot be found any more.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._members: set[psutil.Process] = set()

    def end(self, *, hard: bool) -> None:
        """Ask all of them to end; kill them if `hard`. On Windows both kill."""
        import psutil  # here, because it is 30 ms that a worker which ends nothing need not pay

        self._gather()
        for member in self._members:
            with suppress(psutil.Error):
                if hard:
                    member.kill()
                else:
                    member.terminate()
                    member.resume()
        if hard:
            end_group(self._pid)

    def _gather(self) -> None:
        """Find what there is, from the top: each is stopped before it is asked, so that it starts nothing unseen."""
        import psutil

        waiting = list(self._members)
        with suppress(psutil.Error):
            waiting.append(psutil.Process(self._pid))
        self._members.clear()
        while waiting:
            process = waiting.pop()
            if process not in self._members:
                self._members.add(process)
                with suppress(psutil.Error):
                    process.suspend()
                with suppress(psutil.Error):
                    waiting += process.children()


def tree_memory(pid: int) -> int:
    """The resident bytes of a process and of all below it; what they share is counted in each. 0 when it has ended."""
    if sys.platform != "linux":
        import psutil

        with suppress(psutil.Error):
            process = psutil.Process(pid)
            return sum(_resident(member) for member in [process, *process.children(recursive=True)])
        return 0
    total, waiting, page = 0, [pid], os.sysconf("SC_PAGE_SIZE")
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        with suppress(OSError, IndexError):  # it may end while we look
            total += int((folder / "statm").read_text().split()[1]) * page
            for thread in (folder / "task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())
    return total


def _resident(process: psutil.Process) -> int:
    import psutil

    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def end_group(pid: int) -> None:
    """Kill what is in the group that a process leads or led; nothing on Windows, which has no such groups."""
    if sys.platform != "win32":
        with suppress(ProcessLookupError, PermissionError):  # nothing is left; macOS says the latter of zombies
            os.killpg(pid, signal.SIGKILL)
