"""Logging in and out, where users or a token are set."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import RedirectResponse, Response

from lateshift.dashboard.sessions import LIFETIME, TooManyAttempts
from lateshift.dashboard.view import View


def show(view: View) -> Response:
    """The form."""
    if not view.desk.access.by_login:
        return RedirectResponse(view.url("/"), 303)
    return _form(view)


def log_in(view: View) -> Response:
    """Check what was entered; slowly, and for each address only a few times."""
    access = view.desk.access
    try:
        user = access.log_in(view.request, view.form.get("name", "").strip(), view.form.get("password", ""))
    except TooManyAttempts as held:
        return _form(view, str(held), 429, held.headers)
    if user is None:
        return _form(view, "That is not right. Check what you entered and try again.", 401)
    response = RedirectResponse(_next(view), 303)
    response.set_cookie(
        access.cookie,
        access.session(user),
        max_age=LIFETIME,
        path=view.root or "/",
        secure=access.is_secure(view.request),
        httponly=True,
        samesite="lax",
    )
    return response


def log_out(view: View) -> Response:
    """Forget the session."""
    response = RedirectResponse(view.url("/login"), 303)
    response.delete_cookie(view.desk.access.cookie, path=view.root or "/")
    return response


def _next(view: View) -> str:
    wanted = view.form.get("next", "")
    return wanted if view.is_ours(wanted) else view.url("/")


def _form(view: View, words: str = "", status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return view.bare(
        "login.html",
        status,
        headers,
        title="Log in",
        words=words,
        by_name=view.desk.access.by_name,
        by_token=view.desk.settings.dashboard_token is not None,
        next=view.form.get("next") or view.query.get("next", ""),
        name=view.form.get("name", ""),
    )
