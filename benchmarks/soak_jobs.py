"""The mixed jobs of the soak: short ones in threads and on the event loop, wordy, failing, isolated and dying ones."""

from __future__ import annotations

import asyncio
import logging
import os

from lateshift import Call, background

log = logging.getLogger(__name__)


def quick(n: int) -> int:
    """Give a number back."""
    return n


async def waits(n: int) -> int:
    """Wait on the event loop."""
    await asyncio.sleep(0.01)
    return n


def wordy(text: str) -> str:
    """Log and return some kilobytes."""
    log.info("It has %d characters.", len(text))
    return text


def fails(n: int) -> None:
    """Fail, also at the retry."""
    raise ValueError(f"no luck with {n}")


@background(isolation="process")
def isolated(n: int) -> int:
    """Give a number back, in a process of its own."""
    return n


@background(isolation="process")
def dies(n: int) -> None:
    """End its process at once."""
    os._exit(n % 100 + 1)


def call(n: int) -> Call:
    """The n-th call of the mix: a hundredth fails twice, one in 2,000 is isolated, one in 5,000 dies three times."""
    if n % 5_000 == 1:
        return Call(dies, parameters={"n": n})
    if n % 2_000 == 2:
        return Call(isolated, parameters={"n": n})
    if n % 100 == 3:
        return Call(fails, parameters={"n": n}, max_retries=1, retry_delay=1)
    if n % 50 == 4:
        return Call(wordy, parameters={"text": f"{n} " * 500})
    return Call(waits if n % 10 == 5 else quick, parameters={"n": n})
