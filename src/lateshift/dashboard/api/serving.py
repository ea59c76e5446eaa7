"""The operations as routes: who may, what is asked, what is answered, and the document that tells all that."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import Any, Final
from urllib.parse import quote

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from lateshift.dashboard.api import metrics, problems
from lateshift.dashboard.api.document import document
from lateshift.dashboard.api.operations import OPERATIONS, Operation
from lateshift.dashboard.api.problems import Refused
from lateshift.dashboard.api.reading import check_path, decode, read_body, read_query
from lateshift.dashboard.desk import Desk
from lateshift.dashboard.guard import PREFIX, desk_root
from lateshift.dashboard.view import View

PATHS: Final = {"name": "{name:path}"}
"""Parts of a path that may hold a slash: queues are called as their owners like."""

JSON: Final = "application/json"


def api_routes(desk: Desk) -> list[BaseRoute]:
    """Everything under /api, and /metrics."""
    by_path = groupby(sorted(OPERATIONS, key=lambda operation: operation.path), key=lambda operation: operation.path)
    routes: list[BaseRoute] = [_route(desk, path, list(operations)) for path, operations in by_path]
    return [
        *routes,
        Route(f"{PREFIX}/openapi.json", partial(_document, desk)),
        Route(metrics.PATH, partial(_metrics, desk)),
    ]


def _route(desk: Desk, path: str, operations: list[Operation]) -> BaseRoute:
    by_method = {operation.method: operation for operation in operations}

    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        try:
            return await _answer(desk, request, by_method[method])  # type: ignore[index]
        except Refused as refused:
            return problems.answer(refused.problem)

    for name, pattern in PATHS.items():
        path = path.replace(f"{{{name}}}", pattern)
    return Route(PREFIX + path, answer, methods=list(by_method))


async def _answer(desk: Desk, request: Request, operation: Operation) -> Response:
    user = request.scope["lateshift_user"]
    if not user.may(operation.role):
        words = f"This takes the role {operation.role}, and {user.name} is a {user.role}. Ask somebody who has it."
        raise Refused(403, "Not yours to do", words)
    if operation.change and desk.read_only:
        words = "This dashboard is read-only: LATESHIFT_DASHBOARD_READ_ONLY, or create_dashboard(read_only=True)."
        raise Refused(403, "Read-only", words)
    check_path(request)
    asked = await _asked(request, operation)
    answer = await run_in_threadpool(operation.function, View(desk, request), asked)
    if operation.change:
        desk.forget()
    headers = {"location": _location(request, operation.location, answer)} if operation.location else None
    return Response(msgspec.json.encode(answer), operation.status, headers, JSON)


async def _asked(request: Request, operation: Operation) -> Any:
    if not operation.change:
        return read_query(request, operation.asked)
    return decode(await read_body(request), operation.asked)


def _location(request: Request, pattern: str, answer: Any) -> str:
    parts = {name: quote(str(getattr(answer, name)), safe="") for name in answer.__struct_fields__}
    return f"{desk_root(request)}{PREFIX}{pattern.format(**parts)}"


async def _document(desk: Desk, request: Request) -> Response:
    text = document(f"{desk_root(request)}{PREFIX}", open_here=not desk.access.by_login)
    return Response(text, media_type=JSON)


async def _metrics(desk: Desk, request: Request) -> Response:
    text = await run_in_threadpool(metrics.write, View(desk, request))
    return PlainTextResponse(text, headers={"content-type": metrics.MEDIA_TYPE})
