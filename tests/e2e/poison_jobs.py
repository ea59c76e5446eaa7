"""Jobs that end their process, their neighbours, and jobs that use up memory or open files."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from lateshift import background

log = logging.getLogger(__name__)


def meet(name: str, word: str = "go") -> None:
    """Say that this job is there, and wait for what the test has to say."""
    Path(f"{name}-{os.getpid()}").touch()
    deadline = time.monotonic() + 60
    while not Path(word).exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def die(how: str) -> None:
    log.info("about to die by %s", how)
    if how == "exit":
        os._exit(9)
    if how == "segfault":
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)


def poison(how: str) -> None:
    meet("poison", "die")
    die(how)


@background(isolation="process")
def isolated_poison(how: str) -> None:
    die(how)


def neighbour(n: int) -> int:
    meet(f"neighbour-{n}")
    return n


async def async_neighbour(n: int) -> int:
    Path(f"neighbour-{n}-{os.getpid()}").touch()
    while not Path("go").exists():
        await asyncio.sleep(0.01)
    return n


@background(isolation="process", max_memory="150M")
def grow(step: int) -> None:
    held = []
    while True:
        held.append(bytearray(step))
        log.info("holding %d", len(held))
        time.sleep(0.02)


class GrowBelow:
    """What the job starts counts as well."""

    isolation = "process"
    max_memory = "150M"

    def handle(self) -> None:
        code = "import time; held = bytes(200_000_000); time.sleep(60)"
        subprocess.run([sys.executable, "-c", code.replace("bytes(", "b'x' * (")], check=False)

    def failed(self, error: BaseException) -> None:
        Path("mourned").write_text(f"{type(error).__name__}: {error}")


@background(isolation="process")
def ask_for_much() -> str:
    try:
        bytearray(10_000_000_000)
    except MemoryError:
        return "refused"
    return "granted"


@background(isolation="process")
def ask_for_too_much() -> int:
    return len(bytearray(10_000_000_000))


@background(isolation="process")
def burst() -> None:
    raise MemoryError("on purpose")


def give_back(n: int) -> int:
    return n


async def give_back_later(n: int) -> int:
    return n


def open_everything() -> int:
    """Open files until there are no more, and hold them until the test says so."""
    held = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        os.mkdir("exhausted")  # which takes no file
        deadline = time.monotonic() + 60
        while not os.access("go", os.F_OK) and time.monotonic() < deadline:
            time.sleep(0.01)
        return error.errno or 0
    finally:
        for file in held:
            os.close(file)
