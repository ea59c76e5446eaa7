"""Tells open pages that something changed: one look at the database a second, however many pages are open.

Nobody looks while nobody listens. What changed is not told: each page fetches what it shows, with its user's rights.

A stream lasts for some seconds only. A browser opens the next at once, and the page fetches itself anew then; a server
that waits for its connections before it stops, as uvicorn does, would wait for ever for one that goes on.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

INTERVAL: Final = 1.0
"""Seconds between two looks."""

BEAT: Final = 10.0
"""Seconds after which all streams end, so that pages come back: ages and heartbeats change without being written."""

AWAY: Final = 2000
"""Milliseconds after which a browser tries again when a stream has broken off."""

SOON: Final = 500
"""The same for a stream that has ended in good order: less than a page waits before it calls itself disconnected."""


class Watcher:
    """Looks with `look`, in a thread; when the answer differs from the last, it calls `changed` and tells all pages."""

    def __init__(
        self, look: Callable[[], object], changed: Callable[[], None] = lambda: None, interval: float = INTERVAL
    ) -> None:
        self._look, self._changed, self._interval = look, changed, interval
        self._bells: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._version = 0
        self._beats = 0
        self._seen: object = None
        self.looks = 0
        self.closed = False

    async def stream(self) -> AsyncIterator[bytes]:
        """Server-sent events: `change` at once and whenever something changed, until the next beat."""
        bell, beats = asyncio.Event(), self._beats
        self._bells.add(bell)
        self._begin()
        try:
            yield f"retry: {AWAY}\n\n".encode()
            while not self.closed and beats == self._beats:
                yield f"event: change\ndata: {self._version}\n\n".encode()
                bell.clear()
                await bell.wait()
            if not self.closed:
                yield f"retry: {SOON}\n\n".encode()
        finally:
            self._bells.discard(bell)
            if not self._bells and self._task is not None:
                self._task.cancel()
                self._task = None

    def nudge(self) -> None:
        """Tell all pages, from any thread: this process has just changed something."""
        if self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(self._ring)

    def close(self) -> None:
        """End every stream, so that a server which waits for them can stop."""
        self.closed = True
        self.nudge()

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._loop is not loop:
            self._loop, self._task = loop, loop.create_task(self._watch())

    def _ring(self) -> None:
        self._version += 1
        self._wake()

    def _wake(self) -> None:
        for bell in self._bells:
            bell.set()

    async def _watch(self) -> None:
        begun = time.monotonic()
        while True:
            try:
                found = await asyncio.to_thread(self._look)
            except Exception as error:  # the page that is fetched says what is wrong
                found = repr(error)
            self.looks += 1
            if self._seen is not None and found != self._seen:  # also by what changed while there was no stream
                self._changed()
                self._ring()
            self._seen = found
            if time.monotonic() - begun > BEAT or _server_stops():
                begun = time.monotonic()
                self._beats += 1
                self._wake()
            await asyncio.sleep(self._interval)


def _server_stops() -> bool:
    """Whether uvicorn, if this is it, was told to stop: its server is what takes the signals of the process."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "should_exit", False) is True
