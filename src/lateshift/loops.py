"""Work that must not be done in a thread that runs an event loop."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call the function in one of the running loop's own threads."""
    import asyncio  # here, because it is 58 ms that a program without coroutines need not pay

    return await asyncio.to_thread(function, *args, **kwargs)


def outside_of_loops(work: Callable[[], T], name: str) -> T:
    """Do `work` here; in a thread of its own, which has this name, if this one runs an event loop."""
    asyncio = sys.modules.get("asyncio")  # where nobody has imported it, no loop runs, and it costs 58 ms
    if asyncio is None or asyncio._get_running_loop() is None:  # noqa: SLF001 - the other one raises where none runs
        return work()
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1, name) as thread:
        return thread.submit(work).result()
