"""How pages speak of bulk actions, and who may do them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from lateshift.dashboard.accounts import Role


class Words(NamedTuple):
    """An action as a button and as a command, while it goes on, and when it is done, with `{}` for the jobs.

    Then which jobs it applies to, and what it does to them.
    """

    verb: str
    command: str
    doing: str
    done: str
    icon: str
    applies: str
    effect: str
    role: Role = "operator"


ACTIONS: Final[Mapping[str, Words]] = {
    "retry": Words(
        *("Retry", "Retry {}", "Retrying {}", "Retried {}", "retry", "failed, cancelled and retrying jobs"),
        "They wait to run again, with all their attempts.",
    ),
    "run_now": Words(
        *("Run now", "Run {} now", "Making {} due", "Made {} due", "play", "waiting jobs"),
        "Those that are delayed or wait for a retry become due at once.",
    ),
    "priority": Words(
        *("Change priority", "Change the priority of {}", "Changing the priority of {}", "Changed the priority of {}"),
        *("priority", "waiting jobs"),
        "Of what is due, jobs with a higher priority run first.",
    ),
    "cancel": Words(
        *("Cancel", "Cancel {}", "Cancelling {}", "Cancelled {}", "slash", "waiting and running jobs"),
        "Waiting ones will not run; running ones are asked to stop.",
    ),
    "delete": Words(
        *("Delete", "Delete {}", "Deleting {}", "Deleted {}", "trash", "finished jobs"),
        "They go with their attempts and logs. For ten minutes this can be undone.",
        "admin",
    ),
    "purge": Words(
        *("Delete", "Delete {}", "Deleting {}", "Deleted {}", "trash", "waiting jobs"),
        "They will not run. For ten minutes this can be undone.",
        "admin",
    ),
}

UNDO: Final = Words(
    *("Undo", "Bring back {}", "Bringing back {}", "Brought back {}", "retry", "deleted jobs", ""), role="admin"
)

OFFERED: Final = ("retry", "run_now", "priority", "cancel", "delete")
"""The actions that the jobs page has buttons for, in order."""


def words(action: str) -> Words:
    """The words of an action, or of the undoing of one."""
    return ACTIONS.get(action, UNDO)
