"""The jobs of the tests' project: each does one thing that a job may do, good or bad."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import io
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from lateshift import Cancel, Retry, RetryPolicy, Snooze, background, current_job, list_jobs

JOURNAL = Path("journal")
WRITING = threading.Lock()


def write(line: str, name: str = "journal") -> None:
    """One line to a journal outside the database, whole even among processes."""
    with WRITING:  # Windows appends in two steps
        handle = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{line}\n".encode())
        os.close(handle)


class ProcessOrder:
    """The example of the README."""

    def handle(self, order_id: int) -> str:
        write(f"order {order_id}")
        return f"order {order_id} processed"


def add(a: int, b: int = 0) -> int:
    return a + b


@background(isolation="process")
def options_of_python() -> list[object]:
    flags = sys.flags
    return [flags.isolated, flags.optimize, flags.utf8_mode, sys.warnoptions]


async def add_later(a: int, b: int = 0) -> int:
    await asyncio.sleep(0.01)
    return a + b


class AsyncOrder:
    async def handle(self, order_id: int) -> int:
        await asyncio.sleep(0)
        return order_id


def fail(message: str = "on purpose") -> None:
    raise ValueError(message)


class FailTwice:
    retry_delay = 0.05

    def handle(self) -> int:
        attempt = current_job().attempt
        if attempt < 3:
            raise RuntimeError(f"attempt {attempt}")
        return attempt


class Hooked:
    max_retries = 1
    retry_delay = 0.05

    def handle(self) -> None:
        raise LookupError("nothing there")

    def failed(self, error: BaseException) -> None:
        write(f"failed: {error!r}")


def ask_retry() -> int:
    if current_job().attempt == 1:
        raise Retry("once more", delay=0.05)
    return current_job().attempt


def snooze_once() -> int:
    if not Path("snoozed").exists():
        Path("snoozed").touch()
        raise Snooze(0.05)
    return current_job().attempt


def cancel_itself() -> None:
    raise Cancel("no need")


def wait_for_file(name: str, seconds: float = 30.0) -> str:
    """Run until the file is there; the journal tells that it began."""
    write(f"began {name} {os.getpid()}")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if Path(name).exists():
            return name
        if current_job().cancelled:
            write(f"saw cancel {name}")
            return "stopped early"
        time.sleep(0.01)
    raise TimeoutError(name)


async def wait_async(name: str) -> None:
    write(f"began {name}")
    try:
        while not Path(name).exists():
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        write(f"cancelled {name}")
        raise


async def tidy_up(name: str) -> int:
    write(f"began {name}")
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        while not Path(name).exists():
            await asyncio.sleep(0.01)
    return 7


@background(isolation="process")
def wait_isolated(name: str) -> int:
    write(f"began {name} {os.getpid()}")
    while not Path(name).exists():
        time.sleep(0.01)
    return os.getpid()


@background(isolation="process")
def isolated_count() -> int:
    return len(list_jobs())


@background(isolation="process")
def isolated_add(a: int, b: int) -> int:
    print("printed by the job")
    logging.getLogger("app").warning("adding %s and %s", a, b)
    current_job().progress(0.5, "half")
    return a + b


def in_ten_minutes(attempt: int, _: BaseException) -> float:
    return 600.0 if current_job().attempt == attempt else 1.0


@background(isolation="process", timeout=0.5, retry=in_ten_minutes)
def isolated_too_long() -> None:
    time.sleep(600)


@background(isolation="process", timeout=0.5, retry=RetryPolicy.fixed(0.05, only=(ConnectionError,)))
def isolated_too_long_once() -> None:
    time.sleep(600)


@background(isolation="process")
def isolated_leave_orphan() -> None:
    subprocess.Popen(["sleep", "0.1"])


@background(isolation="process")
def isolated_busy_in_c() -> None:
    write(f"began busy {os.getpid()}")
    ctypes.PyDLL(None).sleep(600)  # PyDLL keeps the GIL, so that no other thread of this process runs


@background(isolation="process")
def isolated_fail_once() -> None:
    if current_job().attempt == 1:
        raise LookupError("not yet")


@background(isolation="process")
def isolated_crash() -> None:
    ctypes.string_at(0)


def read_standard_input() -> list[str]:
    """What a program started here, and this process itself, find on standard input."""
    done = subprocess.run(["cat"], capture_output=True, text=True, check=True)
    try:
        return [done.stdout, input()]
    except EOFError:
        return [done.stdout, "the end"]


def square(number: int) -> int:
    return number * number


def square_in_processes(method: str) -> list[int]:
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(square, range(5))


@background(isolation="process")
def square_in_processes_isolated(method: str) -> list[int]:
    return square_in_processes(method)


@background(isolation="process")
def isolated_killed_with_forks() -> None:
    """Its process is killed while one that it forked, which holds all that it had open, lives on."""
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
    write(f"forked {pid}")
    os.kill(os.getpid(), signal.SIGKILL)


@background(isolation="process", max_retries=0)
def isolated_with_a_timer(size: int) -> str:
    """A signal comes all the time while its result is told, as a profiler's does."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    return "x" * size


