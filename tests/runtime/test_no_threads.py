"""Where no thread is to be had, as in a container at its limit of processes, nobody dies of it and nothing is lost."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from children import children
from worker_here import store, worker_in

from lateshift.runtime.supervisor import Supervisor
from lateshift.storage import reads

FENCED = """
import faulthandler, time
from lateshift.runtime.fence import Fence
real, calls = faulthandler.dump_traceback_later, []
def watch(*args, **more):
    faulthandler.cancel_dump_traceback_later()
    calls.append(args)
    if 1 < len(calls) <= 1 + {refused}:
        raise RuntimeError("unable to start watchdog thread")
    real(*args, **more)
faulthandler.dump_traceback_later = watch
fence = Fence(2.5)
fence.renew()
print(renewed := fence.renew(), flush=True)
while not renewed:
    fence.keep()
"""


def thread_job() -> None:
    pass


async def loop_job() -> None:
    pass


@pytest.fixture
def refused(monkeypatch):
    """How many times a thread of Lateshift is still refused; of others none is."""
    left, real = [0], threading.Thread.start

    def start(thread):
        if left[0] and thread.name.startswith("lateshift-"):
            left[0] -= 1
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    return left


@pytest.mark.parametrize(("times", "said", "code"), [(3, "True\n", 0), (1_000_000, "False\n", 1)])
def test_a_worker_without_a_watchdog_ends_before_its_lease(times, said, code):
    """The old one is gone when the new one is refused: the process went on, unfenced, while its jobs ran elsewhere."""
    began = time.monotonic()
    command = [sys.executable, "-c", FENCED.format(refused=times)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.stdout, done.returncode) == (said, code)
    assert (time.monotonic() - began > 1.4) == bool(code)


@pytest.mark.parametrize(("executor", "status"), [("thread", "completed"), ("loop", "pending_retry")])
def test_a_job_for_which_there_is_no_thread_waits(tmp_path, refused, executor, status):
    """It is begun when there is one, or goes back for a moment; the worker died of it, with all its jobs."""
    with worker_in(tmp_path, allowed=[__name__], burst=True) as worker:
        job_id = store(worker, f"{__name__}.{executor}_job", executor=executor)
        refused[0] = 1
        assert worker.run() == "done"
        assert (refused[0], reads.status(worker._db, job_id)) == (0, status)


def test_a_supervisor_without_a_thread_to_wait_for_a_worker_starts_another(refused):
    """It ended itself, and all that it supervises with it."""
    refused[0] = 1
    told = []
    names = iter(range(9))
    command = [sys.executable, "-S", "-c", "pass"]
    supervisor = Supervisor(
        1, lambda: {"worker": f"w{next(names)}"}, lambda *_: None, on_trouble=told.append, command=command
    )
    assert (supervisor.run(), children()) == (0, [])
    assert len(told) == 1
    assert "can't start new thread" in told[0]
