"""A TCP proxy between a host's processes and the database's server, that can let connections go silent.

`cut()` leaves the connections that are there half-open: nothing passes, and neither side is told, until the server's
keep-alive gives them up. New ones work. `part()` is a cable pulled out: new ones are silent as well, until `join()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Final

KEEP_ALIVE: Final = 20.0
"""Seconds after which a server notices that nobody is there; by default it takes hours, and runs out of connections."""


class Proxy:
    """Listens on a free port of this machine, in a thread of its own; `port` is where."""

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._parted = False
        self._silent: set[asyncio.Task[None]] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def cut(self) -> None:
        """Nothing passes any more on the connections that are there."""
        self._loop.call_soon_threadsafe(self._go_silent)

    def part(self) -> None:
        """Nothing passes on any connection."""
        self._parted = True
        self.cut()

    def join(self) -> None:
        """New connections work again."""
        self._parted = False

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if self._parted:
            return  # taken by the kernel, as by a host that answers nothing
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        self._writers.add(forth)
        for source, sink in ((reader, forth), (back, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()
        self._writers.discard(sink)

    def _go_silent(self) -> None:
        for pump in list(self._pumps):
            pump.cancel()
        self._loop.call_later(KEEP_ALIVE, close_all, [*self._writers])

    async def _shut(self) -> None:
        self._go_silent()
        self._server.close()
        close_all([*self._writers])
        await asyncio.sleep(0)


def close_all(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.close()
