"""A new job: which callable, then a form made from its signature. It is imported, if the allow-list permits."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from lateshift.allowlist import AllowList
from lateshift.dashboard import deeds
from lateshift.dashboard.actions import stored
from lateshift.dashboard.pages.callables import known
from lateshift.dashboard.sheet import Sheet
from lateshift.dashboard.view import View
from lateshift.errors import InvalidJob, InvalidParameters
from lateshift.target import resolve
from lateshift.wording import last_part


def show(view: View) -> Response:
    """The page: a choice of callables, or the form for the one that the address names."""
    if view.desk.read_only:
        return view.read_only()
    name = view.query.get("callable", "").strip()
    if not name:
        return _choose(view)
    try:
        return _fill(view, name, _sheet(view, name), {}, {})
    except InvalidJob as error:
        return _choose(view, name, str(error))


def enqueue(view: View) -> Response:
    """Enqueue what was typed, or give it back with what is wrong with it."""
    name = view.form.get("callable", "").strip()
    try:
        sheet = _sheet(view, name)
    except InvalidJob as error:
        return _choose(view, name, str(error))
    filled = sheet.read(view.form)
    if filled.problems:
        return _fill(view, name, sheet, view.form, filled.problems)
    path = sheet.target.path
    try:
        new = deeds.enqueue(view, path, filled.parameters, **filled.options)
    except InvalidParameters as error:
        return _fill(view, name, sheet, view.form, {sheet.key_of(error.parameter): str(error)})
    except InvalidJob as error:
        return _fill(view, name, sheet, view.form, {"": str(error)})
    return stored(view, new, f"A new job of {last_part(path)} was enqueued: this one.")


def _sheet(view: View, name: str) -> Sheet:
    """The form of a callable, which is imported if the allow-list permits. Raises InvalidJob."""
    settings = view.desk.settings
    return Sheet(resolve(name, AllowList(settings.allowed)), settings)


def _choose(view: View, name: str = "", problem: str = "") -> Response:
    settings = view.desk.settings
    allow = AllowList(settings.allowed)
    return view.page(
        "new_job.html",
        section="callables",
        title="New job",
        code=422 if problem else 200,
        sheet=None,
        name=name,
        problem=problem,
        names=sorted(filter(allow.permits, known(view))),
        entries=allow.entries,
    )


def _fill(view: View, name: str, sheet: Sheet, typed: Mapping[str, str], problems: Mapping[str, str]) -> Response:
    return view.page(
        "new_job.html",
        section="callables",
        title=f"New job of {last_part(sheet.target.path)}",
        code=422 if problems else 200,
        address=view.url("/callables/new", callable=name),
        sheet=sheet,
        name=name,
        typed=typed,
        problems=problems,
    )
