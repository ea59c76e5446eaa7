"""The programs in examples/ run as they are, also one after another in one folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

WEB = """\
import web
from lateshift import run_background_job, wait_for_job

job_id = run_background_job(web.count_words, parameters={"text": "one two three"})
print(wait_for_job(job_id, 20, check=True).result)
"""


@pytest.fixture
def python(project):
    """Runs Python in a folder with the examples; their runner stays until the end."""
    for file in EXAMPLES.glob("*.py"):
        shutil.copy(file, project.folder)
    environment = project.environment(LATESHIFT_IDLE_EXIT="60")
    del environment["LATESHIFT_ALLOWED"]

    def run(*arguments: str) -> list[str]:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    yield run
    run("-m", "lateshift", "workers", "stop", "--here")


def test_they_run_one_after_the_other(project, python):
    """The runner that the first one has started lives on, and runs the jobs of the others: their list is the same."""
    assert python("orders.py")[-1] == "order 123 processed"
    assert python("retries.py")[-1] == "fetched at attempt 3"
    assert python("-c", WEB) == ["3"]
    assert project.logs().count("worker started") == 1
