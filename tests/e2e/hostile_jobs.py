"""Jobs that do what no job should: the worker, its neighbours and the database must not suffer."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any, NoReturn

from lateshift import Retry, Snooze, current_job

SURROGATE = "half a pair \udcff"


def write(line: str) -> None:
    handle = os.open("journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


async def block_the_loop() -> None:
    write("began")
    time.sleep(600)


def snooze(delay: str) -> NoReturn:
    raise Snooze(float(delay))


def retry(delay: str) -> NoReturn:
    raise Retry(delay=float(delay))


def snooze_far() -> NoReturn:
    raise Snooze(10**30)


def snooze_into_the_past() -> int:
    if not Path("snoozed").exists():
        Path("snoozed").touch()
        raise Snooze(-5)
    return current_job().attempt


def altered_snooze(delay: str) -> NoReturn:
    """Goes round the checks of Snooze."""
    error = Snooze(1)
    error.delay = float(delay)
    raise error


async def altered_snooze_async(delay: str) -> NoReturn:
    altered_snooze(delay)


class HookRaises:
    def handle(self) -> NoReturn:
        raise LookupError

    def failed(self, error: BaseException) -> NoReturn:
        raise ValueError(SURROGATE)


class AsyncHookRaises:
    async def handle(self) -> NoReturn:
        raise LookupError

    async def failed(self, error: BaseException) -> NoReturn:
        raise ValueError(SURROGATE)


def strange_type() -> NoReturn:
    raise type("Strange", (Exception,), {"__qualname__": SURROGATE})(SURROGATE)


def strange_result() -> str:
    return SURROGATE


def tell_surrogate(name: str) -> None:
    current_job().progress(0.5, SURROGATE)
    while not Path(name).exists():
        time.sleep(0.01)


def tell_number() -> None:
    current_job().progress(0.5, 2**70)  # type: ignore[arg-type]


async def task_that_exits() -> str:
    async def leave() -> NoReturn:
        raise SystemExit(3)

    try:
        await asyncio.create_task(leave())
    except SystemExit:
        return "the loop goes on"
    return "not reached"


async def stop_the_loop() -> str:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.01)
    return "the loop goes on"


async def wait_async(name: str) -> str:
    write(f"began {name}")
    while not Path(name).exists():
        await asyncio.sleep(0.01)
    return name


async def fork_and_wait() -> str:
    """The child waits for what asks for the running loop."""
    pid = os.fork()
    if pid:
        write(f"child {pid}")
        return "the parent"
    await asyncio.sleep(600)
    return "the child"


async def fork_and_spin() -> str:
    """The child only yields, and the loop would go on with it."""
    pid = os.fork()
    if pid:
        write(f"child {pid}")
        return "the parent"
    while True:
        await asyncio.sleep(0)


def fork_and_terminate() -> int:
    """The end of a forked child that SIGTERM is sent to, as a multiprocessing pool does."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, b"!")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            time.sleep(0.01)
        os._exit(0)
    os.read(reader, 1)
    os.kill(pid, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class SlowToMake:
    def __init__(self) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            time.sleep(0.01)

    def handle(self) -> None:
        """Never reached."""


class Broken(Exception):
    """An exception that cannot even be put into words."""

    def __str__(self) -> Any:
        raise SystemExit


def cannot_be_described() -> NoReturn:
    raise Broken


def note(label: str) -> None:
    write(label)


def nothing() -> None:
    """The shortest of jobs."""
