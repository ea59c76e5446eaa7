"""Waits end where a test has stopped `time.monotonic`, as freezegun does; `time.sleep` waits as ever there."""

from __future__ import annotations

import sqlite3
import sys
import time

import pytest

from lateshift.errors import StorageUnavailable, WaitTimeout
from lateshift.testing import isolated

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no other clock, as the documentation says")


@pytest.fixture(autouse=True)
def stopped(monkeypatch):
    """The clock stands still, for all who ask by this name."""
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)


def test_waiting_for_a_job_times_out():
    """Nobody runs it."""
    with isolated(allowed=["asyncio"]) as app:
        job_id = app.run_background_job("asyncio.sleep", parameters={"delay": 0})
        with pytest.raises(WaitTimeout):
            app.wait_for_job(job_id, timeout=0.05)


def test_a_locked_file_is_given_up():
    """Somebody holds a transaction open."""
    with isolated(busy_timeout=0.05) as app:
        app.list_jobs()
        lock = sqlite3.connect(app.database.file, isolation_level=None)
        lock.execute("begin immediate")
        with pytest.raises(StorageUnavailable, match="locked"):
            app.pause_queue("mail")
        lock.close()


@pytest.mark.parametrize("scheme", ["postgresql", "mariadb"])
def test_a_server_that_is_not_there_is_given_up(scheme):
    """Nothing listens at that port."""
    with pytest.raises(StorageUnavailable), isolated(database_url=f"{scheme}://u@127.0.0.1:1/db", database_timeout=0.1):
        pass
