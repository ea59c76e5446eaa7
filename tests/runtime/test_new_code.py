"""Code that was written after a worker had imported its modules: the job is tried again by a process that sees it."""

from __future__ import annotations

import sys

import pytest
from worker_here import store, worker_in

from lateshift.runtime.execution import YOUNG
from lateshift.storage import reads


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The file of a module that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "written_later.py"
    sys.modules.pop("written_later", None)


@pytest.fixture
def worker(tmp_path, module):
    """A worker that began a while ago, and knows the module as it was then."""
    module.write_text("def old(): ...\n")
    with worker_in(tmp_path, allowed=["written_later", "written_later_too"]) as worker:
        worker._execution.began -= 2 * YOUNG
        run(worker, "written_later.old")
        yield worker


def run(worker, name: str, **other) -> str:
    job_id = store(worker, name, **other)
    worker.look_again()
    while reads.status(worker._db, job_id) not in ("completed", "failed"):
        worker.turn()
        worker._wait()
    worker.turn()
    return job_id


def test_a_job_written_later_has_the_worker_replaced_when_it_has_nothing_to_do(worker, module):
    """All attempts of a new job were made by the worker that could not know it."""
    assert worker._reason() is None
    module.write_text("def old(): ...\ndef new(): ...\n")
    run(worker, "written_later.new")
    assert worker._reason() == "outdated"


def test_a_signature_changed_later_does_so_too(worker, module):
    """The stored parameters fit the code of today, and not what the worker knows of it."""
    module.write_text("def old(number: int): ...\n")
    run(worker, "written_later.old", parameters='{"number": 1}')
    assert worker._reason() == "outdated"


def test_a_job_that_waited_when_the_worker_began_does_not(worker):
    """A new process would know no more of it."""
    run(worker, "written_later.new", run_at=worker._execution.began)
    assert worker._reason() is None


def test_what_a_jobs_own_code_asks_for_in_vain_does_not(worker, module):
    """Only what keeps its code from being entered tells of an old process."""
    module.with_name("written_later_too.py").write_text(
        "from lateshift.errors import CallableNotFound\ndef asks():\n    raise CallableNotFound('x')\n"
    )
    run(worker, "written_later_too.asks")
    assert worker._reason() is None
