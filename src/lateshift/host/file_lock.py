"""A file's lock on Windows, as `flock` is one elsewhere: dropped by the system when the process that has it dies."""

from __future__ import annotations

import ctypes
import msvcrt
import sys
from ctypes import wintypes
from typing import Final

assert sys.platform == "win32"

_KERNEL: Final = ctypes.WinDLL("kernel32", use_last_error=True)
_EXCLUSIVE: Final = 0x2
_AT_ONCE: Final = 0x1
_TAKEN: Final = (33, 997)
"""ERROR_LOCK_VIOLATION, and ERROR_IO_PENDING, as some file systems say instead."""

_FAR: Final = 0x7FFFFFFF
"""Where the locked byte is, in units of 4 GiB: nobody can read what is locked."""


class _Region(ctypes.Structure):
    """OVERLAPPED, of which a lock uses the offset."""

    _fields_ = (
        ("internal", ctypes.c_void_p * 2),
        ("offset", wintypes.DWORD * 2),
        ("event", wintypes.HANDLE),
    )


def lock_file(descriptor: int, *, shared: bool = False, wait: bool = False) -> bool:
    """Take the lock of an open file, to be let go with its last handle; False when somebody has it. Raises OSError."""
    flags = (0 if shared else _EXCLUSIVE) | (0 if wait else _AT_ONCE)
    handle, region = wintypes.HANDLE(msvcrt.get_osfhandle(descriptor)), _Region(offset=(0, _FAR))
    if _KERNEL.LockFileEx(handle, flags, 0, 1, 0, ctypes.byref(region)):
        return True
    error = ctypes.get_last_error()
    if wait or error not in _TAKEN:  # a file system without locks, for example
        raise ctypes.WinError(error)
    return False
