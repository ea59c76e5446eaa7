"""What a test has started itself: database servers of other tests are children of this process as well."""

from __future__ import annotations

import psutil

_before: set[int] = set()


def note_children() -> None:
    """Those there are already do not count."""
    _before.clear()
    _before.update(child.pid for child in psutil.Process().children())


def children() -> list[int]:
    """The process ids of what has been started since, zombies included."""
    return [child.pid for child in psutil.Process().children() if child.pid not in _before]
