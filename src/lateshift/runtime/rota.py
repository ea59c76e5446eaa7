"""The duties of a worker, and when each of them is due."""

from __future__ import annotations

import math
import traceback
from typing import Final

from lateshift.runtime.duties import Duty
from lateshift.runtime.output import complain
from lateshift.runtime.settling import may_pass
from lateshift.storage.database import Database

DUTY_PAUSE: Final = 5.0
"""Seconds before a duty that failed is tried again."""


class Rota:
    """`duties` are done in their order, each for the first time at once. Times are in seconds, by a monotonic clock.

    What they raise that may pass, as the database is in trouble, is for the caller, and they are due again at once.
    """

    def __init__(self, db: Database) -> None:
        self.duties: list[Duty] = []
        self._db = db
        self._next: dict[int, float] = {}  # by the place of the duty

    @property
    def due_at(self) -> float:
        """When the first of those that have been done is due again."""
        return min(self._next.values(), default=math.inf)

    def do_due(self, now: float, most: int | None = None) -> None:
        """Do those that are due, of the first `most` of them."""
        for place, duty in enumerate(self.duties[:most]):
            if now >= self._next.get(place, 0.0):
                self._next[place] = now + self.do(duty)

    def do(self, duty: Duty) -> float:
        """Do one, due or not; the seconds until it wants to be done again."""
        try:
            return duty.tick(self._db.now())
        except Exception as error:
            if may_pass(error):
                raise
            complain(traceback.format_exc())  # a duty that fails is no reason to leave the jobs alone
            return DUTY_PAUSE
