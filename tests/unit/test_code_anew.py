"""Code that is put in the place of other code while a program runs, as notebooks and Streamlit do."""

from __future__ import annotations

import gc
import importlib
import sys
import weakref
from types import ModuleType

import pytest

from lateshift import get_job, run_background_job
from lateshift.testing import isolated

PROGRAM = """
from lateshift import background, run_background_job

class Data: pass
data = Data()

@background
def send(): pass

class Order:
    def handle(self): pass

send.enqueue()
run_background_job(Order)
run_background_job("board.send")
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The file of a module that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path / "edited.py"
    sys.modules.pop("edited", None)


def test_a_module_that_is_reloaded_has_its_new_jobs(module):
    """A name went by the signature and options of when it was first used, and a new parameter was refused."""
    with isolated(allowed=["edited"]):
        for queue, signature, parameters in (("old", "a", {"a": 1}), ("new", "a, b", {"a": 1, "b": 2})):
            module.write_text(f"class Order:\n    queue = '{queue}'\n    def handle(self, {signature}): pass\n")
            importlib.invalidate_caches()
            importlib.reload(importlib.import_module("edited"))
            job = get_job(run_background_job("edited.Order", parameters=parameters))
            assert (job.queue, job.parameters) == (queue, parameters)


def test_a_program_that_runs_anew_in_the_same_process_leaves_nothing_of_the_last_time(tmp_path, monkeypatch):
    """With each click in a program of Streamlit all that it had read before stayed in memory."""
    alive = []
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # to be put back
    with isolated(allowed=["board"]):
        for _ in range(4):
            program = sys.modules["__main__"] = ModuleType("__main__")
            vars(program)["__file__"] = str(tmp_path / "board.py")
            exec(compile(PROGRAM, str(tmp_path / "board.py"), "exec"), vars(program))
            alive.append(weakref.ref(program.data))
            del program
            gc.collect()
    assert [each() is not None for each in alive] == [False, False, False, True]
