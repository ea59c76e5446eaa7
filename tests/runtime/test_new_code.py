"""Code that was written after a worker had imported its modules: the job is tried again by a process that sees it."""

from __future__ import annotations

import os
import sys
import time
from types import ModuleType

import pytest
from worker_here import store, worker_in

from lateshift.allowlist import AllowList
from lateshift.runtime.execution import YOUNG
from lateshift.runtime.new_code import REST, NewCode
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


@pytest.fixture
def runner(tmp_path, module):
    """A runner that has just begun, and has run a job of the module."""
    module.write_text("def old(): ...\n")
    with worker_in(tmp_path, allowed=["written_later"], kind="runner") as worker:
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


def test_a_runner_takes_no_job_after_a_rest_in_which_its_code_has_changed(runner, module):
    """Whoever edited a program and ran it again got what the code of before the edit returns."""
    module.write_text("def old():\n    return 2\n")
    job_id = store(runner, "written_later.old")
    runner.look_again()
    runner._idle_since -= REST
    assert runner._reason() == "outdated"
    assert reads.status(runner._db, job_id) == "pending"


def test_a_module_that_has_become_a_package_is_new_code(runner, module):
    """Its old file is gone. The runner went on with what it had read from that, for as long as jobs came."""
    code = module.read_text()
    module.unlink()
    module.with_suffix("").mkdir()
    (module.with_suffix("") / "__init__.py").write_text(code)
    store(runner, "written_later.old")
    runner.look_again()
    runner._idle_since -= REST
    assert runner._reason() == "outdated"


@pytest.mark.skipif(sys.platform == "win32", reason="no time of a file tells of it there")
def test_an_older_file_that_takes_the_place_of_a_module_is_new_code(runner, module):
    """A backup that was moved back had been written before the runner began."""
    backup = module.with_suffix(".bak")
    backup.write_text("def old():\n    return 0\n")
    os.utime(backup, (1_764_000_000,) * 2)
    backup.replace(module)
    assert runner._execution.code.look()


def test_a_module_that_was_read_from_no_file_is_as_it_was(runner, module, monkeypatch):
    """Those of a frozen program say where they would be."""
    frozen = ModuleType("written_later.frozen")
    vars(frozen).update(__file__=str(module.with_name("frozen.py")), __spec__=None)
    monkeypatch.setitem(sys.modules, "written_later.frozen", frozen)
    assert not runner._execution.code.look()


def test_it_looks_for_new_code_after_a_rest_only(runner, module):
    """Jobs that come one after the other are not held up by it, and no worker but a runner looks."""
    module.write_text("def old():\n    return 2\n")
    runner.look_again()
    runner._idle_since = time.monotonic()  # however long it took to get here
    assert runner._reason() is None
    runner._idle_since -= REST
    assert runner._reason() == "outdated"


def test_an_attempt_that_the_old_code_fails_is_given_back(runner, module):
    """A job that was written while the runner was young lost an attempt for each look at it, or its only one."""
    module.write_text("def old(): ...\ndef new(): ...\n")
    job_id = store(runner, "written_later.new")
    runner.look_again()
    runner.turn()
    while runner._reason() is None:
        runner._wait()
        runner.turn()
    assert runner._reason() == "outdated"
    job = reads.get(runner._db, job_id, history=True)
    assert (job.status, job.attempts) == ("pending_retry", 0)
    assert "has no 'new'" in job.history[0].error.message


def test_a_worker_that_somebody_started_goes_on_with_its_code(worker, module):
    """Of that, an operator decides when it is replaced: a deployment may have been written in part."""
    module.write_text("def old():\n    return 2\n")
    worker.look_again()
    worker._idle_since -= REST
    assert worker._reason() is None


@pytest.mark.parametrize("ahead", [-10, 3600])
def test_a_file_that_is_not_written_again_replaces_nobody(tmp_path, runner, module, ahead):
    """One from a machine whose clock is ahead had one runner replaced after the other."""
    os.utime(module, (time.time() + ahead,) * 2)
    successor = NewCode(tmp_path, AllowList(["written_later"]))
    successor.watched = True
    assert not successor.look()
    assert not successor.look()
    os.utime(module)
    assert successor.look()
