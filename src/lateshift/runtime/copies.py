"""Copies of this process that a job forks off: none has a worker around it."""

from __future__ import annotations

import os

forks = 0
"""How many forks are between this process and the one that imported this module. To ask for its id at each job cost
7 % of a worker's time."""


def end_copy(before: int) -> None:
    """End this process if it was forked off since `before` was what `forks` is now."""
    if forks != before:
        os._exit(0)


def _note_fork() -> None:
    global forks  # noqa: PLW0603 - a fact about this process
    forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
