"""A process with all that it has started: in whatever session or group that is; on Windows in its job object."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import psutil

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _KERNEL: Final = ctypes.WinDLL("kernel32", use_last_error=True)
    _KERNEL.CreateJobObjectW.restype = _KERNEL.OpenProcess.restype = wintypes.HANDLE
    _NT: Final = ctypes.WinDLL("ntdll")

    _SET_QUOTA_TERMINATE_AND_RESUME: Final = 0x0901
    _EXTENDED_LIMITS: Final = 9
    _BREAKAWAY_OK: Final = 0x0800
    _KILL_ON_JOB_CLOSE: Final = 0x2000

    HELD: Final = 0x4
    """Creation flag (CREATE_SUSPENDED) for a process that begins when it is put into its tree, with all that it starts:
    python.exe of a virtual environment starts another Python at once, and may be faster than we are."""

    class _Limits(ctypes.Structure):
        """JOBOBJECT_EXTENDED_LIMIT_INFORMATION, of which we set the flags."""

        _fields_ = (
            ("times", ctypes.c_int64 * 2),
            ("flags", wintypes.DWORD),
            ("working_set", ctypes.c_size_t * 2),
            ("processes", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("classes", wintypes.DWORD * 2),
            ("counters", ctypes.c_uint64 * 6),
            ("memory", ctypes.c_size_t * 4),
        )

    class ProcessTree:
        """A process that has just been started, HELD, and whatever it starts, as a job object of Windows.

        `tied`: all of it ends with this process, however that ends. A runner that a job's code starts is let go.
        Raises OSError when it does not begin.
        """

        def __init__(self, pid: int, *, tied: bool = True) -> None:
            limits = _Limits(flags=_BREAKAWAY_OK | (_KILL_ON_JOB_CLOSE if tied else 0))
            self._pid = pid
            self._job = wintypes.HANDLE(_KERNEL.CreateJobObjectW(None, None))
            _KERNEL.SetInformationJobObject(self._job, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits))
            process = wintypes.HANDLE(_KERNEL.OpenProcess(_SET_QUOTA_TERMINATE_AND_RESUME, False, pid))
            self._holds = bool(_KERNEL.AssignProcessToJobObject(self._job, process))
            begun = _NT.NtResumeProcess(process) == 0
            _KERNEL.CloseHandle(process)
            if not begun:
                self.end_group()
                self.close()
                raise OSError(f"process {pid} was not there to begin")

        def end(self, *, hard: bool) -> None:  # noqa: ARG002 - there is but one way
            """Kill all of them, `hard` or not: Windows has no way to ask."""
            self.end_group()

        def end_group(self) -> None:
            """Kill what is in the job object, also when the process itself has ended."""
            if self._holds:
                _KERNEL.TerminateJobObject(self._job, 1)
            else:  # it had ended before it could be put in
                with suppress(OSError):
                    os.kill(self._pid, signal.SIGTERM)

        def close(self) -> None:
            """Let go; what is tied to this process ends."""
            _KERNEL.CloseHandle(self._job)
            self._holds = False

else:
    HELD: Final = 0

    class ProcessTree:
        """The tree below a process that leads a group of its own.

        What it has seen once it remembers: the children of a parent that has ended cannot be found any more. `tied` is
        for Windows; here a child sees by itself when its parent has gone.
        """

        def __init__(self, pid: int, *, tied: bool = True) -> None:  # noqa: ARG002
            self._pid = pid
            self._members: set[psutil.Process] = set()

        def end(self, *, hard: bool) -> None:
            """Ask all of them to end; kill them if `hard`."""
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
                self.end_group()

        def end_group(self) -> None:
            """Kill what is in the group that the process leads or led: it bears its number also when it has ended."""
            with suppress(ProcessLookupError, PermissionError):  # nothing is left; macOS says the latter of zombies
                os.killpg(self._pid, signal.SIGKILL)

        def close(self) -> None:
            """Nothing to let go of."""

        def _gather(self) -> None:
            """Find what there is, from the top: each is stopped before it is asked, and so starts nothing unseen."""
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


def start_tree(command: Sequence[str], *, tied: bool = True, **how: Any) -> tuple[subprocess.Popen[bytes], ProcessTree]:
    """Start a process and put it into a tree of its own. Raises OSError when that fails; then nothing is left of it."""
    process = subprocess.Popen(command, creationflags=how.pop("creationflags", 0) | HELD, **how)
    try:
        return process, ProcessTree(process.pid, tied=tied)
    except BaseException:
        with process:
            process.kill()  # by the handle that we have: perhaps nobody may open it, and it would never begin
        raise


def collect_strangers(own: Collection[int]) -> None:
    """Collect ended processes that were left to this one, the first of its container, but none of its `own`."""
    if sys.platform == "linux":
        with suppress(ChildProcessError):  # there is none at all
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if ended.si_pid in own:  # whoever waits for it is about to, and we look again soon
                    return
                os.waitpid(ended.si_pid, 0)


def tree_memory(pid: int) -> int:
    """The resident bytes of a process and of all below it; what they share is counted in each. 0 when it has ended."""
    total = 0
    if sys.platform == "linux":
        waiting, page = [pid], os.sysconf("SC_PAGE_SIZE")
        while waiting:
            folder = Path(f"/proc/{waiting.pop()}")
            with suppress(OSError, IndexError):  # it may end while we look
                total += int((folder / "statm").read_text().split()[1]) * page
                for thread in (folder / "task").iterdir():
                    waiting += map(int, (thread / "children").read_text().split())
    else:
        import psutil

        with suppress(psutil.Error):
            process = psutil.Process(pid)
            total = sum(_resident(member) for member in [process, *process.children(recursive=True)])
    return total


def _resident(process: psutil.Process) -> int:
    import psutil

    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
