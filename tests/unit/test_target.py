"""From a callable path to the code, with real packages: what resolves, and what cannot be a job."""

import asyncio
import sys

import pytest
from user_code import ALLOW, imported, refused

from lateshift.allowlist import AllowList
from lateshift.errors import CallableNotFound, InvalidJob, InvalidOption
from lateshift.options import JobOptions
from lateshift.target import importing, path_of, resolve


def test_a_class(project):
    """A class resolves to its `handle`, or to the method named; each attempt gets a new instance."""
    project.write(
        "app.jobs",
        """
        class Order:
            queue = "mails"
            def __init__(self): self.seen = []
            def handle(self, order_id: int):
                self.seen.append(order_id)
                return self.seen
            def ship(self): return "shipped"
        """,
    )
    target = resolve("app.jobs.Order", ALLOW)
    assert target.path == "app.jobs.Order.handle"
    assert target == resolve("app.jobs.Order.handle", ALLOW)
    assert (target.executor, target.options.queue, target.failed) == ("thread", "mails", None)
    assert target.owner is imported("app.jobs").Order
    assert [target.bound()(**target.signature.bind('{"order_id":3}')) for _ in range(2)] == [[3], [3]]
    assert resolve("app.jobs.Order.ship", ALLOW).bound()() == "shipped"


def test_a_function(project):
    """A function resolves to itself, with default options."""
    project.write("app.jobs", "def send(to: str): return to")
    target = resolve("app.jobs.send", ALLOW)
    assert (target.path, target.owner, target.options) == ("app.jobs.send", None, JobOptions())
    assert target.bound()(to="x") == "x"


def test_submodules_and_nested_classes(project):
    """Callables in modules below an entry and classes inside of classes resolve."""
    project.write("app.jobs.", "")
    project.write("app.jobs.mail", "class Outer:\n    class Inner:\n        def handle(self): return 1\n")
    assert resolve("app.jobs.mail.Outer.Inner", ALLOW).bound()() == 1


def test_coroutines_and_isolation(project):
    """An async def runs on the loop, isolation in a child process, everything else in a thread."""
    project.write(
        "app.jobs",
        """
        async def fetch(): return 1
        class Fetch:
            async def handle(self): return 2
        class Isolated:
            isolation = "process"
            async def handle(self): return 3
        """,
    )
    assert resolve("app.jobs.fetch", ALLOW).executor == "loop"
    assert resolve("app.jobs.Fetch", ALLOW).executor == "loop"
    assert resolve("app.jobs.Isolated", ALLOW).executor == "process"
    assert asyncio.run(resolve("app.jobs.Fetch", ALLOW).bound()()) == 2


def test_static_and_class_methods(project):
    """Methods of both kinds that the class itself defines may run."""
    project.write(
        "app.jobs",
        """
        class Order:
            def __init__(self, needed): pass
            @staticmethod
            def check(x: int): return x
            @classmethod
            def build(cls, x: int): return cls.__name__, x
        """,
    )
    assert resolve("app.jobs.Order.check", ALLOW).bound()(x=1) == 1
    assert resolve("app.jobs.Order.build", ALLOW).bound()(x=1) == ("Order", 1)


def test_decorated_callables(project):
    """`@background` functions and classes resolve to the code inside, with their options."""
    project.write(
        "app.jobs",
        """
        from lateshift.background import background
        @background(queue="mails", priority=7)
        def send(to: str): return to
        @background(isolation="process")
        class Order:
            def handle(self, order_id: int): return order_id
        """,
    )
    jobs = imported("app.jobs")
    assert path_of(jobs.send) == "app.jobs.send"
    assert path_of(jobs.Order) == "app.jobs.Order.handle"
    target = resolve("app.jobs.send", ALLOW)
    assert (target.function, target.options.queue, target.options.priority) == (jobs.send.function, "mails", 7)
    assert target.bound()(to="x") == "x"
    assert resolve("app.jobs.Order", ALLOW).executor == "process"


