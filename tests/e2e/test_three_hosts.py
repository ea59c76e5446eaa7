"""Several machines for real: three hosts, one cable that is pulled and mended, thousands of jobs, and none lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from project import until
from servers_plugin import had
from three_hosts import Forbidden, Hosts, three_hosts

JOBS = """
import socket, time
from lateshift.context import current

def told(seconds: float) -> str:
    time.sleep(seconds)
    return f"{socket.gethostname()} lease {current.get().job.lease}"
"""

RESCUED_WITHIN = 20.0
"""Seconds, as docs/production.md promises: three heartbeats and a look."""


@pytest.fixture
def hosts():
    """The three hosts."""
    with ExitStack() as stack:
        try:
            hosts = had(lambda: stack.enter_context(three_hosts()))
        except Forbidden as reason:
            pytest.skip(str(reason))
        yield hosts


class Director:
    """The process on the database's host, and the workers on the others."""

    def __init__(self, hosts: Hosts, folder: Path) -> None:
        self.hosts, self.folder = hosts, folder
        here = Path(__file__).with_name("director.py")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        command = [sys.executable, str(here), str(folder), hosts.address("database")]
        self.process = hosts.run("database", command, **pipes)
        self.url = json.loads(self.process.stdout.readline())["url"]

    def say(self, line: str) -> dict:
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start_worker(self, name: str) -> None:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("LATESHIFT_")},
            "LATESHIFT_DATABASE_URL": self.url,
            "LATESHIFT_STORAGE_DIR": str(self.folder / name),
            "LATESHIFT_ALLOWED": "app",
            "PYTHONPATH": str(self.folder),
        }
        command = [sys.executable, "-m", "lateshift", "work", "--processes", "1"]
        self.hosts.run(name, command, env=environment, stdout=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_cut_cable_loses_nothing(hosts, tmp_path):
    """What the host that is cut off held runs elsewhere in time; back again, it throws its own away and goes on."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/jobs.py").write_text(JOBS)
    director = Director(hosts, tmp_path)
    for name in ("worker-1", "worker-2"):
        director.start_worker(name)
    until(lambda: len(director.say("look")["workers"]) == 2, what="both workers")

    director.say("enqueue 12 30")
    until(lambda: director.say("look")["owners"].get("worker-1"), what="worker-1 to be at work")
    director.say("enqueue 3000 0.005")
    lost = director.say("look")["owners"]["worker-1"]
    hosts.cut("worker-1")
    cut_at = time.monotonic()
    assert lost
    until(lambda: "worker-1" not in director.say("look")["owners"], RESCUED_WITHIN + 5, "the rescue")
    assert time.monotonic() - cut_at < RESCUED_WITHIN

    hosts.mend("worker-1")
    until(lambda: "worker-1" in director.say("look")["workers"].values(), 30, "worker-1 to come back")
    director.say("enqueue 1000 0.005")
    until(lambda: set(director.say("look")["states"]) == {"completed"}, 90, "the end of all jobs")
    seen = director.say("verdict")
    assert (seen["jobs"], seen["foreign"]) == (4012, []), "none is lost, and none was settled by an older lease"
    assert seen["hosts"].keys() == {"worker-1", "worker-2"}
    assert seen["crashes"] >= 1
