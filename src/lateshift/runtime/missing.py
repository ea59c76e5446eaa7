"""A line on standard error, where a service's log is, for each callable whose code a worker does not find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lateshift.errors import CallableNotFound
from lateshift.events import Event, JobFinished
from lateshift.runtime.output import complain

MOST: Final = 100
"""Names of which one worker tells: they come from the database, which may have any number."""

_TYPE: Final = f"{CallableNotFound.__module__}.{CallableNotFound.__qualname__}"


class Missing:
    """Tells why a callable was not found: once, though a backlog may have a million jobs of it. Subscribe it."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._told: set[str] = set()

    def __call__(self, batch: Sequence[Event]) -> None:
        """Look for such failures among what happened."""
        for event in batch:
            if type(event) is JobFinished and event.outcome.counts:  # what goes back to newer code has not failed
                error = event.outcome.error
                if error is not None and error.type == _TYPE:
                    self._tell(event.name, error.message)

    def _tell(self, name: str, why: str) -> None:
        if name not in self._told and len(self._told) < MOST:
            self._told.add(name)
            complain(f"lateshift: {self._worker}: jobs of {name} fail: {' '.join(why.split())}")
