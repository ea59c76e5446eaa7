"""What a page is given: who asks for what, the way to the data, and the way to an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from urllib.parse import quote, unquote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from lateshift.accounts import Role, User
from lateshift.app import Lateshift
from lateshift.dashboard.desk import Desk, theme
from lateshift.dashboard.guard import below_root, desk_root
from lateshift.dashboard.sections import SECTIONS
from lateshift.errors import JobNotFound
from lateshift.job import Job, moment
from lateshift.redaction import for_viewers
from lateshift.storage import reads
from lateshift.storage.database import Database

T = TypeVar("T")
P = ParamSpec("P")

FLASH: Final = "lateshift_told"

_PATH: Final = re.compile(r"/(?!/)[!-\[\]-~]*")


class View:
    """One request. Pages run in a thread, so everything here may wait for the database."""

    def __init__(self, desk: Desk, request: Request, fields: Sequence[tuple[str, str]] = ()) -> None:
        self.desk, self.request = desk, request
        self._fields = fields
        self.form = dict(fields)
        self.user: User = request.scope.get("lateshift_user") or User("nobody", "viewer")
        self.root = desk_root(request)
        self.query = dict(request.query_params)
        self.path = {name: str(value) for name, value in request.path_params.items()}

    @property
    def app(self) -> Lateshift:
        """The application object, for what changes something."""
        return self.desk.app

    @cached_property
    def now(self) -> int:
        """The moment that this page shows, by the database's clock, in microseconds."""
        return self.desk.once("now", self.desk.database.now)

    @cached_property
    def moment(self) -> datetime:
        """The same as an aware datetime."""
        return moment(self.now)

    def read(self, function: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a storage function answers; the same for all who ask within a second."""
        return self.desk.read(function, *args, **kwargs)

    def job(self) -> Job:
        """The job that the address names, with its history, as it was within the last second. Raises JobNotFound."""
        found = self.read(reads.get, self.path["id"], history=True)
        if found is None:
            raise JobNotFound(self.path["id"])
        return found

    def may(self, role: Role) -> bool:
        """Whether this user may do what that role may, here and now."""
        return self.user.may(role) and not (self.desk.read_only and role != "viewer")

    def shown(self, value: Any) -> Any:
        """Parameters or a result as this user may see them."""
        return value if self.user.may("operator") else for_viewers(value, self.desk.settings.redact)

    def chosen(self, name: str) -> list[str]:
        """Every value that a form or the address has under one name: `form` and `query` hold the last."""
        return [value for field, value in (*self._fields, *self.request.query_params.multi_items()) if field == name]

    def url(self, path: str, /, **query: object) -> str:
        """A link within the dashboard, wherever it is mounted; empty values are left out, lists give several."""
        given = {name: value for name, value in query.items() if value not in (None, "")}
        text = urlencode(given, doseq=True)
        return f"{self.root}{quote(path)}" + (f"?{text}" if text else "")

    def same(self, **changes: object) -> str:
        """A link to this page with other parameters; None takes one away."""
        path = "/" + below_root(self.request).lstrip("/")
        asked = self.request.query_params
        here = {name: [value for value in asked.getlist(name) if value] for name in asked}
        return self.url(path, **{**here, **changes})

    @property
    def is_fragment(self) -> bool:
        """Whether htmx asks for a part of a page, which is not the live part."""
        headers = self.request.headers
        return headers.get("hx-request") is not None and headers.get("x-live") is None

    def read_only(self) -> Response:
        """Instead of a form that would change something, where nothing may be changed."""
        words = "It changes nothing, so there is nothing to fill in. LATESHIFT_DASHBOARD_READ_ONLY says so."
        return self.desk.refuse(self.request, 403, "This dashboard is read-only", words)

    def page(
        self, template: str, *, section: str, title: str, code: int = 200, address: str = "", **context: Any
    ) -> Response:
        """The page, or only its live part when it is fetched anew: from `address`, or else from where it was asked."""
        live = self.request.headers.get("x-live") is not None
        told = None if live else self._told()
        text = self.desk.templates.get_template(template).render(
            view=self,
            layout="live.html" if live else "layout.html",
            section=section,
            title=title,
            address=address or self.same(),
            told=told,
            sections=SECTIONS,
            theme=theme(self.request),
            polling=bool(self.request.scope.get("lateshift_polling")),
            **context,
        )
        response = HTMLResponse(text, 200 if live else code)  # a part that is there, whatever it says is not
        if told is not None:
            response.delete_cookie(FLASH, path=self.root or "/")
        return response

    def bare(
        self, template: str, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any
    ) -> Response:
        """A page with nothing around it."""
        return self.desk.bare(self.request, template, status, headers, **context)

    def done(self, words: str, path: str, kind: str = "done", undo: str = "") -> Response:
        """After an action: to a page that says in a sentence what was done, and offers to `undo` that deletion."""
        response = RedirectResponse(path, 303)
        value = quote(msgspec.json.encode([kind, words, undo]).decode())
        response.set_cookie(
            FLASH,
            value,
            max_age=20,
            path=self.root or "/",
            secure=self.desk.access.is_secure(self.request),
            httponly=True,
            samesite="lax",
        )
        return response

    def back(self, otherwise: str) -> str:
        """Where a form came from, if it says so and it is a page of ours."""
        wanted = self.form.get("back", "")
        return wanted if self.is_ours(wanted) else self.url(otherwise)

    def is_ours(self, path: str) -> bool:
        """Whether a path is one of the dashboard, and nothing that a browser would take for another host."""
        return path.startswith(f"{self.root}/") and _PATH.fullmatch(path) is not None

    def _told(self) -> tuple[str, str, str] | None:
        try:
            kind, words, undo = msgspec.json.decode(unquote(self.request.cookies.get(FLASH, "")))
            return (str(kind), str(words), str(undo)) if kind in ("done", "refused") else None
        except (ValueError, TypeError, RecursionError):
            return None
