"""The loop of somebody who writes a program: edit, run, edit, run."""

from __future__ import annotations

import sys
import time

from project import finished, until

from lateshift import Job
from lateshift.runtime.new_code import REST


def test_who_edits_and_runs_again_gets_the_new_code(project):
    """The runner of a moment ago had imported the old one. What runs in it meanwhile goes on to its end."""
    app, edited = project.app(spawn="auto", idle_exit=1.0), project.folder / "app/edited.py"

    def run(code: str, name: str) -> Job:
        edited.write_text(code)
        sys.modules.pop("app.edited", None)
        return finished(app, app.run_background_job(f"app.edited.{name}", max_retries=0))

    assert run("def tell(): return 1\n", "tell").result == 1
    time.sleep(REST)
    assert run("def tell(): return 1 + 1\n", "tell").result == 2
    long = app.run_background_job("app.jobs.wait_for_file", parameters={"name": "go"})
    until(project.journal, what="the long job to begin")
    job = run("def tell(): return 1\ndef more(): return 3\n", "more")
    assert (job.result, job.attempts, app.get_job(long).status) == (3, 1, "running")
    (project.folder / "go").touch()
    assert finished(app, long).attempts == 1
