"""Whether the jobs of a `lateshift work` can be imported, told when it begins: else it fails them one after the other.

A short process tries it, beside the workers, as the supervisor imports nothing of what jobs need. It takes no part in
what becomes of the jobs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import Final

from lateshift.host.spawn import PROCESS_VARIABLE, arguments_for, describe_process, is_frozen

PAUSE: Final = 5.0
"""Seconds that the workers get first, with the cores for themselves: a backlog may wait for them. Should its jobs fail
by an import, they tell of that at once."""

UNKNOWN: Final = (
    "The allow-list could not be tried: to import what LATESHIFT_ALLOWED names takes more than a minute, or ends the "
    "process that does it. `lateshift doctor` does the same, where you see how far it comes."
)


@contextmanager
def trial(tell: Callable[[str], None]) -> Iterator[None]:
    """Try the allow-list in the background, and tell what cannot be imported; given up when the block ends."""
    over = threading.Event()
    thread = threading.Thread(target=_try, args=(tell, over), name="lateshift-trial", daemon=True)
    with suppress(RuntimeError):  # no thread is to be had: then it is not tried
        thread.start()
    try:
        yield
    finally:
        over.set()
        if thread.ident is not None:
            thread.join()


def _try(tell: Callable[[str], None], over: threading.Event) -> None:
    if is_frozen() or over.wait(PAUSE):  # a frozen program has its modules in itself
        return
    try:
        told = _answer(over)
    except OSError:  # the workers have their own trouble with that, and tell of it
        return
    for line in [] if over.is_set() else json.loads(told) if told else [UNKNOWN]:
        tell(line)


def _answer(over: threading.Event) -> bytes:
    """What the process prints until it ends, or is ended as all is over."""
    environment = {**os.environ, PROCESS_VARIABLE: json.dumps(describe_process())}
    command = [sys.executable, *arguments_for("lateshift.doctor.trial")]
    nothing = subprocess.DEVNULL
    with TemporaryFile() as answer:  # no pipe: that has no end while a process lives which a module has forked
        process = subprocess.Popen(command, env=environment, stdin=nothing, stdout=answer, stderr=nothing)
        while process.poll() is None and not over.wait(0.1):
            pass
        process.kill()
        process.wait()
        answer.seek(0)
        return answer.read()
