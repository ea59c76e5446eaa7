"""From a job to its callable path, also in the program that was started itself."""

import functools
import importlib
import subprocess
import sys
import types
from importlib.util import find_spec

import pytest
from user_code import ALLOW, imported

from lateshift import run_background_job
from lateshift.background import background
from lateshift.errors import InvalidJob
from lateshift.target import path_of, resolve_job
from lateshift.testing import drain, isolated


class Job:
    def handle(self):
        pass

    @background
    def ship(self):
        pass

    @classmethod
    def build(cls):
        pass

    class Inner:
        def handle(self):
            pass


def job():
    pass


def test_path_of_classes_and_functions():
    """Classes and functions are named by module and qualified name; strings are taken as they are."""
    here = __name__
    assert path_of(Job) == f"{here}.Job.handle"
    assert path_of(Job, "ship") == f"{here}.Job.ship"
    assert path_of(Job.Inner) == f"{here}.Job.Inner.handle"
    assert path_of(Job.handle) == f"{here}.Job.handle"
    assert path_of(Job.build) == f"{here}.Job.build"
    assert path_of(Job.ship) == f"{here}.Job.ship"
    assert path_of(job) == path_of(job, "handle") == f"{here}.job"
    assert path_of("app.jobs.Order") == path_of(" app.jobs.Order ", "handle") == "app.jobs.Order"
    assert path_of("app.jobs.Order", "ship") == "app.jobs.Order.ship"


@pytest.mark.parametrize(
    ("thing", "method", "expected"),
    [
        (lambda: 1, None, "A lambda has no name"),
        (functools.partial(job), None, "an object of type functools.partial"),
        (Job(), None, "pass a class with a `handle` method"),
        (Job().handle, None, "bound to an object"),
        (Job().ship, None, "bound to an object"),
        (print, None, "builtin_function_or_method"),
        (functools.lru_cache(job), None, "functools._lru_cache_wrapper"),
        (3, None, "pass a class"),
        (None, None, "pass a class"),
        (list(range(99)), None, "... cannot be a job"),
        (types, None, "pass a class"),
        (job, "ship", "is no class, so it has no method 'ship'"),
        (Job, {"to": "secret"}, "The method of Job is a dict, and its name is text. Parameters come third"),
        ("app.jobs.Order", 5, "The method of 'app.jobs.Order' is a int"),
        (Job, "", "The method of Job has an empty name: leave it out for 'handle'"),
        ("app.jobs.Order", " ", "The method of 'app.jobs.Order' has an empty name"),
    ],
)
def test_path_of_what_cannot_be_a_job(thing, method, expected):
    """What a background process could not find again is refused with what to do."""
    with pytest.raises(InvalidJob) as caught:
        path_of(thing, method)
    assert expected in str(caught.value)
    assert "secret" not in str(caught.value)


def test_path_of_nested_definitions():
    """What is defined inside a function cannot be found again."""

    def inner():
        pass

    class Inner:
        def handle(self):
            pass

    for thing in (inner, Inner):
        with pytest.raises(InvalidJob, match=r"move it out, or, if that function is a decorator, .* @functools\.wraps"):
            path_of(thing)


DECORATED = """
import functools
from lateshift import background

def locked(function):
    @functools.wraps(function)
    def inner(**given): return "locked", function(**given)
    return inner

def charge(n: int): return n
charge_locked = locked(charge)
charge_often = background(max_retries=9)(charge)
charge_as_it_is = background(charge)

@background(queue="money")
@locked
def refund(n: int): return n
refund_twice = locked(refund)
refund_soon = background(priority=9)(refund.function)

class Shop:
    queue = "shop"

    @background(priority=5)
    def sell(self): pass

    @classmethod
    @background(priority=5)
    @locked
    def buy(cls): pass
"""


@pytest.mark.parametrize("name", ["charge_locked", "charge_often", "refund_twice", "refund_soon"])
def test_what_has_the_name_of_another(project, name):
    """It is refused, as that would run, without the lock or the options; by its own name it is what it is."""
    project.write("app.jobs", DECORATED)
    with pytest.raises(InvalidJob, match=r"would be lost: by its name, app\.jobs\.(charge|refund), a worker finds"):
        resolve_job(getattr(imported("app.jobs"), name), None, ALLOW)
    assert resolve_job(f"app.jobs.{name}", None, ALLOW).path == f"app.jobs.{name}"


