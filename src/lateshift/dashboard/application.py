"""Puts the dashboard together: `create_dashboard`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final
from urllib.parse import parse_qsl, quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from lateshift.app import Lateshift
from lateshift.dashboard import health, login
from lateshift.dashboard.access import Authorize
from lateshift.dashboard.api.serving import api_routes
from lateshift.dashboard.desk import Desk
from lateshift.dashboard.guard import Guard, below_root, desk_root, is_program, leads_nowhere
from lateshift.dashboard.routes import PAGES, Page
from lateshift.dashboard.view import View
from lateshift.default import get_app
from lateshift.errors import InvalidJob, JobNotFound, JobStateError, LateshiftError, StorageError

MOST: Final = 1 << 20
"""Bytes of a form, besides parameters in it."""

MOST_OF_A_LOGIN: Final = 1 << 16
"""Bytes of what everybody may send: a name, a password, and the address that was asked for."""

FIELDS: Final = 2_000
"""Fields of a form: a thousand jobs can be chosen one by one."""

SWELL: Final = 8
"""How many times larger parameters may be as a form: in a list each item has a line, whose end takes six bytes."""

STATUS: Final[Mapping[type[LateshiftError], int]] = {
    JobNotFound: 404,
    JobStateError: 409,
    InvalidJob: 422,
    StorageError: 503,
    LateshiftError: 500,
}


def create_dashboard(
    app: Lateshift | None = None, *, authorize: Authorize | None = None, read_only: bool | None = None
) -> Starlette:
    """The dashboard as an ASGI application, to be served or to be mounted in FastAPI, Starlette, Django or Flask.

    `app` is the application object, by default the one behind `run_background_job` at each request. `authorize` is
    given each request and says who it is from: "viewer", "operator", "admin", a `User`, or None for nobody; it may be a
    coroutine. Without it the settings decide (LATESHIFT_DASHBOARD_TOKEN, LATESHIFT_DASHBOARD_USERS), and without those
    only this machine is let in. `read_only` takes every action away; by default LATESHIFT_DASHBOARD_READ_ONLY decides.

    Nothing is opened before the first request. Raises SettingsError.
    """
    make = partial(_dashboard, authorize=authorize, read_only=read_only)
    if app is not None:
        return make(app)
    made = Starlette()
    made.router.redirect_slashes = False
    made.router.default = _OfDefault(make)
    return made


class _OfDefault:
    """The dashboard of the default application object, which is another one after `configure`, or within a test."""

    def __init__(self, make: Callable[[Lateshift], Starlette]) -> None:
        self._make, self._made = make, make(get_app())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app, desk = get_app(), self._made.state.desk
        if desk.settings is not app.settings:
            self._made = self._make(app)
            await run_in_threadpool(desk.close)
        await self._made(scope, receive, send)


def _dashboard(app: Lateshift, authorize: Authorize | None, *, read_only: bool | None) -> Starlette:
    desk = Desk(app, authorize, read_only=app.settings.dashboard_read_only if read_only is None else read_only)
    made = Starlette(
        routes=[*(_route(desk, page) for page in PAGES), *_others(desk), *api_routes(desk)],
        middleware=[Middleware(Guard, desk=desk)],
        exception_handlers={
            HTTPException: partial(_no_page, desk),
            LateshiftError: partial(_failed, desk),
            ClientDisconnect: _hung_up,
        },
    )
    made.router.redirect_slashes = False  # it would lead to http, also where a proxy speaks https: see `_no_page`
    made.state.desk = desk
    return made


def _route(desk: Desk, page: Page) -> BaseRoute:
    async def answer(request: Request) -> Response:
        user = request.scope["lateshift_user"]
        if not user.may(page.role) or (page.change and desk.read_only):
            return desk.refuse(request, 403, "Not yours to do", _why_not(desk, page))
        if leads_nowhere(request):
            raise HTTPException(404)
        response = await _shown(desk, page.show, request, MOST + SWELL * desk.settings.max_parameters)
        if page.change:
            desk.forget()
        return response

    return Route(page.path, answer, methods=["POST"] if page.change else ["GET"])


def _why_not(desk: Desk, page: Page) -> str:
    if desk.read_only:
        return (
            "This dashboard is read-only: LATESHIFT_DASHBOARD_READ_ONLY, or create_dashboard(read_only=True), says so."
        )
    return f"This takes the role {page.role}. Ask somebody who has it, or who writes LATESHIFT_DASHBOARD_USERS."


def _others(desk: Desk) -> list[BaseRoute]:
    async def events(_: Request) -> Response:
        return StreamingResponse(
            desk.watcher.stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    async def static(request: Request) -> Response:
        return desk.assets.serve(request)

    return [
        Route("/events", events),
        Route("/static/{digest}/{name:path}", static),
        Route("/login", partial(_shown, desk, login.show)),
        Route("/login", partial(_shown, desk, login.log_in), methods=["POST"]),
        Route("/logout", partial(_shown, desk, login.log_out), methods=["POST"]),
        Route("/healthz", health.alive),
        Route("/readyz", health.make_ready(desk)),
    ]


async def _shown(
    desk: Desk, show: Callable[[View], Response], request: Request, most: int = MOST_OF_A_LOGIN
) -> Response:
    """What a page answers. In a thread, which reads the form as well: a megabyte may take most of a second."""
    body = await _body(request, most) if request.method == "POST" else b""
    return await run_in_threadpool(lambda: show(View(desk, request, _fields(body))))


async def _body(request: Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise HTTPException(413, "The form is too large.")
    return bytes(body)


def _fields(body: bytes) -> list[tuple[str, str]]:
    """The fields of a form, in their order."""
    try:
        return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FIELDS)
    except ValueError:
        raise HTTPException(413, "The form has too many fields.") from None


async def _no_page(desk: Desk, request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    path = below_root(request)
    if status == 404 and path.endswith("/") and path.strip("/"):
        query = request.scope["query_string"].decode("latin-1")
        asked = f"{desk_root(request)}/{quote(path.strip('/'))}" + (f"?{query}" if query else "")
        return RedirectResponse(asked, 307)
    what, where = ("address", "/api/openapi.json has") if is_program(request) else ("page", "The rail has")
    titles = {404: f"There is no such {what}", 405: "Not in this way"}
    words = {
        404: f"The address may be mistyped, or from another version. {where} all of them.",
        405: f"{request.method} is not what this address takes.",
    }
    detail = str(getattr(error, "detail", ""))
    headers = getattr(error, "headers", None)
    return desk.refuse(request, status, titles.get(status, detail), words.get(status, detail), headers)


async def _hung_up(*_: object) -> Response:
    """Nobody reads this: whoever sent the request has gone before its end."""
    return Response(status_code=400)


async def _failed(desk: Desk, request: Request, error: Exception) -> Response:
    kind = next(kind for kind in type(error).__mro__ if kind in STATUS)
    titles = {
        404: "There is no such job",
        409: "Not possible now",
        422: "It cannot be enqueued",
        503: "No answer from the database",
    }
    status = STATUS[kind]
    return desk.refuse(request, status, titles.get(status, "That did not work"), str(error))
