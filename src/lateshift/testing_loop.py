"""The event loop of a test's coroutines: one for all, as in a worker, so that they can share what is bound to it."""

from __future__ import annotations

import threading
from collections.abc import Awaitable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, Self
from weakref import WeakKeyDictionary

from lateshift import django
from lateshift.app import Lateshift
from lateshift.loops import outside_of_loops

if TYPE_CHECKING:
    import asyncio


class JobLoop:
    """Made when a coroutine needs it, and closed, with all tasks that are left, when nobody holds it any more."""

    def __init__(self) -> None:
        self._holders, self._holding = 0, threading.Lock()
        self._runner: asyncio.Runner | None = None
        self._running = threading.Lock()

    def __enter__(self) -> Self:
        with self._holding:
            self._holders += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._holding:
            self._holders -= 1
            runner = self._runner
            if self._holders or runner is None:
                return
            self._runner = None
        outside_of_loops(runner.close, "lateshift-test")

    def run(self, value: Awaitable[Any]) -> Any:
        """Await what a job has returned, in this thread.

        Where the loop is taken, by a job that has enqueued this one in line or by another thread, it is on one of its
        own.
        """
        import asyncio  # 58 ms that a test without coroutines need not pay

        around = django.for_queries_of_coroutine()

        async def awaited() -> Any:
            async with around:
                return await value

        if not self._running.acquire(blocking=False):
            return asyncio.run(awaited())
        try:
            # By a factory, so that it does not become the current loop of the test's own thread.
            self._runner = self._runner or asyncio.Runner(loop_factory=asyncio.new_event_loop)
            return self._runner.run(awaited(), context=copy_context())
        finally:
            self._running.release()


_loops: Final[WeakKeyDictionary[Lateshift, JobLoop]] = WeakKeyDictionary()


def job_loop(app: Lateshift) -> JobLoop:
    """That of an application object."""
    return _loops.setdefault(app, JobLoop())
