"""Jobs that start processes of their own, without fork or signals: for every system that Lateshift runs on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from lateshift import background, run_background_job

SLEEPER = "import time; time.sleep(600)"
PARENT = """
import subprocess, sys, time
_, sleeper, apart = sys.argv
print(subprocess.Popen([sys.executable, "-c", sleeper], start_new_session=bool(apart)).pid, flush=True)
time.sleep(600)
"""


def tell(*words: object) -> None:
    """One line to the journal."""
    with Path("journal").open("a", encoding="utf-8") as journal:
        journal.write(" ".join(map(str, words)) + "\n")


def wait_for_program() -> None:
    """Run a program that does not end, and tell of it."""
    child = subprocess.Popen([sys.executable, "-c", SLEEPER])
    tell(child.pid)
    child.wait()


def have_family(name: str, *, apart: bool = False) -> None:
    """Start a process that starts another, tell of all three, and wait for a file.

    `apart`: each in a session of its own, where the system has such.
    """
    command = [sys.executable, "-c", PARENT, SLEEPER, "apart" if apart else ""]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=apart)
    assert child.stdout is not None
    tell(os.getpid(), child.pid, int(child.stdout.readline()))
    while not Path(name).exists():
        time.sleep(0.02)


@background(isolation="process")
def have_family_isolated(name: str, *, apart: bool = False) -> None:
    have_family(name, apart=apart)


@background(isolation="process")
def enqueue_another(name: str) -> str:
    """Enqueue a job for which a runner has to start; return its id while this process waits to be killed."""
    job_id = run_background_job("app.family.console")
    tell(job_id)
    while not Path(name).exists():
        time.sleep(0.02)
    return job_id


def console() -> int:
    """The window of the process's console: 0 where there is none."""
    if sys.platform != "win32":
        return 0
    import ctypes

    return int(ctypes.windll.kernel32.GetConsoleWindow())


@background(isolation="process")
def console_isolated() -> int:
    return console()