@background(isolation="process")
def isolated_that_closes_all(seconds: float) -> None:
    """It closes what it has not opened, as one does who makes a daemon."""
    os.closerange(3, 256)
    time.sleep(seconds)


def keep_the_gil(unless: str) -> None:
    write(f"began gil {os.getpid()}")
    if not Path(unless).exists():
        ctypes.PyDLL(None).sleep(600)


def nap(label: str) -> None:
    time.sleep(0.003)
    write(label)


def terminate_own_process() -> None:
    if not Path("terminated").exists():
        Path("terminated").touch()
        os.kill(os.getpid(), signal.SIGTERM)


class Mourned:
    max_retries = 0

    def handle(self, seconds: float) -> None:
        write(f"began mourned {os.getpid()}")
        time.sleep(seconds)

    def failed(self, error: BaseException) -> None:
        write(f"failed in {os.getpid()}: {type(error).__name__}: {error} {current_job().id}")


class MournedIsolated(Mourned):
    isolation = "process"


class MournedCrash(MournedIsolated):
    def handle(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class MournedForEver(MournedIsolated):
    def failed(self, error: BaseException) -> None:
        write("mourning")
        time.sleep(600)


def loop_for_ever() -> None:
    write(f"began loop {os.getpid()}")
    while True:
        time.sleep(0.001)


def sleep_in_c(seconds: float) -> None:
    write(f"began sleep {os.getpid()}")
    time.sleep(seconds)


def hush(seconds: float) -> None:
    """As libraries do that catch what is written: it holds for all threads of the process."""
    write("began hush")
    with contextlib.redirect_stderr(io.StringIO()):
        time.sleep(seconds)


def close_output() -> None:
    sys.stdout.close()


def exit_hard(code: int = 3) -> None:
    write("exit_hard")
    os._exit(code)


@background(isolation="process")
def kill_worker() -> None:
    os.kill(os.getppid(), signal.SIGKILL)


def system_exit() -> None:
    raise SystemExit(5)


def keyboard_interrupt() -> None:
    raise KeyboardInterrupt


def print_check_mark() -> None:
    print("done \u2713")


@background(isolation="process")
def print_check_mark_isolated() -> None:
    print_check_mark()


def print_binary() -> None:
    sys.stdout.flush()
    os.write(1, bytes(range(256)))


def fork_away() -> str:
    pid = os.fork()
    if pid == 0:
        return "the child"
    os.waitpid(pid, 0)
    return "the parent"


def talk(lines: int = 3) -> None:
    for number in range(lines):
        logging.getLogger("app.jobs").info("line %d", number)


def progress(name: str) -> None:
    current_job().progress(0.25, "a quarter")
    while not Path(name).exists():
        time.sleep(0.01)


def note(label: str) -> None:
    write(label)


def huge() -> str:
    return "x" * (2 * 1024 * 1024)


def not_json() -> object:
    return object()


async def many(number: int) -> int:
    write(f"in {number}", "concurrency")
    await asyncio.sleep(0.5)
    write(f"out {number}", "concurrency")
    return number
