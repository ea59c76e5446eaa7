"""A frozen program runs its jobs itself. Stands in for one: a file that can be run, and is on no module path."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest
from project import until

from lateshift import freeze_support
from lateshift.host import spawn

if sys.platform == "win32":
    pytest.skip("there a file with a #! is no program", allow_module_level=True)

PROGRAM = """
import os, signal, sys
from pathlib import Path

sys.frozen, sys.executable = True, os.path.abspath(__file__)
del os.__file__  # as in a program of cx_Freeze

import lateshift


def resize(width: int) -> int:
    return width * 2


async def fetch(path: Path) -> str:
    return path.name


class Convert:
    isolation = "process"

    def handle(self, mark: Path) -> list[str]:
        return crash(mark) + sys.argv[1:]


def crash(mark: Path) -> list[str]:
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return ["came back"]


if __name__ == "__main__":
    FIRST
    here = Path.cwd()
    lateshift.configure(allowed=["editor"], idle_exit=1)
    marks = {Convert: {"mark": here / "converted"}, crash: {"mark": here / "crashed"}}
    jobs = {resize: {"width": 3}, fetch: {"path": here}, **marks}
    for job_id in [lateshift.run_background_job(job, parameters=given) for job, given in jobs.items()]:
        done = lateshift.wait_for_job(job_id, 60)
        print(done.name, done.status, done.result)
"""


def started(folder, first):
    program = folder / "bin" / "editor"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable} -P{PROGRAM.replace('FIRST', first)}")
    program.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LATESHIFT_")}
    return subprocess.run([program], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def processes_of(folder):
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has just ended
            found += [process] if str(folder / "bin" / "editor") in process.cmdline() else []
    return found


def test_it_runs_its_jobs_itself(tmp_path):
    """In threads, on the loop and in a process of their own, also after a crash; and nothing of it stays."""
    ran = started(tmp_path, "lateshift.freeze_support()")
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "editor.resize completed 6",
        f"editor.fetch completed {tmp_path.name}",
        "editor.Convert.handle completed ['came back', 'child']",
        "editor.crash completed ['came back']",
    ]
    until(lambda: not processes_of(tmp_path))
    assert (tmp_path / "storage/logs/runner.log").read_text().count("\n") == 1  # of the worker that crashed


TOO_EARLY = "lateshift.configure(allowed=['editor']).run_background_job(resize, parameters={'width': 1})"


@pytest.mark.parametrize("first", ["pass", f"{TOO_EARLY}; lateshift.freeze_support()"])
def test_one_that_was_not_made_for_it_says_what_to_write(tmp_path, first):
    """Its job is stored, and nothing is started: that would be the program, which would start the next."""
    ran = started(tmp_path, first)
    assert ran.returncode == 1
    assert "The job is stored. No runner could be started" in ran.stderr
    assert "does not call `lateshift.freeze_support()`" in ran.stderr
    assert processes_of(tmp_path) == []


def test_a_program_of_nuitka_is_started_by_its_own_name(monkeypatch):
    """It does not set sys.frozen, and its sys.executable is an interpreter that it has not brought along."""
    monkeypatch.setattr(sys.modules["__main__"], "__compiled__", object(), raising=False)
    monkeypatch.setattr(sys, "argv", ["bin/editor", "a file"])
    monkeypatch.setattr(spawn, "_program", [])
    freeze_support()
    assert spawn.command_of("worker") == [os.path.abspath("bin/editor"), spawn.ROLE_OPTION, "worker"]


def test_elsewhere_it_does_nothing(monkeypatch):
    """Not even where a program of ours has an option of that name."""
    monkeypatch.setattr(sys, "argv", ["program", spawn.ROLE_OPTION, "runner"])
    freeze_support()
    assert sys.argv[1:] == [spawn.ROLE_OPTION, "runner"]
