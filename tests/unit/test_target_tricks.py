"""No trick with attributes gets outside the allow-list: each is tried on real packages."""

import sys
from unittest import mock

import pytest
from user_code import ALLOW, imported, refused

from lateshift.allowlist import AllowList
from lateshift.errors import CallableNotAllowed, CallableNotFound, InvalidJob
from lateshift.target import resolve


def test_reexported_modules(project):
    """A module that a permitted module imported is no way out."""
    project.write("app.jobs", "import os, os.path, subprocess as sp, importlib\n")
    for path in ("os.system", "os.path.join", "sp.run", "sp.Popen", "importlib.import_module", "os.getcwd"):
        refused(f"app.jobs.{path}", "is a module that was imported there")
    refused("app.jobs.os", "is a module that was imported there")


def test_what_a_mock_puts_in_the_place_of_a_method_is_no_module_to_allow(project):
    """The advice was to put `?` on the list."""
    project.write("app.jobs", "class Order:\n    def handle(self): pass\n")
    with mock.patch("app.jobs.Order.handle", autospec=True):
        error = refused("app.jobs.Order", "handle comes from")
    assert "LATESHIFT_ALLOWED=" not in str(error)


def test_reexported_modules_in_a_package(project):
    """The same when the permitted module is a package, where a name could be a submodule."""
    project.write("app.jobs.", "import os\n")
    refused("app.jobs.os.system", "is a module that was imported there")


def test_a_module_planted_in_sys_modules(project):
    """A foreign module registered under a permitted name does not make its contents permitted."""
    project.write("app.jobs", "import sys, shutil\nsys.modules['app.jobs.tools'] = shutil\n")
    imported("app.jobs")
    refused("app.jobs.tools.rmtree", "comes from shutil.rmtree")


def test_imported_callables(project):
    """Functions and classes that a permitted module imported stay foreign."""
    project.write(
        "app.jobs", "from shutil import rmtree\nfrom subprocess import Popen\nfrom code import InteractiveConsole\n"
    )
    error = refused("app.jobs.rmtree", "comes from shutil.rmtree")
    assert str(error).endswith("(app.jobs) does not cover. Write a function of your own that calls it.")
    refused("app.jobs.Popen", "comes from subprocess.Popen")
    refused("app.jobs.InteractiveConsole.push", "comes from code.InteractiveConsole")


def test_a_callable_of_another_package_may_be_allowed(project):
    """Of what is not Python's own the refusal tells how."""
    project.write("outside", "def send(): pass")
    project.write("app.jobs", "from outside import send")
    expected = "To allow it, set LATESHIFT_ALLOWED=app.jobs,outside, or write a function of your own that calls it."
    refused("app.jobs.send", expected)


def test_a_neighbouring_module_is_outside(project):
    """What is imported from the same package but beside the entry is refused."""
    project.write("app.models", "def wipe(): pass\n")
    project.write("app.jobs", "from app.models import wipe\n")
    refused("app.jobs.wipe", "comes from app.models.wipe")


@pytest.mark.parametrize("name", ["eval", "exec", "open", "print", "__import__"])
def test_builtins_by_name(project, name):
    """Builtins are not reachable just because every module has them."""
    project.write("app.jobs", "")
    with pytest.raises((CallableNotFound, CallableNotAllowed)):
        resolve(f"app.jobs.{name}", ALLOW)


def test_builtins_as_attributes(project):
    """A builtin bound to a name in a permitted module is refused, on a module or a class."""
    project.write(
        "app.jobs",
        """
        import os, functools, operator
        run, system, evaluate, kind = eval, os.system, staticmethod(eval), type
        caller = operator.methodcaller("x")
        class Order:
            handle = os.system
            safe = staticmethod(os.system)
            method = str.upper
        """,
    )
    for path in ("run", "system", "evaluate", "caller", "Order", "Order.safe", "Order.method"):
        refused(f"app.jobs.{path}", "jobs are functions and classes")
    refused("app.jobs.kind", "comes from builtins.type")


def test_private_and_dunder_names_are_not_even_imported(project):
    """A private name is refused before anything is imported."""
    project.write("app.jobs", "raise SystemExit('imported')")
    for path in (
        "app.jobs._send",
        "app.jobs.Order.__init__",
        "app.jobs.__builtins__.eval",
        "app.jobs.send.__globals__",
    ):
        refused(path, "is private")
    assert "app.jobs" not in sys.modules


def test_what_is_not_listed_is_not_imported(project):
    """A name outside the list imports nothing, whatever stands in the database."""
    project.write("evil", "raise SystemExit('imported')")
    refused("evil.run", "LATESHIFT_ALLOWED has app.jobs")
    assert "evil" not in sys.modules


