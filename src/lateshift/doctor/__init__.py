"""Whether Lateshift can work here, and what to do where it cannot: `lateshift doctor`.

A check is a function that looks at one thing and yields lines; `CHECKS` has them in order. One that fails does not keep
the next from looking: what it raises becomes its line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from lateshift.doctor import machine, project, server, work
from lateshift.doctor.place import Check, Look, Place
from lateshift.errors import LateshiftError
from lateshift.settings import Explained, Settings, explain_settings, load_settings

CHECKS: Final[tuple[tuple[str, Look], ...]] = (
    ("settings", project.settings),
    ("python", project.python),
    ("allow-list", project.allowed),
    ("database", work.database),
    ("connection", server.connection),
    ("waking", server.waking),
    ("durability", server.durability),
    ("indexes", server.indexes),
    ("transactions", server.transactions),
    ("dead rows", server.dead_rows),
    ("sqlite", machine.sqlite),
    ("file system", machine.network),
    ("disk space", machine.disk),
    ("locks", machine.locks),
    ("logs", machine.logs),
    ("permissions", machine.permissions),
    ("clock", machine.clock),
    ("workers", work.workers),
    ("jobs", work.jobs),
)


def diagnose(**code: Any) -> list[Check]:
    """Look at everything that Lateshift needs here. `code` are settings as `Lateshift` takes them.

    Changes nothing, apart from a write to an existing database that is undone at once. Raises nothing.
    """
    try:
        place = Place(load_settings(**code), explain_settings(**code))
    except LateshiftError as error:
        return [Check("settings", "error", str(error), "Then run `lateshift doctor` again.")]
    return _examined(place, CHECKS)


def examine(settings: Settings, explained: list[Explained], *, without: Collection[str] = ()) -> list[Check]:
    """As `diagnose`, for settings that a program uses already, and without the checks of these names."""
    return _examined(Place(settings, explained), [check for check in CHECKS if check[0] not in without])


def exit_code(checks: Iterable[Check]) -> int:
    """1 if any check found an error, else 0."""
    return int(any(check.level == "error" for check in checks))


def _examined(place: Place, checks: Iterable[tuple[str, Look]]) -> list[Check]:
    try:
        return [line for name, look in checks for line in _guarded(name, look, place)]
    finally:
        place.db.close()


def _guarded(name: str, look: Look, place: Place) -> Iterator[Check]:
    try:
        yield from look(place)
    except LateshiftError as error:
        yield Check(name, "error", str(error))
    except Exception as error:
        told = f"This could not be checked: {type(error).__name__}: {error}"
        yield Check(name, "error", told, "Please report it, with this line.")
