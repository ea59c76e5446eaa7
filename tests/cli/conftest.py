"""A project in a temporary folder, its command line as real processes, and in this process for what needs none."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from lateshift import Lateshift
from lateshift.cli import cli
from lateshift.default import set_app
from lateshift.host.presence import try_lock
from lateshift.host.spawn import command_of

JOBS = Path(__file__).with_name("jobs_of_the_project.py").read_text(encoding="utf-8")

RUNNER = command_of("runner")[-2:]
"""How a runner's command ends, also where a test has made this process look frozen since."""


class Project:
    """A folder with `app/jobs.py`, and the command line in it. Nothing starts by itself unless `runner` is set."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {
            "LATESHIFT_ALLOWED": "app.jobs",
            "LATESHIFT_IDLE_EXIT": "1",
            "LATESHIFT_RETRY_DELAY": "0.05",
            "LATESHIFT_SPAWN": "never",
        }

    def start(self, *arguments, **options):
        """A command as a process of its own."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LATESHIFT_")}
        command = [sys.executable, *options.pop("python", ()), "-m", "lateshift", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**environment, **self.environment, **options.pop("env", {})},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options},
        )

    def run(self, *arguments, code=0, **options):
        """What a command prints, run as a process of its own to its end; checks the exit code."""
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, (arguments, process.returncode, out, err)
        return out if code == 0 else err

    def json(self, *arguments, **options):
        return json.loads(self.run(*arguments, "--json", **options))

    def invoke(self, *arguments, code=0):
        """What a command prints, run in this process; checks the exit code."""
        result = CliRunner().invoke(cli, arguments, prog_name="lateshift")
        assert result.exit_code == code, (arguments, result.exit_code, result.stdout, result.stderr)
        return result

    def invoke_json(self, *arguments, code=0):
        return json.loads(self.invoke(*arguments, "--json", code=code).stdout)

    def enqueue(self, job, **parameters):
        return self.invoke("enqueue", f"app.jobs.{job}", "--params", json.dumps(parameters)).stdout.strip()

    def done(self, job, **parameters):
        """The id of a job that has been run once."""
        job_id = self.enqueue(job, **parameters)
        CliRunner().invoke(cli, ["run", job_id])
        return job_id

    def app(self):
        return Lateshift()

    def wait_for_runner_to_end(self):
        """Also for one that is about to start: with the turn to do so, and without the lock.

        And for one that has let go of the lock and looks whether anything waits: it begins anew if its database goes.
        """
        folder = self.folder / "storage/run"
        deadline = time.monotonic() + 30
        while folder.is_dir() and not self._no_runner(folder):
            assert time.monotonic() < deadline, "a runner was left"
            time.sleep(0.02)

    def _no_runner(self, folder):
        if any(turn.read_text() for turn in folder.glob("runner-*.turn")):
            return False
        locks = [try_lock(path) for path in folder.glob("runner-*.only")]
        for lock in locks:
            if lock is not None:
                os.close(lock)
        return None not in locks and not any(map(self._is_runner, psutil.process_iter()))

    def _is_runner(self, process):
        with contextlib.suppress(psutil.Error):
            return process.cmdline()[-2:] == RUNNER and Path(process.cwd()) == self.folder
        return False


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A project without files."""
    project = Project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "pydantic_settings", None)  # a peer of the benchmarks needs it, `init` tells of it
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    forget_project()
    yield project
    forget_project()
    set_app(None)
    project.wait_for_runner_to_end()


@pytest.fixture
def project(empty):
    """A project with jobs."""
    (empty.folder / "app").mkdir()
    (empty.folder / "app/__init__.py").touch()
    (empty.folder / "app/jobs.py").write_text(JOBS, encoding="utf-8")
    return empty


def forget_project():
    for name in [name for name in sys.modules if name.split(".")[0] in ("app", "jobs", "orders")]:
        del sys.modules[name]
