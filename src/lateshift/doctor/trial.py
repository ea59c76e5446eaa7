"""A process of its own that tries the allow-list for a `lateshift work`, which has told where modules are.

It prints, as a JSON array, what is wrong and what to do. In a process of its own, as modules may print, hang or end it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
from contextlib import suppress
from typing import Final

from lateshift import django
from lateshift.doctor.project import try_entries
from lateshift.host.spawn import PROCESS_VARIABLE, take_path
from lateshift.settings import explain_settings, load_settings

LONGEST: Final = 60.0
"""Seconds after which it ends, whatever a module does, and whether or not anybody is left to end it."""


def main() -> None:
    """Do so."""
    faulthandler.dump_traceback_later(LONGEST, exit=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor, which ends this process
    answer = os.dup(1)
    os.dup2(2, 1)  # what modules print, or have printed by processes of theirs, is no part of it
    take_path(json.loads(os.environ.pop(PROCESS_VARIABLE)))
    django.process_is_ours()
    settings, explained = load_settings(), explain_settings()
    with suppress(OSError):
        os.chdir(settings.root)  # where workers are
    checks = [check for check in try_entries(settings.allowed, explained) if check.level != "ok"]
    os.write(answer, json.dumps([f"{check.message} {check.remedy}" for check in checks]).encode())
    os._exit(0)  # whatever threads the modules have started
