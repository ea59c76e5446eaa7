"""What the runner that started by itself permits, where programs of one folder have allow-lists of their own.

It has the list of the program that started it, and would refuse the jobs of another one, or of the same one whose list
was changed since. So whoever is about to store a job and finds it lacking asks for more and has it end: the next runner
has both lists. Only programs with the same storage folder can do so, never the database; `lateshift work` permits what
it was started with.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from lateshift.allowlist import AllowList
from lateshift.host.presence import runner_file
from lateshift.settings import Settings

VALID: Final = 60.0
"""Seconds for which a runner that starts does what was asked. So nothing that was asked long ago comes back."""


def publish(settings: Settings) -> None:
    """Note what the runner that now begins permits. The line's end says that all of it is there."""
    with suppress(OSError):  # the disk is full: then it is as if its list had everything
        runner_file(settings, "allowed").write_text(",".join(settings.allowed) + "\n")


def lacking(settings: Settings) -> tuple[str, ...]:
    """The entries of a program's allow-list of which the runner that lives has nothing."""
    theirs = permitted(settings)
    return () if theirs is None else tuple(entry for entry in settings.allowed if not theirs.covers(entry))


def permitted(settings: Settings) -> AllowList | None:
    """What the runner that lives, or was the last to live, permits; None if nobody can tell."""
    try:
        allowed, end, _ = runner_file(settings, "allowed").read_text().partition("\n")
        return AllowList(filter(None, allowed.split(","))) if end else None
    except (OSError, ValueError):
        return None


def ask_for(settings: Settings, entries: Iterable[str]) -> None:
    """Have the runner that starts next permit these entries beside those of the one that lives. Raises OSError."""
    theirs = runner_file(settings, "allowed").read_text().strip()
    runner_file(settings, "more").write_text(",".join([theirs, *entries]))


def with_asked(settings: Settings) -> Settings:
    """The settings of a runner that begins, with what was asked for just before."""
    more = runner_file(settings, "more")
    try:
        recent = abs(time.time() - more.stat().st_mtime) < VALID
        entries = more.read_text().split(",") if recent else []
        more.unlink()
    except (OSError, ValueError):
        return settings
    return replace(settings, allowed=tuple(dict.fromkeys([*settings.allowed, *filter(None, entries)])))
