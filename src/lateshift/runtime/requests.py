"""What operators ask of this worker on the dashboard: the live stack of a job, to stop, to drain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lateshift.runtime.crew import Crew
from lateshift.storage import requests
from lateshift.storage.database import Database
from lateshift.storage.requests import Request

GONE: Final = "The job does not run here any more."
ANSWER_LIMIT_US: Final = 5_000_000
"""Microseconds that a child process gets to tell its stack."""


class Requests:
    """Looks once a second for what is asked of this worker, does it, and answers."""

    INTERVAL: Final = 1.0

    def __init__(self, db: Database, worker: str, crew: Crew, dismiss: Callable[[Any], None]) -> None:
        self._db, self._worker, self._crew, self._dismiss = db, worker, crew, dismiss

    def tick(self, now: int) -> float:
        """Ask the database what is asked."""
        pending = False
        for request in requests.unanswered(self._db, self._worker):
            text = self._act(request, now)
            if text is None:
                pending = True
            else:
                requests.answer(self._db, request, now, text)
        return 0.05 if pending else self.INTERVAL

    def _act(self, request: Request, now: int) -> str | None:
        """Do what is asked; the answer, None if it takes a moment more."""
        if request.kind != "stack":
            self._dismiss(request.kind)
            return "It stops when its jobs have ended."
        stack = self._crew.stack(request.job_id or "")
        if stack is None and now - request.asked_at > ANSWER_LIMIT_US:
            return "The job's process does not answer: it may be in code that holds the interpreter."
        return GONE if stack == "" else stack
