"""`/healthz` and `/readyz`: for a supervisor, a load balancer or a container's probe."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from lateshift.dashboard.view import View
from lateshift.errors import LateshiftError


async def alive(_: Request) -> Response:
    """That this process answers; asks nobody else."""
    return PlainTextResponse("ok\n")


def ready(view: View) -> Response:
    """Whether the database answers. What is wrong with it is told to nobody without rights, so not here."""
    try:
        view.desk.once("ready", lambda: view.desk.database.query("select 1"))
    except LateshiftError:
        return PlainTextResponse("The database does not answer.\n", 503)
    return PlainTextResponse("ok\n")
