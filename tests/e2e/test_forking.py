"""A program that forks while another of its threads uses Lateshift for the first time: the child can use it too."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys, threading
import app.plain
from lateshift import Lateshift, run_background_job
from lateshift.errors import SpawnError
from lateshift.host.fleet import host_name
from lateshift.storage import database

database.UNDIVIDED_PATIENCE = 60  # on a machine that has much else to do
sys.executable = "/nowhere/python3"  # all that it takes to start a runner is imported, and no process comes of it


def enqueue():
    run = run_background_job if sys.argv[1] == "default" else Lateshift().run_background_job
    try:
        run(app.plain.job)
    except SpawnError:
        host_name()  # as if there were a worker to ask about


def fork_in_import(name):
    # Fork while a thread that uses Lateshift for the first time begins to import that module; how the child ended.
    reached, forking, caught = threading.Event(), threading.Event(), False

    def watch(event, told):
        nonlocal caught
        if event == "import" and told[0] == name and threading.current_thread() is thread:
            caught = True
            reached.set()
            forking.wait()

    def use():
        enqueue()
        reached.set()

    sys.addaudithook(watch)
    os.register_at_fork(before=forking.set)  # of these the last to come is the first to be called
    thread = threading.Thread(target=use)
    thread.start()
    reached.wait()
    if (child := os.fork()) == 0:
        signal.alarm(20)
        enqueue()
        os._exit(0)
    ended = os.waitpid(child, 0)[1]
    thread.join()
    return {0: "well", signal.SIGALRM: "hung"}.get(ended, ended) if caught else "not imported"


for name in sys.argv[2:]:
    if (program := os.fork()) == 0:
        print(name, fork_in_import(name), flush=True)
        os._exit(0)
    os.waitpid(program, 0)
"""

MODULES = ["lateshift.storage.sqlite", "sqlite3", "json", "subprocess", "select", "socket"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.parametrize("whose", ["default", "own"])
def test_a_fork_during_the_first_use_of_another_thread(project, whose):
    """The child waited for ever, for the end of an import or for a lock of a thread that it does not have."""
    (project.folder / "app/plain.py").write_text("def job() -> None: ...")
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, whose, *MODULES]
    told = subprocess.check_output(command, cwd=project.folder, env=project.environment(), text=True)
    assert told.splitlines() == [f"{name} well" for name in MODULES]
