"""Transactional jobs of the tests' project, whose process is killed or stopped at a step of the first attempt.

The file `fault` in the project says at which step by which signal: `commit 9`. It is gone when that has happened.
"""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from lateshift import background, current_job
from lateshift.storage import effects

effects.LAST_SILENCE = 1.0  # in place of 3 seconds, for the process that is stopped before its commit
commit = effects._Driver.commit


def wait_for_the_lock() -> None:
    """On SQLite: until nobody writes. A process that stops in the middle of its heartbeat locks everybody out."""
    if Path("storage/lateshift.db").exists():
        with closing(sqlite3.connect("storage/lateshift.db", isolation_level=None)) as other:
            other.execute("begin immediate")
            other.execute("rollback")


def step(name: str) -> None:
    """What happens at this step of this process."""
    with suppress(FileNotFoundError):
        at, number = Path("fault").read_text().split()
        if at == name:
            Path("fault").unlink()
            if name == "before_the_write":
                wait_for_the_lock()
            signal.raise_signal(int(number))  # to this thread: another would let this one go on for a moment


def commit_in_steps(way: effects._Driver) -> None:
    step("before_the_commit")
    commit(way)
    step("after_the_commit")
    if Path("slow").exists():
        while True:  # until the timeout comes
            time.sleep(0.01)


effects._Driver.commit = commit_in_steps  # type: ignore[method-assign]


def pay(number: int) -> str:
    connection = current_job().connection
    step("before_the_write")
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"insert into effects values ({number})")
    step("after_the_write")
    return f"paid {number}"


Pay = background(transactional=True)(pay)


@background(transactional=True, isolation="process")
def pay_isolated(number: int) -> str:
    return pay(number)


@background(transactional=True, timeout=0.5, max_retries=1, retry=0)
def pay_in_time(number: int) -> None:
    pay(number)
    while current_job().attempt == 1 and not Path("slow").exists():
        time.sleep(0.01)


@background(transactional=True, max_retries=0)
def read_and_pay(number: int) -> None:
    connection = current_job().connection
    with closing(connection.cursor()) as cursor:
        cursor.execute("select count(*) from effects")
        cursor.fetchall()
        Path("has_read").touch()
        while not Path("go").exists():
            time.sleep(0.01)
        cursor.execute(f"insert into effects values ({number})")


@background(transactional=True)
def hold_the_lock(seconds: float) -> None:
    pay(1)
    Path("held").touch()
    time.sleep(seconds)