def test_inherited_callables_from_outside(project):
    """A method that a permitted class inherits from a foreign one is refused; overriding it makes it its own."""
    project.write(
        "app.jobs",
        """
        import subprocess
        from collections import UserDict
        class Shell(subprocess.Popen):
            pass
        class Bag(UserDict):
            def pop(self): return "mine"
        """,
    )
    refused("app.jobs.Shell.communicate", "communicate is inherited from subprocess.Popen")
    refused("app.jobs.Bag.update", "update is inherited from collections.abc.MutableMapping")
    assert resolve("app.jobs.Bag.pop", ALLOW).bound()() == "mine"


def test_imported_functions_as_methods(project):
    """A foreign function assigned in a class body is refused, bare, static, or as a class method."""
    project.write(
        "app.jobs",
        """
        import shutil
        class Order:
            handle = shutil.rmtree
            a = staticmethod(shutil.rmtree)
            b = classmethod(shutil.rmtree)
        """,
    )
    for path in ("Order", "Order.a", "Order.b"):
        refused(f"app.jobs.{path}", "comes from shutil.rmtree")


def test_foreign_classes_inside_classes(project):
    """A foreign class as a class attribute is refused."""
    project.write("app.jobs", "import subprocess\nclass Order:\n    Tool = subprocess.Popen\n")
    refused("app.jobs.Order.Tool.kill", "comes from subprocess.Popen")


def test_partials(project):
    """functools.partial and partialmethod hide what they call, and are refused."""
    project.write(
        "app.jobs",
        """
        import functools, os
        run = functools.partial(os.system, "true")
        class Order:
            handle = functools.partialmethod(os.system)
            other = functools.partial(os.system)
        """,
    )
    for path in ("run", "Order.handle", "Order.other"):
        refused(f"app.jobs.{path}", "an object of type functools.partial")


def test_bound_methods_as_attributes(project):
    """A bound method of a foreign object is refused."""
    project.write("app.jobs", "import random, subprocess\nshuffle = random.Random().shuffle\nrun = [].append\n")
    refused("app.jobs.shuffle", "an object of type builtins.method")
    refused("app.jobs.run", "an object of type builtins.builtin_function_or_method")


def test_instances_with_call(project):
    """An attribute that is an instance with __call__ is refused, even if its class is from inside."""
    project.write("app.jobs", "class Sender:\n    def __call__(self): pass\nsend = Sender()\n")
    refused("app.jobs.send", "an object of type app.jobs.Sender, and jobs are functions and classes")
    refused("app.jobs.send.handle", "an object of type app.jobs.Sender")


def test_an_attribute_replaced_after_import(project):
    """What counts is what the name leads to now, not what it led to once."""
    project.write("app.jobs", "import os\ndef send(): return 1\n")
    assert resolve("app.jobs.send", ALLOW).bound()() == 1
    imported("app.jobs").send = imported("app.jobs").os.system
    refused("app.jobs.send", "jobs are functions and classes")


def test_module_getattr(project):
    """A module's __getattr__ cannot conjure a callable up."""
    project.write("app.jobs", "import os\ndef __getattr__(name): return os.system\n")
    refused("app.jobs.system", "jobs has no 'system'", CallableNotFound)


def test_metaclass_attributes(project):
    """Neither a metaclass's attributes nor its __getattr__ are a class's methods."""
    project.write(
        "app.jobs",
        """
        import os, shutil
        class Meta(type):
            wipe = staticmethod(shutil.rmtree)
            def __getattr__(cls, name): return shutil.rmtree
            def __getattribute__(cls, name):
                return shutil.rmtree if name == "handle" else super().__getattribute__(name)
            @property
            def tool(cls): return os.system
        class Order(metaclass=Meta): pass
        """,
    )
    for path in ("Order", "Order.wipe", "Order.anything", "Order.tool", "Order.mro"):
        refused(f"app.jobs.{path}", "Order has no", CallableNotFound)


def test_a_metaclass_cannot_lie_about_where_a_class_is_from(project):
    """__module__ as told by a metaclass does not count; what Python recorded does."""
    project.write(
        "outside",
        """
        class Meta(type):
            def __getattribute__(cls, name):
                told = {"__module__": "app.jobs", "__qualname__": "Order", "__mro__": (cls,)}
                return told.get(name) or super().__getattribute__(name)
        class Order(metaclass=Meta):
            def handle(self): pass
        """,
    )
    project.write("app.jobs", "from outside import Order\n")
    refused("app.jobs.Order", "comes from outside.Order")


