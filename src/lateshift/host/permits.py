"""What the runner that starts by itself may run, where programs of one folder have allow-lists of their own.

It has the list of the program that started it, and would refuse the jobs of another one, or of the same one whose list
was changed since. So each program grants what its own list permits, in a file, before it stores a job; and the runner
looks there before it resolves a name. Only programs with the same storage folder can grant anything, never the
database; `lateshift work` permits what it was started with.

What was granted holds until the runner has nothing more to do, or is told to stop: what waits runs after a restart of
the machine, too, whichever program then starts the runner.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from lateshift.allowlist import AllowList, check_entry
from lateshift.host.presence import runner_file
from lateshift.settings import Settings


def granted(settings: Settings) -> tuple[str, ...]:
    """The entries that programs with this storage folder have granted to its runner."""
    return tuple(dict.fromkeys(_read(runner_file(settings, "allowed"))))


def with_granted(settings: Settings) -> Settings:
    """The settings of a runner with what was granted to it; the same object if that is nothing more."""
    own = AllowList(settings.allowed)
    more = tuple(entry for entry in granted(settings) if not own.covers(entry))
    return replace(settings, allowed=(*settings.allowed, *more)) if more else settings


def runner_permits(settings: Settings, name: str) -> bool:
    """Whether a runner that is started with these settings would run a callable of this name."""
    return AllowList(with_granted(settings).allowed).permits(name)


def grant(settings: Settings, entries: Collection[str]) -> None:
    """Let the runner permit these entries as well. Where nothing can be written, it may refuse a job, and says why."""
    for _ in range(3):  # a runner that ends may take the file away while we write to it
        there = AllowList(granted(settings))
        lacking = [entry for entry in entries if not there.covers(entry)]
        if not lacking:
            return
        with suppress(OSError):
            _append(runner_file(settings, "allowed"), msgspec.json.encode(lacking))


def withdraw(settings: Settings) -> tuple[str, ...]:
    """Take back all that was granted; returns it. Whoever grants something meanwhile sees that it is to do so again."""
    file = runner_file(settings, "allowed")
    taken = file.with_suffix(".taken")
    try:
        file.replace(taken)
    except OSError:  # there is none; or, on Windows, somebody has it open
        return ()
    entries = tuple(_read(taken))
    with suppress(OSError):
        taken.unlink()
    return entries


def _append(file: Path, line: bytes) -> None:
    """Write a line at once, after one that a full disk may have cut off."""
    for folder in (file.parent.parent, file.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, b"\n" + line + b"\n")
    finally:
        os.close(handle)


def _read(file: Path) -> Iterator[str]:
    try:
        lines = file.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        with suppress(msgspec.MsgspecError, ValueError):  # cut off, or by other hands: what it says is nothing
            entries = msgspec.json.decode(line, type=list[str])
            for entry in entries:
                check_entry(entry)
            yield from entries
