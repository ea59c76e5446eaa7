"""The way back from a deletion as the audit log has it, where any process of the dashboard finds it."""

from __future__ import annotations

import re
from typing import Final

from lateshift.dashboard.view import View
from lateshift.storage import trash
from lateshift.storage.audit import AuditEntry

_NOTE: Final = re.compile(r"\bundo ([0-9a-f]{16})$")


def note(batch: str) -> str:
    """What the details of a deletion end with."""
    return f"undo {batch}"


def way_back(view: View, entry: AuditEntry) -> str | None:
    """What `trash.restore` takes to undo an action; None if it deleted nothing, or that is for good by now."""
    found = _NOTE.search(entry.details) if entry.at >= view.now - trash.KEPT else None
    return found[1] if found and view.read(trash.can_restore, found[1]) else None
