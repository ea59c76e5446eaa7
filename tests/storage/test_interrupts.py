"""Ctrl-C while the database is used."""

from __future__ import annotations

import contextlib
import random
import signal
import sys
import time

import pytest

from lateshift.settings import load_settings
from lateshift.storage import open_database


@pytest.mark.skipif(sys.platform == "win32", reason="a timer that interrupts")
def test_an_interrupt_at_any_moment_leaves_no_transaction_open(tmp_path):
    """Ctrl-C during a write, and what the program does then, as to cancel jobs, is done."""

    def interrupt(*_):
        raise KeyboardInterrupt

    def write_on():
        until = time.monotonic() + 1  # Hypothesis has a callback in garbage collection, and one within that is lost
        while time.monotonic() < until:
            with database.transaction():
                pass

    database = open_database(load_settings(database_url=f"sqlite:///{tmp_path}/lateshift.db"))
    database.query("select 1")
    before, rng = signal.signal(signal.SIGALRM, interrupt), random.Random(7)
    try:
        for _ in range(1500):
            with contextlib.suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 5e-4))
                write_on()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    database.close()
