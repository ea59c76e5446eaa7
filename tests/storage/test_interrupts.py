"""Ctrl-C while the database is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

INTERRUPTED = """
import random, signal, sys, time
from lateshift.settings import load_settings
from lateshift.storage import open_database

def interrupt(*_):
    raise KeyboardInterrupt

def write_on():
    until = time.monotonic() + 1  # Python drops what is raised within a callback of garbage collection
    while time.monotonic() < until:
        with database.transaction():
            pass

database = open_database(load_settings(database_url=sys.argv[1]))
database.query("select 1")
signal.signal(signal.SIGALRM, interrupt)
rng, interrupts = random.Random(7), 0
for _ in range(1500):
    try:
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 5e-4))
        write_on()
    except KeyboardInterrupt:
        interrupts += 1
database.close()
print(interrupts > 1000)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a timer that interrupts")
def test_an_interrupt_at_any_moment_leaves_no_transaction_open(tmp_path):
    """Ctrl-C during a write, and what the program does then, as to cancel jobs, is done.

    In a process of its own: pytest takes an interrupt that Python had to drop for a failure.
    """
    script = [sys.executable, "-c", INTERRUPTED, f"sqlite:///{tmp_path}/lateshift.db"]
    told = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (told.stdout, told.returncode) == ("True\n", 0), told.stderr
