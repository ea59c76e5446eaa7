"""Bulk actions that go on in the background, each in a thread of its own, while nobody has to look."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from lateshift.errors import LateshiftError
from lateshift.storage import trash
from lateshift.storage.bulk import TAKEN_BACK, BulkAction
from lateshift.storage.counting import Count
from lateshift.storage.database import Database

log: Final = logging.getLogger("lateshift.dashboard")

KEPT: Final = 50
"""How many are remembered after their end."""

SHARE: Final = 1.0
"""How long it rests after each step, in times of what the step took: workers write to the same tables."""

State = Literal["running", "done", "stopped", "broken"]

Steps = Iterator[tuple[int, int]]
"""(jobs looked at, jobs changed) after each step."""


@dataclass(slots=True)
class Run:
    """A bulk action on its way or at its end: `changed` of the `seen` jobs were changed. Times in microseconds.

    `id` is what `trash.restore` takes when it is a deletion. `what` says which jobs, `back` leads to them.
    """

    id: str
    action: str
    what: str
    by: str
    begun: int
    total: Count
    back: str = ""
    details: str = ""
    seen: int = 0
    changed: int = 0
    ended: int | None = None
    state: State = "running"
    trouble: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def undoable(self) -> bool:
        """Whether it is a deletion that has come to its end."""
        return self.action in TAKEN_BACK and self.changed > 0 and self.state != "running"


class Runs:
    """The bulk actions of one dashboard, in this process. `changed` is called when one has ended."""

    def __init__(self, database: Callable[[], Database], changed: Callable[[], None]) -> None:
        self._database, self._changed = database, changed
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()

    def start(self, action: BulkAction, run: Run, ended: Callable[[Run], None]) -> Run:
        """Let an action go on in the background; `ended` is told of its end, however it comes."""
        return self._begin(run, _steps(action), ended)

    def undo(self, batch: str, run: Run, ended: Callable[[Run], None]) -> Run:
        """Bring back, in the background, what a deletion took."""
        return self._begin(run, _restoring(self._database(), batch), ended)

    def get(self, run_id: str) -> Run | None:
        """One of them, if this process knows it."""
        with self._lock:
            return self._runs.get(run_id)

    def all(self) -> list[Run]:
        """Those that are remembered, the latest first."""
        with self._lock:
            return list(reversed(self._runs.values()))

    def going(self) -> list[Run]:
        """Those that are on their way."""
        return [run for run in self.all() if run.state == "running"]

    def close(self, seconds: float = 5.0) -> None:
        """Stop all of them after the step they are in. What has been done stays done."""
        going = self.going()
        for run in going:
            run.stopping.set()
        until = time.monotonic() + seconds
        for run in going:
            run.over.wait(max(0.0, until - time.monotonic()))

    def _begin(self, run: Run, steps: Steps, ended: Callable[[Run], None]) -> Run:
        with self._lock:
            over = [each.id for each in self._runs.values() if each.state != "running"]
            for old in over[: max(0, len(over) - KEPT + 1)]:
                del self._runs[old]
            self._runs[run.id] = run
        threading.Thread(
            target=self._work, args=(run, steps, ended), name=f"lateshift-bulk-{run.id}", daemon=True
        ).start()
        return run

    def _work(self, run: Run, steps: Steps, ended: Callable[[Run], None]) -> None:
        state: State = "broken"
        try:
            state = _go(run, steps)
        except LateshiftError as error:
            run.trouble = str(error)
        except Exception:
            run.trouble = "There is a mistake in Lateshift: the log of the dashboard has it."
            log.exception("The bulk action %s broke.", run.id)
        try:
            run.ended, run.state = self._database().now(), state
            ended(run)
        except LateshiftError:
            log.exception("The end of the bulk action %s could not be noted.", run.id)
        finally:
            run.state = state
            self._changed()
            run.over.set()


def make_id() -> str:
    """A name for a run that has none yet."""
    return secrets.token_hex(8)


def _go(run: Run, steps: Steps) -> State:
    """Do all steps, unless it is stopped."""
    while not run.stopping.is_set():
        began = time.monotonic()
        progress = next(steps, None)
        if progress is None:
            return "done"
        run.seen, run.changed = progress
        run.stopping.wait(SHARE * (time.monotonic() - began))
    return "stopped"


def _steps(action: BulkAction) -> Steps:
    while not action.step().finished:
        yield action.progress.seen, action.progress.changed


def _restoring(db: Database, batch: str) -> Steps:
    restored = 0
    while count := trash.restore(db, batch):
        restored += count
        yield restored, restored
