"""Files to which any number of processes append whole lines at the same time.

A batch of lines is one appending write, which the system does not interleave; on Windows it is locked as well.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lateshift.host.handle import Handle


class Appender:
    """Appends to the files of a folder, which is made at the first line, and again when somebody has deleted it.

    The file stays open for a second, as opening and closing it for each line was a twentieth of an enqueuing. What
    midnight, a deleted folder or another program that moves logs away could break is over as soon, and threads that
    write while one of them opens another file keep theirs. (To ask whether the file is still there, by `fstat`, costs
    more than opening it: from Linux 6.13 on the next write has to note its time to the nanosecond.)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: tuple[str, int, Handle] | None = None
        self._torn = False

    def append(self, path: str, data: bytes, second: int) -> None:
        """Append whole lines; `second` is that in which they were written. Raises OSError."""
        if self._torn:
            data = b"\n" + data
        kept, written = self._kept, 0
        if kept is None or kept[0] != path or kept[1] != second or not kept[2].own:
            kept = (path, second, self._open(path))
            if sys.platform != "win32":  # there it is locked for as long as it is open
                self._kept = kept
        try:
            while written < len(data):
                written += os.write(kept[2].number, data[written:])
        finally:
            if written:  # a part only, as the disk is full: what comes next is to begin on a line of its own
                self._torn = written < len(data)

    def _open(self, path: str) -> Handle:
        try:
            return Handle(_open_to_append(path))
        except FileNotFoundError:  # the first line of all, or somebody has deleted the folder
            for folder in (self.folder.parent, self.folder):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Handle(_open_to_append(path))


if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import wintypes

    from lateshift.host.file_lock import lock_file

    def _open_to_append(path: str) -> int:
        """Open with FILE_APPEND_DATA, as C's O_APPEND seeks first and loses lines; others wait until it is closed.

        The lock is for what does not append in one step either: shared folders, and Wine.
        """
        read, append_data, share_all, open_always, normal = 0x80000000, 0x4, 0x7, 4, 0x80
        create = ctypes.WinDLL("kernel32", use_last_error=True).CreateFileW
        word, pointer = wintypes.DWORD, wintypes.LPVOID
        create.restype = wintypes.HANDLE
        create.argtypes = [wintypes.LPCWSTR, word, word, pointer, word, word, wintypes.HANDLE]
        handle = create(path, read | append_data, share_all, None, open_always, normal, None)
        if handle == wintypes.HANDLE(-1).value:
            raise ctypes.WinError(ctypes.get_last_error())
        file = msvcrt.open_osfhandle(handle, os.O_WRONLY | os.O_NOINHERIT)
        try:
            lock_file(file, wait=True)
        except OSError:
            os.close(file)
            raise
        return file

else:

    def _open_to_append(path: str) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