def test_decorated_methods(project):
    """`@background` on a method of any kind gives its options, over those of the class."""
    project.write(
        "app.jobs",
        """
        from lateshift.background import background
        class Mail:
            queue = "mails"
            priority = 3
            @staticmethod
            @background(timeout=30, isolation="process", max_retries=0)
            def post(to: str): return to
            @classmethod
            @background(queue="built")
            def build(cls, to: str): return cls.__name__, to
            @background(priority=9)
            def send(self, to: str): return to
            def plain(self): pass
        """,
    )
    post = resolve("app.jobs.Mail.post", ALLOW)
    assert path_of(imported("app.jobs").Mail.post) == "app.jobs.Mail.post"
    assert (post.executor, post.options) == ("process", JobOptions("mails", 3, 0, None, 30.0, "process"))
    assert resolve("app.jobs.Mail.build", ALLOW).options == JobOptions("built", 3)
    assert resolve("app.jobs.Mail.build", ALLOW).bound()(to="x") == ("Mail", "x")
    assert resolve("app.jobs.Mail.send", ALLOW).options == JobOptions("mails", 9)
    assert resolve("app.jobs.Mail.send", ALLOW).bound()(to="x") == "x"
    assert resolve("app.jobs.Mail.plain", ALLOW).options == JobOptions("mails", 3)


def test_other_decorators(project):
    """A decorator from anywhere that keeps the function's name makes no difference."""
    project.write(
        "outside",
        """
        import functools
        def twice(function):
            @functools.wraps(function)
            def wrapper(*args, **kwargs): return function(*args, **kwargs) * 2
            return wrapper
        """,
    )
    project.write("app.jobs", "from outside import twice\n@twice\ndef send(x: int): return x\n")
    target = resolve("app.jobs.send", ALLOW)
    assert target.bound()(**target.signature.bind('{"x":2}')) == 4


def test_reexports_from_inside_the_list(project):
    """A callable of another permitted or private module of the list may be reached through a re-export."""
    project.write("app.jobs.", "from app.jobs._mail import send\nfrom app.jobs.order import Order\n")
    project.write("app.jobs._mail", "def send(): return 1")
    project.write("app.jobs.order", "class Order:\n    def handle(self): return 2\n")
    assert resolve("app.jobs.send", ALLOW).bound()() == 1
    assert resolve("app.jobs.Order", ALLOW).bound()() == 2


def test_inheritance_inside_the_list(project):
    """A method may be inherited from a class that the list covers."""
    project.write(
        "app.jobs",
        """
        import abc, typing
        class Base(abc.ABC):
            retry_delay = 9
            def handle(self): return self.name()
            @abc.abstractmethod
            def name(self): ...
        class Order(Base):
            def name(self): return "order"
        class Job(typing.Protocol):
            def handle(self): pass
        class Real(Job): pass
        """,
    )
    target = resolve("app.jobs.Order", ALLOW)
    assert target.bound()() == "order"
    assert target.options.retry.delay(1, ValueError()) == 9
    assert resolve("app.jobs.Real", ALLOW).bound()() is None
    refused("app.jobs.Base", "is abstract", InvalidJob)
    refused("app.jobs.Job", "or a Protocol", InvalidJob)


def test_the_failed_hook(project):
    """A class's `failed` is called on an instance of its own, and may be inherited from anywhere."""
    project.write("outside", "class Base:\n    def failed(self, error): return type(self).__name__, error\n")
    project.write("app.jobs", "from outside import Base\nclass Order(Base):\n    def handle(self): pass\n")
    error = ValueError()
    assert resolve("app.jobs.Order", ALLOW).failed(error) == ("Order", error)


def test_a_function_named_like_its_module(project):
    """`app.jobs.send.send` is the function in the module, also when the package re-exports it under the same name."""
    project.write("app.jobs.", "from app.jobs.send import send\n")
    project.write("app.jobs.send", "def send(): return 1")
    assert resolve("app.jobs.send.send", ALLOW).bound()() == 1
    assert resolve("app.jobs.send", ALLOW).bound()() == 1


