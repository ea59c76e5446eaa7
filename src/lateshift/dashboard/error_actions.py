"""What an operator does with an error group: resolve it, open it again. To retry its jobs is a bulk action."""

from __future__ import annotations

from starlette.responses import Response

from lateshift.dashboard.deeds import record
from lateshift.dashboard.pages.errors import find, no_such_group
from lateshift.dashboard.view import View
from lateshift.storage import failures
from lateshift.storage.failures import ErrorGroup
from lateshift.wording import last_part


def resolve(view: View) -> Response:
    """Put a group away until it is seen again."""
    return _change(view, "resolve", "is resolved. It is open again as soon as it comes back.")


def reopen(view: View) -> Response:
    """Take `resolve` back."""
    return _change(view, "reopen", "is open again.")


def _change(view: View, action: str, words: str) -> Response:
    key, database = view.path["fingerprint"], view.desk.database
    group = find(view, key)
    if group is None:
        return no_such_group(view)
    if action == "resolve":
        failures.resolve(database, key, view.user.name, database.now())
    else:
        failures.reopen(database, key)
    record(view, action, f"fingerprint:{key}", details=_told(group))
    return view.done(f"{last_part(group.type)} {words}", view.back(f"/errors/{key}"))


def _told(group: ErrorGroup) -> str:
    return f"{group.type} in {group.place}" if group.place else group.type
