"""What an operator does with an error group: resolve it, open it again. To retry its jobs is a bulk action."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from lateshift.dashboard import deeds
from lateshift.dashboard.pages.errors import no_such_group
from lateshift.dashboard.view import View
from lateshift.storage.failures import ErrorGroup
from lateshift.wording import last_part


def resolve(view: View) -> Response:
    """Put a group away until it is seen again."""
    return _change(view, deeds.resolve, "is resolved. It is open again as soon as it comes back.")


def reopen(view: View) -> Response:
    """Take `resolve` back."""
    return _change(view, deeds.reopen, "is open again.")


def _change(view: View, deed: Callable[[View, str], ErrorGroup | None], words: str) -> Response:
    key = view.path["fingerprint"]
    group = deed(view, key)
    if group is None:
        return no_such_group(view)
    return view.done(f"{last_part(group.type)} {words}", view.back(f"/errors/{key}"))
