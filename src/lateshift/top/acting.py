"""What `lateshift top` changes: each action is noted in the audit log, and told in a sentence."""

from __future__ import annotations

import getpass
from typing import Final

from lateshift.app import Lateshift
from lateshift.errors import LateshiftError, SpawnError
from lateshift.storage import audit, reads
from lateshift.top.state import Command, State
from lateshift.wording import short_id

WHENCE: Final = "lateshift top"


def act(app: Lateshift, command: Command, state: State) -> None:
    """Do what a key wanted; what is refused is told."""
    doing = {
        "retry": app.retry_job,
        "cancel": app.cancel_job,
        "pause": app.pause_queue,
        "resume": app.resume_queue,
    }
    try:
        doing[command.verb](command.target)
    except SpawnError as error:  # it is done, and nothing runs it
        state.tell(str(error), wrong=True)
    except LateshiftError as error:
        state.tell(str(error), wrong=True)
        return
    else:
        state.tell(_told(app, command))
    audit.append(app.database, app.database.now(), _who(), command.verb, command.target, details=WHENCE)


def _told(app: Lateshift, command: Command) -> str:
    name = short_id(command.target)
    if command.verb == "retry":
        return f"Job {name} runs again, with all its attempts."
    if command.verb == "cancel":
        cancelled = reads.status(app.database, command.target) == "cancelled"
        return f"Job {name} is cancelled." if cancelled else f"Job {name} is asked to stop."
    if command.verb == "pause":
        return f"Queue {command.target} is paused: its jobs wait, running ones finish."
    return f"Queue {command.target} runs again."


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # an id without a name, as in a container
        return "somebody"
