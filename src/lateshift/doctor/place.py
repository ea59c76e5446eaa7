"""What the checks look at, and the line that each of them gives."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from msgspec.structs import replace

from lateshift.host.fleet import living
from lateshift.settings import Explained, Settings
from lateshift.storage import open_database, reads
from lateshift.storage.database import Database
from lateshift.storage.reads import WorkerRow

Level = Literal["ok", "warning", "error"]

PATIENCE: Final = 3.0
"""Seconds to wait for a locked database; somebody is watching."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the diagnosis: what was looked at, how it is, and what to do about it (empty when it is fine)."""

    name: str
    level: Level
    message: str
    remedy: str = ""


class Place:
    """The project that is looked at. `usable` turns True when its database has answered."""

    def __init__(self, settings: Settings, explained: list[Explained]) -> None:
        self.settings, self.explained = settings, explained
        self.db: Database = open_database(
            replace(settings, busy_timeout=min(PATIENCE, settings.busy_timeout)), timeout=PATIENCE, as_is=True
        )
        self.usable = False

    @property
    def file(self) -> Path | None:
        """The database, if it is a file."""
        return None if self.db.file is None else Path(self.db.file)

    def workers(self) -> tuple[list[WorkerRow], list[WorkerRow]]:
        """The workers that live, and those that died without signing off."""
        rows = reads.workers(self.db)
        alive = living(rows, self.db.now())
        return alive, [worker for worker in rows if worker not in alive]


Look = Callable[[Place], Iterator[Check]]
"""A check: it looks at one thing and yields lines."""


def existing(path: Path) -> Path:
    """The nearest folder upwards that is there."""
    return next((folder for folder in (path, *path.parents) if os.path.isdir(folder)), Path(path.anchor))


def can_make(path: Path) -> bool:
    """Whether a file or folder that is not there can be made, with the folders it lacks."""
    above = next((above for above in path.parents if os.path.lexists(above)), Path(path.anchor))
    return above.is_dir() and os.access(above, os.W_OK | os.X_OK)
