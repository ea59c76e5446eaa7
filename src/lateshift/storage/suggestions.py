"""What the search box offers while one types: fields, and the values that there are; a few short reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lateshift.job import STATUSES
from lateshift.query import FIELDS, GROUPS, Place, place_at, written
from lateshift.storage import failures, history, reads
from lateshift.storage.database import Database

RECENT: Final = 7 * 86_400_000_000
MOST: Final = 10
MOST_VALUES: Final = 200
"""Lanes up to which the queues that wait are read, and workers that are offered."""

LOOKED_AT: Final = 100
"""Jobs, the newest, whose parameters are offered by name."""

MEANINGS: Final = {
    "id": "an id, or its beginning",
    "queue": "a queue",
    "status": "a state",
    "name": "a callable, or a part of its name",
    "worker": "a worker, or a part of its name",
    "error": "a part of an error's type or message",
    "fingerprint": "an error group",
    "priority": "1 to 10, also >5",
    "attempts": "how many, also >2",
    "after": "enqueued since: 2h, 7d, 2026-01-31",
    "before": "enqueued until: 2h, 7d, 2026-01-31",
    "parameters": "parameters.order_id:42",
}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One offer: `text` replaces the search from `start` to `end`; `hint` says what it is."""

    text: str
    hint: str
    start: int
    end: int


def suggest(db: Database, text: str, caret: int, limit: int = MOST) -> list[Suggestion]:
    """What could stand at the caret of a search, the best first. Never fails for what is typed."""
    place = place_at(text, caret)
    if place.field is None and place.typed.lower().startswith("parameters."):
        return [_offer(place, f"{path}:", "of recent jobs") for path in _parameters(db, place.typed)][:limit]
    if place.field is None:
        return [
            _offer(place, f"{name}{'.' if name == 'parameters' else ':'}", MEANINGS[name]) for name in _names(place)
        ][:limit]
    values = known(db, place.field)
    typed = place.typed.lower()
    begin = [value for value in values if value.lower().startswith(typed)]
    inside = [value for value in values if typed in value.lower() and value not in begin]
    return [_offer(place, written(value), "") for value in [*begin, *inside][:limit] if value.lower() != typed]


def known(db: Database, field: str) -> list[str]:
    """The values of a field that jobs of the last days have; empty for a field of which nobody keeps a list."""
    return _VALUES[field](db) if field in _VALUES else []


def _names(place: Place) -> list[str]:
    return [name for name in FIELDS if name.startswith(place.typed.lower())]


def _offer(place: Place, text: str, hint: str) -> Suggestion:
    return Suggestion(text, hint, place.start, place.end)


def _parameters(db: Database, typed: str) -> list[str]:
    names = {name for job in reads.list_jobs(db, limit=LOOKED_AT) for name in job.parameters}
    paths = sorted(f"parameters.{name}" for name in names if not re.search(r'[\s:".]', name))
    return [path for path in paths if path.lower().startswith(typed.lower())]


def _queues(db: Database) -> list[str]:
    named = {row.name for row in reads.queues(db, db.now())} if len(reads.lanes(db)) < MOST_VALUES else set()
    return sorted(named | set(history.queue_names(db, db.now() - RECENT)))


def _errors(db: Database) -> list[str]:
    return sorted({kind.rpartition(".")[2] for kind in failures.types(db)})


_VALUES: Final[dict[str, Callable[[Database], list[str]]]] = {
    "status": lambda _: [*STATUSES, *GROUPS],
    "queue": _queues,
    "name": lambda db: history.names(db, db.now() - RECENT),
    "worker": lambda db: [worker.id for worker in reads.workers(db)][:MOST_VALUES],
    "error": _errors,
    "fingerprint": lambda db: [group.fingerprint for group in failures.groups(db, db.now() - RECENT)],
    "priority": lambda _: [str(number) for number in range(10, 0, -1)],
}
