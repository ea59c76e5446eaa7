"""How pages speak of bulk actions, and who may do them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from lateshift.accounts import Role


class Words(NamedTuple):
    """An action as a button and as a command, while it goes on, and when it is done, with `{}` for the jobs.

    `applies` says which jobs it is for, `effect` what it does to them.
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
        verb="Retry",
        command="Retry {}",
        doing="Retrying {}",
        done="Retried {}",
        icon="retry",
        applies="failed, cancelled and retrying jobs",
        effect="They wait to run again, with all their attempts.",
    ),
    "run_now": Words(
        verb="Run now",
        command="Run {} now",
        doing="Making {} due",
        done="Made {} due",
        icon="play",
        applies="waiting jobs",
        effect="Those that are delayed or wait for a retry become due at once.",
    ),
    "priority": Words(
        verb="Change priority",
        command="Change the priority of {}",
        doing="Changing the priority of {}",
        done="Changed the priority of {}",
        icon="priority",
        applies="waiting jobs",
        effect="Of what is due, jobs with a higher priority run first.",
    ),
    "cancel": Words(
        verb="Cancel",
        command="Cancel {}",
        doing="Cancelling {}",
        done="Cancelled {}",
        icon="slash",
        applies="waiting and running jobs",
        effect="Waiting ones will not run; running ones are asked to stop.",
    ),
    "delete": Words(
        verb="Delete",
        command="Delete {}",
        doing="Deleting {}",
        done="Deleted {}",
        icon="trash",
        applies="finished jobs",
        effect="They go with their attempts and logs. For ten minutes this can be undone.",
        role="admin",
    ),
    "purge": Words(
        verb="Delete",
        command="Delete {}",
        doing="Deleting {}",
        done="Deleted {}",
        icon="trash",
        applies="waiting jobs",
        effect="They will not run. For ten minutes this can be undone.",
        role="admin",
    ),
}

UNDO: Final = Words(
    verb="Undo",
    command="Bring back {}",
    doing="Bringing back {}",
    done="Brought back {}",
    icon="retry",
    applies="deleted jobs",
    effect="",
    role="admin",
)

OFFERED: Final = ("retry", "run_now", "priority", "cancel", "delete")
"""The actions that the jobs page has buttons for, in order."""


def words(action: str) -> Words:
    """The words of an action, or of the undoing of one."""
    return ACTIONS.get(action, UNDO)
