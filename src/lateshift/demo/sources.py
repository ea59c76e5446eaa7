"""Which files the demo looks at."""

from __future__ import annotations

import os
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOST: Final = 2_000
"""Files at most, the largest; so many take some seconds, and a home folder may have a hundred times as many."""

SKIPPED: Final = frozenset({"__pycache__", "site-packages", "dist-packages", "node_modules"})


@dataclass(frozen=True, slots=True)
class Source:
    """A file and its size in bytes."""

    path: Path
    size: int


def standard_library() -> Path:
    """The folder of Python's own library."""
    return Path(sysconfig.get_path("stdlib"))


def find_sources(folder: Path) -> tuple[list[Source], int]:
    """The *.py files below a folder, largest first and at most `MOST`; and how many there are in all.

    Installed packages, caches and hidden folders are left out.
    """
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED and not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            if name.endswith(".py") and path.is_file() and _is_text(path):
                found.append(Source(path, path.stat().st_size))
    found.sort(key=lambda source: (-source.size, source.path))
    return found[:MOST], len(found)


def _is_text(path: Path) -> bool:
    """Whether a path can be a job's parameter: JSON has no place for a name in an unknown encoding."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
