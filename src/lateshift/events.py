"""Typed events: the one place that logging, metrics and tracing listen to.

A subscriber is called with a list of events, in the order in which they happened, after what they tell is on disk. It
must not raise; what it raises is reported on standard error once and does not reach the job.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence

import msgspec

from lateshift.outcome import Outcome

Subscriber = Callable[[Sequence["Event"]], None]


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that happened; `at` is in microseconds since 1970 in UTC, by the database's clock."""

    at: int


class JobEvent(Event, frozen=True, gc=False):
    """Something that happened to one job. `attempt` is 0 before the first."""

    job_id: str
    name: str
    queue: str
    attempt: int


class JobEnqueued(JobEvent, frozen=True, gc=False):
    """A job was stored; `run_at` is when it is due."""

    priority: int
    run_at: int


class JobStarted(JobEvent, frozen=True, gc=False):
    """A worker began an attempt."""

    worker: str


class JobFinished(JobEvent, frozen=True, gc=False):
    """An attempt ended and its outcome is on disk. `outcome.kind` tells how; `due_at` is when the job was due."""

    worker: str
    outcome: Outcome
    due_at: int


class JobRescued(JobEvent, frozen=True, gc=False):
    """A job was taken back from a worker that died; `status` is what it is now."""

    worker: str
    status: str


class JobChanged(JobEvent, frozen=True, gc=False):
    """An operator acted on a job: `action` is cancelled, cancel_requested, retried or deleted."""

    action: str


class LeaseLost(JobEvent, frozen=True, gc=False):
    """A worker finished a job that had been taken from it in the meantime; its outcome was thrown away."""

    worker: str


class QueueChanged(Event, frozen=True, gc=False):
    """A queue was paused or resumed."""

    queue: str
    paused: bool


class JobsPruned(Event, frozen=True, gc=False):
    """Finished jobs were deleted for their age because somebody asked for it; `older_than` is in seconds."""

    jobs: int
    older_than: float


class WorkerStarted(Event, frozen=True, gc=False):
    """A worker process began to claim jobs."""

    worker: str
    pid: int


class WorkerStopped(Event, frozen=True, gc=False):
    """A worker process ended or was found dead; `reason` says why."""

    worker: str
    reason: str


class DatabaseAway(Event, frozen=True, gc=False):
    """A worker cannot use the database, and tries again until it can; `reason` says why."""

    worker: str
    reason: str


class DatabaseBack(Event, frozen=True, gc=False):
    """A worker can use the database again, after so many seconds."""

    worker: str
    seconds: float


class Events:
    """A list of subscribers and the way to reach them."""

    def __init__(self) -> None:
        self._subscribers: dict[object, Subscriber] = {}
        self._complained: set[int] = set()

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` with every batch of events from now on; returns the function that ends that."""
        mark = object()
        self._subscribers[mark] = subscriber

        def end() -> None:
            self._subscribers.pop(mark, None)

        return end

    def emit(self, events: Sequence[Event]) -> None:
        """Hand a batch of events to every subscriber."""
        for subscriber in tuple(self._subscribers.values()) if events else ():
            try:
                subscriber(events)
            except Exception:
                self._complain(subscriber)

    def _complain(self, subscriber: Subscriber) -> None:
        if id(subscriber) not in self._complained:
            self._complained.add(id(subscriber))
            traceback.print_exc(file=sys.stderr)