@pytest.mark.parametrize("anew", [False, True])
def test_what_is_found_under_its_name(project, anew):
    """Decorators are no harm where they stand above the function, nor is a module that was imported again since."""
    project.write("app.jobs", DECORATED)
    jobs = imported("app.jobs")
    found = [jobs.charge, jobs.charge_as_it_is, jobs.refund, jobs.Shop.sell, jobs.Shop.buy]
    if anew:
        project.write("app.jobs", DECORATED.replace("9", "8").replace("5", "4").replace("money", "gold"))
        importlib.reload(jobs)
    assert [resolve_job(job, None, ALLOW).path.rpartition(".")[2] for job in found] == [
        *("charge", "charge", "refund", "sell", "buy")
    ]


def run(folder, *arguments, stdin=None):
    """What a Python program printed."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, input=stdin).stdout.strip()


SCRIPT = """
print("executed")
from lateshift.allowlist import AllowList
from lateshift.target import path_of, resolve

class Order:
    def handle(self): return "handled"

def send(): return "sent"

if __name__ == "__main__":
    allow = AllowList(("{name}",))
    target = resolve(path_of(Order), allow)
    assert target.owner is Order
    print(target.path, target.bound()(), resolve(path_of(send), allow).function is send)
"""


OWN_CLASS = """
from enum import Enum
from lateshift import BackgroundJob, background
from lateshift.testing import enqueued_jobs, isolated

class Colour(Enum):
    RED = "red"

@background
def paint(colour: Colour): pass

class Paint(BackgroundJob):
    def handle(self, colour: Colour): pass

if __name__ == "__main__":
    with isolated(allowed=["orders"]):
        paint.enqueue(Colour.RED)
        Paint.enqueue(Colour.RED)
        print([job.parameters for job in enqueued_jobs()])
"""
STORED = "[{'colour': 'red'}, {'colour': 'red'}]"


def test_a_script_is_its_own_module(project):
    """In a script that is run directly, its jobs have its importable name, and it is not executed a second time."""
    project.write("orders", SCRIPT.replace("{name}", "orders"))
    assert run(project.folder, "orders.py").splitlines() == ["executed", "orders.Order.handle handled True"]


@pytest.mark.parametrize("program", [["orders.py"], ["-m", "orders"]], ids=" ".join)
def test_a_script_under_a_profiler(project, program):
    """It is not taken for the profiler, which Python has as the program that was started; its own classes fit."""
    project.write("orders", OWN_CLASS)
    assert STORED in run(project.folder, "-m", "cProfile", *program)


SPAWNING = """
if __name__ == "__main__":
    from multiprocessing import get_context
    child = get_context("spawn").Process(target=main)
    child.start()
    child.join()
"""


@pytest.mark.parametrize("program", [["orders.py"], ["-m", "orders"]], ids=" ".join)
def test_a_script_in_a_child_that_multiprocessing_spawns(project, program):
    """There it is called `__mp_main__`; the refusal of its jobs advised to put that on the allow-list."""
    project.write("orders", OWN_CLASS.replace('if __name__ == "__main__":', "def main():") + SPAWNING)
    assert run(project.folder, *program) == STORED


def test_a_script_that_was_imported_as_well(project):
    """Its jobs take what it has made itself."""
    project.write("orders", f"import sys, shop\n{OWN_CLASS}")
    project.write("shop", "import orders\n")
    assert run(project.folder, "orders.py") == STORED


def test_a_script_elsewhere(project, tmp_path_factory):
    """The same when started from another folder, by its path."""
    project.write("orders", SCRIPT.replace("{name}", "orders"))
    folder = tmp_path_factory.mktemp("elsewhere")
    lines = run(folder, str(project.folder / "orders.py")).splitlines()
    assert lines == ["executed", "orders.Order.handle handled True"]


def test_a_module_run_with_m(project):
    """With `python -m` the name is the module's own."""
    project.write("shop.orders", SCRIPT.replace("{name}", "shop.orders"))
    assert run(project.folder, "-m", "shop.orders").splitlines() == [
        "executed",
        "shop.orders.Order.handle handled True",
    ]


