"""The jobs that the tests of `lateshift.testing` enqueue."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import defaultdict
from contextvars import ContextVar
from dataclasses import dataclass

import lateshift
from lateshift import RetryPolicy, background
from lateshift.testing import drain

done = []
began, going = defaultdict(threading.Event), defaultdict(threading.Event)
user = ContextVar("user", default="nobody")


@background(max_retries=1, retry=60)
def unsteady(fail: bool) -> str:
    if fail and lateshift.current_job().attempt == 1:
        raise ConnectionError("no answer")
    return "done"


@background
def waiting(name: str) -> None:
    began[name].set()
    assert going[name].wait(30)
    logging.getLogger("shop").info("packed")


@background(max_retries=2, retry=RetryPolicy.fixed(60, only=(ConnectionError,)))
def choosy(error: str) -> None:
    raise {"ValueError": ValueError, "ConnectionError": ConnectionError}[error]


@dataclass
class Crate:
    numbers: set[int]


@background
def packed(lists: list[set[int]], crate: Crate) -> None:
    pass


def note(what: str) -> str:
    done.append(what)
    return what


def waiting_for_another() -> str:
    child = lateshift.run_background_job(note, parameters={"what": "child"})
    return lateshift.wait_for_job(child).result


def where() -> list:
    return [threading.get_ident(), os.getpid(), user.get()]


async def where_async() -> list:
    await asyncio.sleep(0)
    return where()


def settling_in(name: str) -> str:
    before = user.get()
    user.set(name)
    return before


@background(isolation="process", timeout=0.001)
def where_isolated() -> list:
    return where()


def broken() -> None:
    done.append("broken")
    raise ValueError("no stock")


loops, tasks = [], []


async def remembering() -> None:
    loops.append(asyncio.get_running_loop())


async def lingering() -> None:
    async def left_behind() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            loops.append("cancelled")

    await remembering()
    tasks.append(asyncio.create_task(left_behind(), name="left behind"))
    await asyncio.sleep(0)


class Remembering:
    async def handle(self) -> None:
        raise LookupError

    async def failed(self, error: BaseException) -> None:
        await remembering()


async def waiting_wrongly() -> None:
    lateshift.wait_for_job(lateshift.current_job().id)


async def chain(left: int) -> int:
    if left:
        await lateshift.arun_background_job(chain, parameters={"left": left - 1})
    return left


def line(left: int) -> None:
    done.append(left)
    if left:
        lateshift.run_background_job(line, parameters={"left": left - 1})


def tree(depth: int) -> str:
    done.append(f"begin {depth}")
    if depth:
        lateshift.run_background_job(tree, parameters={"depth": depth - 1})
    done.append(f"end {depth}")
    return lateshift.current_job().id


def tree_drained() -> list:
    lateshift.run_background_job(note, parameters={"what": "child"})
    return [job.status for job in drain()]


def chatty() -> None:
    logging.getLogger("shop").info("packed")
    lateshift.current_job().progress(0.5, "half")


def raising(kind: str) -> None:
    raise {"retry": lateshift.Retry(delay=7), "snooze": lateshift.Snooze(30), "cancel": lateshift.Cancel()}[kind]


async def raising_in_tasks(kinds: list) -> None:
    async def task(kind: str | list) -> None:
        if isinstance(kind, list):
            await raising_in_tasks(kind)
        raising(kind)

    async with asyncio.TaskGroup() as group:
        for kind in kinds:
            group.create_task(task(kind))


class Deferred:
    def __await__(self):
        return asyncio.sleep(0, "at last").__await__()


def deferred() -> Deferred:
    return Deferred()


def exiting() -> None:
    raise SystemExit(3)


def interrupted() -> None:
    raise KeyboardInterrupt


def cancelled_on_its_way() -> bool:
    before = lateshift.current_job().cancelled
    lateshift.cancel_job(lateshift.current_job().id)
    return before


def heeding_its_cancel() -> int:
    for step in range(5):
        if lateshift.current_job().cancelled:
            return step
        if step == 2:
            lateshift.cancel_job(lateshift.current_job().id)
    return 5


class Order:
    def handle(self) -> None:
        raise LookupError("lost")

    def failed(self, error: BaseException) -> None:
        done.append(f"failed: {error}")


def far_away():
    """Goes round the checks of Snooze."""
    error = lateshift.Snooze(1)
    error.delay = 1e18
    raise error