def test_a_folder_named_like_a_class(project):
    """A folder without code beside the module does not hide a class of its name."""
    project.write("app.jobs.", "class Order:\n    def handle(self): return 1\n")
    (project.folder / "app" / "jobs" / "Order").mkdir()
    assert resolve("app.jobs.Order.handle", ALLOW).bound()() == 1


def test_unknown_names_propose_the_nearest(project):
    """A missing module, callable or method is named, with the nearest that is there."""
    project.write(
        "app.jobs", "class ProcessOrder:\n    def handle(self): pass\n    def ship(self): pass\ndef send(): pass\n"
    )
    refused("app.jobs.ProcesOrder", "did you mean 'ProcessOrder'?", CallableNotFound)
    refused("app.jobs.ProcessOrder.shop", "ProcessOrder has no 'shop'; did you mean 'ship'?", CallableNotFound)
    refused("app.jobs.sent", "did you mean 'send'?", CallableNotFound)
    refused("app.jobs.zzz", "app.jobs has no 'zzz'.", CallableNotFound)
    refused("nowhere.jobs.x", "no module 'nowhere'", CallableNotFound, AllowList(("nowhere",)))
    refused("app.other.x", "app has no 'other'", CallableNotFound, AllowList(("app",)))


def test_a_worker_that_has_no_such_module_tells_where_it_looked(project):
    """Nobody knew that a runner has the path of another program's folder, which is right where the job comes from."""
    error = refused("nowhere.x", "put both folders on", CallableNotFound, AllowList(("nowhere",), of_worker=True))
    assert f"this worker: {project.folder}" in str(error)


def test_a_class_without_handle(project):
    """A class without `handle` is refused by that name, also when `handle` is a class."""
    project.write("app.jobs", "class Order:\n    def run(self): pass\nclass Odd:\n    class handle: pass\n")
    words = (
        "Order has no 'handle'. It has 'run': name the method, as in run_background_job(Order, \"run\") "
        "or `lateshift enqueue ... --method run`."
    )
    refused("app.jobs.Order", words, CallableNotFound)
    refused("app.jobs.Odd", "is a class", CallableNotFound)


def test_the_methods_proposed_are_the_jobs_own(project):
    """Neither what `@background` and BackgroundJob have put there, nor the hook for failures, is proposed."""
    project.write(
        "app.jobs",
        """
        from lateshift.background import BackgroundJob, background
        class Base:
            @staticmethod
            def ship(): pass
            @background(queue="mail")
            def tell(self): pass
        @background
        class Order(Base, BackgroundJob):
            size = 3
            class Inner: pass
            def failed(self, error): pass
            def _check(self): pass
        class Empty(BackgroundJob): pass
        """,
    )
    refused("app.jobs.Order", "It has 'ship', 'tell': name the method", CallableNotFound)
    refused("app.jobs.Empty", "Empty has no 'handle'.", CallableNotFound)


def test_what_is_defined_under_a_guard_is_not_there_for_workers(project):
    """The program that enqueues has it, so only the worker can tell why it has not."""
    project.write("app.jobs", "def send(): pass\nif __name__ == '__main__':\n    async def sent(): pass\n")
    refused("app.jobs.sent", "app.jobs has no 'sent' at its top level, and workers see nothing else.", CallableNotFound)
    refused("app.jobs.sand", "app.jobs has no 'sand'; did you mean 'send'?", CallableNotFound)


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("class AppRegistryNotReady(Exception): pass\nraise AppRegistryNotReady()", "django.setup()"),
        ("class ImproperlyConfigured(Exception): pass\nraise ImproperlyConfigured()", "django.setup()"),
        ("raise RuntimeError('Working outside of application context.')", "with app.app_context():"),
    ],
)
def test_a_framework_that_was_not_set_up(project, source, hint):
    """The refusal says how the module of the jobs gets it ready, where no web server has."""
    project.write("app.jobs", source)
    assert "docs/frameworks.md" in str(refused("app.jobs.send", hint, CallableNotFound))


