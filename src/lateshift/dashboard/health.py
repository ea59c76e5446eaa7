"""`/healthz` and `/readyz`: for a supervisor, a load balancer or a container's probe."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from lateshift.dashboard.desk import Desk
from lateshift.errors import LateshiftError


async def alive(_: Request) -> Response:
    """That this process answers; asks nobody else."""
    return PlainTextResponse("ok\n")


def make_ready(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    """Makes what tells whether the database answers, and not what is wrong with it: that takes rights.

    It needs no login, so however many ask, they take one thread: should the database hang, the rest is for the pages.
    """
    asking: asyncio.Task[bool] | None = None

    async def ready(_: Request) -> Response:
        nonlocal asking
        if asking is None or asking.done() or asking.get_loop() is not asyncio.get_running_loop():
            asking = asyncio.create_task(run_in_threadpool(_answers, desk))
        if await asyncio.shield(asking):
            return PlainTextResponse("ok\n")
        return PlainTextResponse("The database does not answer.\n", 503)

    return ready


def _answers(desk: Desk) -> bool:
    try:
        desk.once("ready", lambda: desk.database.query("select 1"))
    except LateshiftError:
        return False
    return True
