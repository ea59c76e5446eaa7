"""What stands before every page: who is asking, whether another site made them ask, and what browsers may load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lateshift.dashboard.access import SAFE, is_forged
from lateshift.dashboard.sessions import TooManyAttempts
from lateshift.texts import is_id, storable

if TYPE_CHECKING:
    from lateshift.dashboard.desk import Desk

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS: Final = {
    "content-security-policy": POLICY,
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

PREFIX: Final = "/api"
"""Where the API is, for programs: they are told what is wrong as `problems` have it."""

UNQUOTED: Final = "/!$&'()*+,:=@~"
"""What browsers leave as it is in a path, but for the semicolon, at which the path of a cookie would end."""

IDS: Final = ("id", "fingerprint", "request")
"""Parts of a path that hold what was made here; `name` and `worker` are called as people like."""

PUBLIC: Final = ("/static/", "/healthz", "/readyz", "/login")
"""Paths that need no user."""


class Guard:
    """Middleware around all routes; puts the user into the scope as "lateshift_user"."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app, self._desk = app, desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        refusal = await self._refusal(request)
        await (refusal or self._app)(scope, receive, _with_headers(send))

    async def _refusal(self, request: Request) -> Response | None:
        desk, path = self._desk, below_root(request)
        if is_forged(request):
            return desk.refuse(request, 403, *_why_forged(request))
        if path.startswith(PUBLIC):
            return None
        try:
            user = await desk.access.identify(request)
        except TooManyAttempts as held:
            return desk.refuse(request, 429, "Not now", str(held), held.headers)
        request.scope["lateshift_user"] = user
        if user is not None:
            return None
        if desk.access.by_login:
            return self._to_login(request, path)
        return desk.refuse(request, 403, "Not open to you", _why_closed(desk))

    def _to_login(self, request: Request, path: str) -> Response:
        desk = self._desk
        login = f"{desk_root(request)}/login"
        if is_program(request):
            words = (
                "Send `Authorization: Bearer TOKEN` with LATESHIFT_DASHBOARD_TOKEN, a user's name and password by "
                "HTTP Basic, or log in with a browser."
            )
            return desk.refuse(request, 401, "Not logged in", words, {"www-authenticate": "Bearer"})
        if request.headers.get("hx-request") or path.startswith("/events"):
            back = urlencode({"next": _open_page(request)})
            return Response(status_code=401, headers={"hx-redirect": f"{login}?{back}"})
        if "text/html" not in request.headers.get("accept", "text/html"):
            return Response("Log in, or send `Authorization: Bearer TOKEN`.\n", 401, {"www-authenticate": "Bearer"})
        query = request.scope["query_string"].decode("latin-1")  # `request.url` ends the path at its first ?
        asked = f"{desk_root(request)}{quote(path)}" + (f"?{query}" if query else "")
        wanted = asked if request.method in SAFE else _open_page(request)  # a form that was sent cannot be asked for
        return RedirectResponse(f"{login}?{urlencode({'next': wanted})}", 303)


def _open_page(request: Request) -> str:
    """The page from which htmx asks, or a form was sent, without its host."""
    address = request.headers.get("hx-current-url") or request.headers.get("referer", "")
    return "/" + address.partition("://")[2].partition("/")[2]


def desk_root(request: Request) -> str:
    """What stands before every path in links and cookies: where the dashboard is mounted, quoted as browsers do."""
    return quote(_root(request), safe=UNQUOTED)


def below_root(request: Request) -> str:
    """The path below the mount point."""
    path, root = str(request.scope["path"]), _root(request)
    return (path[len(root) :] if root and f"{path}/".startswith(f"{root}/") else path) or "/"


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")


def is_program(request: Request) -> bool:
    """Whether a request is one of the API or for metrics, and not one of a page."""
    return below_root(request).startswith((f"{PREFIX}/", "/metrics"))


def leads_nowhere(request: Request) -> bool:
    """Whether something in the path cannot be the id or the name of anything."""
    parts = {name: str(value) for name, value in request.path_params.items()}
    return any(storable(value) != value or (name in IDS and not is_id(value)) for name, value in parts.items())


def _why_forged(request: Request) -> tuple[str, str]:
    """Title and words. What names no page is a program that might be one."""
    if is_program(request) and not {"origin", "sec-fetch-site"} & set(request.headers.keys()):
        words = (
            "Send a body of JSON, if only {}, with `Content-Type: application/json`, or `Authorization: Bearer TOKEN`: "
            "without either it could be a form of another site's page, so nothing was done."
        )
        return "Neither JSON nor a token", words
    words = "The request was made by a page of another site, so nothing was done. Reload the page and try again."
    return "Not from this page", words


def _why_closed(desk: Desk) -> str:
    if desk.access.by_host:
        return "The application that this dashboard is part of does not let you in. Log in there, with more rights."
    if not desk.access.is_open:
        header = desk.settings.dashboard_proxy_header or "LATESHIFT_DASHBOARD_PROXY_HEADER, which is not set"
        return (
            f"Only reverse proxies may say who somebody is. Come through one of LATESHIFT_DASHBOARD_PROXIES, which "
            f"names the user in {header}; or set LATESHIFT_DASHBOARD_TOKEN, or passwords in LATESHIFT_DASHBOARD_USERS, "
            "to log in here."
        )
    return (
        "Until users or a token are set, the dashboard answers only on the machine that it runs on, at "
        "http://127.0.0.1 or http://localhost, and neither through a proxy nor by a link on another site. "
        "Set LATESHIFT_DASHBOARD_TOKEN or LATESHIFT_DASHBOARD_USERS, or give create_dashboard(authorize=...)."
    )


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return wrapped