LOOKED_FOR = f"(Python {'.'.join(map(str, sys.version_info[:3]))} at '{sys.executable}' looked for it)"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import gone_module", f"ModuleNotFoundError: No module named 'gone_module' {LOOKED_FOR}"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_module_that_cannot_be_imported(project, source, expected):
    """Whatever an import raises is the cause that the message names."""
    project.write("app.jobs", source)
    error = refused("app.jobs.send", f"importing app.jobs failed with {expected}", CallableNotFound)
    assert error.__cause__ is not None


def test_keyboard_interrupt_during_an_import_passes(project):
    """Ctrl-C is for the program."""
    project.write("app.jobs", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        resolve("app.jobs.send", ALLOW)
    assert importing() is None


def test_importing_tells_the_module(project, monkeypatch):
    """While a module is imported to get at a job, `importing` names it, and not afterwards."""
    project.write(
        "app.jobs", "from lateshift.target import importing\nseen = importing()\ndef send(): return importing()\n"
    )
    target = resolve("app.jobs.send", ALLOW)
    assert imported("app.jobs").seen == "app.jobs"
    assert importing() is None
    assert target.bound()() is None


def test_classes_that_need_arguments(project):
    """A job class is made without arguments, so one that needs some is refused when enqueuing."""
    project.write(
        "app.jobs",
        """
        from dataclasses import dataclass
        @dataclass
        class Order:
            order_id: int
            def handle(self): pass
        class Fine:
            def __init__(self, x=1, *args, **kwargs): pass
            def handle(self): pass
        """,
    )
    refused("app.jobs.Order", "needs 'order_id' to be made", InvalidJob)
    resolve("app.jobs.Fine", ALLOW)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="earlier Pythons evaluate such hints where they stand")
def test_hints_that_only_checkers_see(project):
    """A hint without quotes whose name is imported for type checkers only leaves its parameter open."""
    project.write(
        "app.jobs",
        """
        from typing import TYPE_CHECKING
        from lateshift.background import background
        if TYPE_CHECKING:
            from shop.models import Order
        @background
        def ship(order: Order, number: int): return order
        class Ship:
            def __init__(self, order: Order = None): pass
            def handle(self, order: list[Order]): return order
        """,
    )
    assert imported("app.jobs").ship.call("a", 1).parameters == {"order": "a", "number": 1}
    signature = resolve("app.jobs.ship", ALLOW).signature
    assert signature.describe() == "order: Order, number: int"
    assert signature.bind('{"order":"a","number":1}') == {"order": "a", "number": 1}
    assert signature.problem("number", "1") is not None
    assert resolve("app.jobs.Ship", ALLOW).signature.bind('{"order":["a"]}') == {"order": ["a"]}


def test_generators_are_refused(project):
    """A generator would be made and never run."""
    project.write("app.jobs", "def items(): yield 1\nasync def aitems(): yield 1\n")
    for path in ("app.jobs.items", "app.jobs.aitems"):
        refused(path, "is a generator", InvalidJob)


def test_functions_that_choose_by_position_are_refused(project):
    """A singledispatch function fails whenever it is called with names; what calls it by position does not."""
    project.write(
        "app.jobs",
        """
        import functools
        @functools.singledispatch
        def show(value): return value
        @functools.wraps(show)
        def show_it(value): return show(value)
        """,
    )
    refused("app.jobs.show", "chooses by its first argument by position", InvalidJob)
    assert resolve("app.jobs.show_it", ALLOW).bound()(value=1) == 1


def test_bad_options_are_refused(project):
    """An option that a class declares wrongly is refused when enqueuing."""
    project.write("app.jobs", "class Order:\n    priority = 11\n    def handle(self): pass\n")
    refused("app.jobs.Order", "app.jobs.Order.priority: The priority is 11", InvalidOption)
