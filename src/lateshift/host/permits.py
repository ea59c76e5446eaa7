"""What the runner that starts by itself may run, where programs of one folder have allow-lists of their own.

It has the list of the program that started it, and would refuse the jobs of another one, or of the same one whose list
was changed since. So each program grants what its own list permits, in a file, before it stores a job; and the runner
looks there before it resolves a name. Only programs with the same storage folder can grant anything, never the
database; `lateshift work` permits what it was started with.

What was granted holds as long as jobs wait or run. So what waits runs whichever program starts the next runner, after a
restart of the machine or a runner that was told to stop. A runner that ends when there are no more takes it back.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from lateshift.allowlist import AllowList, check_entry
from lateshift.host.logs import open_to_append
from lateshift.host.presence import runner_file
from lateshift.settings import Settings
from lateshift.storage.files import make_private

FRESH: Final = 20.0
"""Seconds that a program has to store a job after it looked whether its entries are there: it looks once a second, and
the database may be locked, or the transaction its own. Less than a runner's idle time, after which all is old."""


def granted(settings: Settings) -> tuple[str, ...]:
    """The entries that programs with this storage folder have granted to its runner.

    Raises OSError where nobody can tell now, as with too many open files: a job that is refused has failed for good.
    """
    file = runner_file(settings, "allowed")
    # What `withdraw` has taken it may put back: it is there until it is here again.
    return tuple(dict.fromkeys([*_read(file), *_read(_taken(file)), *_read(file)]))


def with_granted(settings: Settings) -> Settings:
    """The settings of a runner with what was granted to it; the same object if that is nothing more."""
    return with_entries(settings, granted(settings))


def with_entries(settings: Settings, entries: Collection[str]) -> Settings:
    """The settings with more entries in the allow-list; the same object if it has them all."""
    more = tuple(entry for entry in entries if entry not in settings.allowed)
    return replace(settings, allowed=(*settings.allowed, *more)) if more else settings


def runner_permits(settings: Settings, name: str) -> bool:
    """Whether a runner that is started with these settings would run a callable of this name."""
    with suppress(OSError):  # nobody can tell now, and who asks, asks again
        settings = with_granted(settings)
    return AllowList(settings.allowed).permits(name)


def grant(settings: Settings, entries: Collection[str]) -> None:
    """Let the runner permit these entries as well. Where nothing can be written, it may refuse a job, and says why."""
    file = runner_file(settings, "allowed")
    for _ in range(3):  # a runner that ends may take the file away while we write to it
        with suppress(OSError):  # there is none yet
            os.utime(file, (time.time(),) * 2)  # before we look: who takes it away after that puts it back
        with suppress(OSError):
            there = [*_read(file)]
            lacking = [entry for entry in entries if entry not in there]
            if not lacking:
                return
            _append(file, msgspec.json.encode(lacking))


def withdraw(settings: Settings) -> None:
    """Take back what was granted, as no job waits or runs; but nothing if a program has looked at it just now."""
    file = runner_file(settings, "allowed")
    taken = _taken(file)
    with suppress(OSError):  # there is none; or, on Windows, somebody has it open: then it stays
        if _is_fresh(file):
            return
        file.replace(taken)
        if _is_fresh(taken):
            grant(settings, tuple(_read(taken)))
        taken.unlink()


def _taken(file: Path) -> Path:
    return file.with_suffix(".taken")


def _is_fresh(file: Path) -> bool:
    return abs(time.time() - file.stat().st_mtime) < FRESH


def _append(file: Path, line: bytes) -> None:
    """Write a line at once, after one that a full disk may have cut off."""
    make_private(file.parent)
    handle = open_to_append(str(file))
    try:
        os.write(handle, b"\n" + line + b"\n")
        os.fsync(handle)  # the job is on disk, too, and whoever comes after a power cut may have another list
    finally:
        os.close(handle)


def _read(file: Path) -> Iterator[str]:
    try:
        lines = file.read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError:
        if sys.platform == "win32":  # for a moment, as somebody has it open for himself alone: a virus scanner
            raise
        return
    for line in lines:
        with suppress(msgspec.MsgspecError, ValueError):  # cut off, or by other hands: what it says is nothing
            entries = msgspec.json.decode(line, type=list[str])
            for entry in entries:
                check_entry(entry)
            yield from entries