@pytest.mark.parametrize("folder", [".", "app"])
def test_a_program_in_a_package_that_was_started_as_a_file(project, folder):
    """Its jobs are called otherwise then, so the refusal says how to start it instead of what to allow."""
    project.write("app.jobs", "")
    project.write("app.main", SCRIPT.replace("{name}", "app.main"))
    where = project.folder / folder
    done = subprocess.run(
        [sys.executable, str((project.folder / "app/main.py").relative_to(where))],
        cwd=where,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "'main.Order.handle' may not run: the program was started as a file" in done.stderr
    assert f"Start it with `python -m app.main`, in {project.folder}.\n" in done.stderr
    assert run(project.folder, "-m", "app.main").endswith("app.main.Order.handle handled True")


def test_a_program_in_a_package_that_is_not_on_the_list_either(project):
    """Then the refusal says both."""
    project.write("app.main", SCRIPT.replace("{name}", "app.jobs"))
    done = subprocess.run(
        [sys.executable, "app/main.py"], cwd=project.folder, capture_output=True, text=True, check=False
    )
    assert "To allow it, set LATESHIFT_ALLOWED=app.jobs,app.main." in done.stderr


def test_a_name_that_only_begins_as_the_program_does(project):
    """What is not in the program is refused as ever, though the program could be started otherwise."""
    code = "from lateshift.allowlist import AllowList; from lateshift.target import resolve\n"
    project.write("shop.app", f"{code}resolve('app.tasks.send', AllowList(('jobs',)))\n")
    command = [sys.executable, "shop/app.py"]
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False)
    assert "To allow it, set LATESHIFT_ALLOWED=jobs,app.tasks\n" in done.stderr


def test_a_script_beside_a_package_of_its_name(project):
    """A program `app.py` elsewhere does not stand in for the package `app`."""
    project.write("app.jobs", "def send(): return 'sent'")
    program = project.folder / "bin" / "app.py"
    program.parent.mkdir()
    program.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from lateshift.allowlist import AllowList; from lateshift.target import resolve\n"
        "sys.path.remove(sys.path[1])\n"
        "print(resolve('app.jobs.send', AllowList(('app.jobs',))).bound()())"
    )
    assert run(project.folder, str(program), str(project.folder)) == "sent"


CONSOLE = pytest.param("console", marks=pytest.mark.skipif(not find_spec("_pyrepl"), reason="3.13 has the new one"))


@pytest.mark.parametrize("how", ["command", "input", "unnameable", "folder", CONSOLE])
def test_programs_without_a_name(project, how):
    """Code given with -c or typed in, scripts whose file is no Python name, folders that are run: none has a job."""
    code = (
        "from lateshift.target import path_of\nfrom lateshift.errors import InvalidJob\n"
        "class Order:\n    def handle(self): pass\n\n"
        "try: path_of(Order)\nexcept InvalidJob as error: print(error)\n\n"
    )
    if how == "command":
        out = run(project.folder, "-c", code)
    elif how == "input":
        out = run(project.folder, "-", stdin=code)
    elif how == "console":
        out = run(project.folder, "-m", "_pyrepl", stdin=code)
    elif how == "folder":
        (project.folder / "program").mkdir()
        (project.folder / "program/__main__.py").write_text(code)
        out = run(project.folder, "program")
    else:
        (project.folder / "my-script.py").write_text(code)
        out = run(project.folder, "my-script.py")
    assert "has no module that a background process could import" in out


class Comparing(type):
    __hash__ = None

    def __eq__(cls, other):
        return cls is other


class Compared(metaclass=Comparing):
    def handle(self):
        return "done"


def test_a_class_that_cannot_be_hashed_is_a_job():
    """Its metaclass has `__eq__`, and so no `__hash__`."""
    with isolated(allowed=[__name__]):
        run_background_job(Compared)
        assert [job.result for job in drain()] == ["done"]
