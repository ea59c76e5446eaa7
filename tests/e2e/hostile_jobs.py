"""Jobs that hand the worker what no database takes, or do to its process what they must not."""

from __future__ import annotations

import asyncio
import math
import os
import time
from pathlib import Path

from lateshift import Retry, Snooze, background, current_job

DELAYS = {"inf": math.inf, "nan": math.nan, "negative": -1.0, "huge": 1e30}


class FailedHook:
    def handle(self) -> None:
        raise ValueError("on purpose")

    def failed(self, error: BaseException) -> None:
        raise ValueError("\udcff\x00")


def snooze(delay: str) -> None:
    raise Snooze(DELAYS[delay])


def retry(delay: str) -> None:
    raise Retry("later", delay=DELAYS[delay])


def badly_named_error() -> None:
    raise type("Bad\udcff", (Exception,), {})("told \udcff \x00")


def unprintable_error() -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    raise Unprintable


def progress(message: str) -> None:
    words = {"surrogate": "\udcff", "number": 2**70, "object": object(), "long": "x" * 10_000_000}
    current_job().progress(0.5, words[message])


def result() -> str:
    return "\udcff"


def quick() -> str:
    return "done"


async def block(seconds: float) -> None:
    time.sleep(seconds)


async def child_exits() -> str:
    async def leave() -> None:
        raise SystemExit(1)

    child = asyncio.create_task(leave())
    await asyncio.sleep(0.2)
    return f"left {child.done()}"


async def stop_the_loop() -> str:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.05)
    return "went on"


async def fork_in_loop() -> str:
    pid = os.fork()
    if pid == 0:
        return "the child"
    Path("forked").write_text(str(pid))
    os.waitpid(pid, 0)
    return "the parent"


@background(timeout=0.3, max_retries=0)
class SlowToMake:
    def __init__(self) -> None:
        for _ in range(1000):
            time.sleep(0.01)

    def handle(self) -> None:
        pass