def test_a_metaclass_that_makes_something_else(project):
    """If calling the class gives a foreign object, its methods are not run."""
    project.write(
        "app.jobs",
        """
        import os
        class Fake:
            __class__ = property(lambda self: Order)
            def handle(self): raise AssertionError
        class Meta(type):
            def __call__(cls): return Fake()
        class Order(metaclass=Meta):
            def handle(self): return "real"
        """,
    )
    with pytest.raises(InvalidJob, match="gave Fake"):
        resolve("app.jobs.Order", ALLOW).bound()


def test_instance_attributes_do_not_replace_the_method(project):
    """What runs is the method that was checked, not an instance's attribute of the same name."""
    project.write(
        "app.jobs",
        """
        import os
        class Order:
            def __init__(self): self.handle = os.system
            def __getattribute__(self, name): return os.system
            def handle(self): return "real"
        """,
    )
    assert resolve("app.jobs.Order", ALLOW).bound()() == "real"


def test_objects_that_claim_to_be_functions(project):
    """An object whose __class__ says function or class is still an object."""
    project.write(
        "app.jobs",
        """
        import types
        class Liar:
            __module__ = "app.jobs"
            def __init__(self, kind): self.kind = kind
            __class__ = property(lambda self: self.kind)
            def __call__(self): pass
        function, kind = Liar(types.FunctionType), Liar(type)
        """,
    )
    for path in ("function", "kind"):
        refused(f"app.jobs.{path}", "an object of type app.jobs.Liar")


def test_objects_that_claim_to_be_decorated(project):
    """An object dressed up as a @background function is judged by the function inside of it."""
    project.write(
        "app.jobs",
        """
        import shutil, os
        from lateshift.options import JobOptions
        class Fake:
            def __init__(self, function): self.function, self.__lateshift__ = function, JobOptions()
            def __call__(self): pass
        wipe, system, nothing = Fake(shutil.rmtree), Fake(os.system), Fake(None)
        setattr(nothing, "__lateshift__", {})
        """,
    )
    refused("app.jobs.wipe", "comes from shutil.rmtree")
    refused("app.jobs.system", "jobs are functions and classes")
    refused("app.jobs.nothing", "an object of type app.jobs.Fake")


def test_what_a_decorated_class_gets_is_no_job(project):
    """The enqueue and options that @background adds to a class are not callables to run."""
    project.write(
        "app.jobs",
        "from lateshift.background import background\n@background\nclass Order:\n    def handle(self): pass\n",
    )
    for name in ("enqueue", "aenqueue", "call", "options"):
        refused(f"app.jobs.Order.{name}", "comes from lateshift.background")


def test_properties_and_descriptors(project):
    """Properties and other descriptors are refused without being read."""
    project.write(
        "app.jobs",
        """
        import functools
        class Loud:
            def __get__(self, instance, owner): raise AssertionError("read")
        class Order:
            __slots__ = ("slot", "__dict__")
            loud = Loud()
            @property
            def value(self): raise AssertionError("read")
            @functools.cached_property
            def cached(self): raise AssertionError("read")
        """,
    )
    for name in ("loud", "value", "cached", "slot"):
        refused(f"app.jobs.Order.{name}", "jobs are functions and classes")


def test_data_is_not_callable(project):
    """A constant is found, and refused as what it is."""
    project.write("app.jobs", "LIMIT = 3\nclass Order:\n    limit = 'x'\n")
    refused("app.jobs.LIMIT", "an object of type builtins.int", CallableNotFound)
    refused("app.jobs.Order.limit", "an object of type builtins.str", CallableNotFound)


def test_attributes_of_functions(project):
    """Nothing inside of a function is a job."""
    project.write("app.jobs", "import os\ndef send(): pass\nsend.system = os.system\nsend.inner = lambda: 1\n")
    refused("app.jobs.send.system", "send has nothing named 'system' to call", CallableNotFound)
    refused("app.jobs.send.inner", "send has nothing named 'inner'", CallableNotFound)


def test_an_entry_that_is_a_class(project):
    """With a class on the list, its neighbours and what it inherits from them stay outside."""
    project.write(
        "app.jobs",
        "class Base:\n    def run(self): pass\nclass Order(Base):\n    def handle(self): return 1\n"
        "class Mail(Order): pass\n",
    )
    allow = AllowList(("app.jobs.Order",))
    assert resolve("app.jobs.Order.handle", allow).bound()() == 1
    refused("app.jobs.Order.run", "inherited from app.jobs.Base", allow=allow)
    refused("app.jobs.Mail.handle", "LATESHIFT_ALLOWED has app.jobs.Order", allow=allow)
