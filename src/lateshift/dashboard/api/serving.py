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

from lateshift.dashboard import problems
from lateshift.dashboard.api import metrics
from lateshift.dashboard.api.document import document
from lateshift.dashboard.api.operations import OPERATIONS, Operation
from lateshift.dashboard.api.reading import check_path, decode, read_body, read_query
from lateshift.dashboard.desk import Desk
from lateshift.dashboard.guard import PREFIX, desk_root
from lateshift.dashboard.problems import Refused
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
    body = await read_body(request, desk.settings.max_parameters) if operation.change else b""
    answer = await run_in_threadpool(_do, View(desk, request), operation, body)
    if operation.change:
        desk.forget()
    headers = {"location": _location(request, operation.location, answer)} if operation.location else None
    return Response(msgspec.json.encode(answer), operation.status, headers, JSON)


def _do(view: View, operation: Operation, body: bytes) -> Any:
    asked = decode(body, operation.asked) if operation.change else read_query(view.request, operation.asked)
    return operation.function(view, asked)


def _location(request: Request, pattern: str, answer: Any) -> str:
    parts = {name: quote(str(getattr(answer, name)), safe="") for name in answer.__struct_fields__}
    return f"{desk_root(request)}{PREFIX}{pattern.format(**parts)}"


async def _document(desk: Desk, request: Request) -> Response:
    access = desk.access
    text = document(f"{desk_root(request)}{PREFIX}", access.cookie, open_here=not access.by_login)
    return Response(text, media_type=JSON)


async def _metrics(desk: Desk, request: Request) -> Response:
    text = await run_in_threadpool(metrics.write, View(desk, request))
    return PlainTextResponse(text, headers={"content-type": metrics.MEDIA_TYPE})
