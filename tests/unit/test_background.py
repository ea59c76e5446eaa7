"""`@background` and `BackgroundJob`: which parameters positions mean, and which classes cannot have `enqueue`."""

import asyncio
import copy as copying
import functools
import inspect
import pickle
import sys
import warnings

import pytest

from lateshift import run_background_job
from lateshift.background import BackgroundJob, background
from lateshift.errors import InvalidJob, InvalidOption, InvalidParameters
from lateshift.testing import drain, isolated


class Static(BackgroundJob):
    @staticmethod
    def handle(source: str = "in", target: str = "out") -> None:
        pass


class OfClass(BackgroundJob):
    @classmethod
    def handle(cls, source: str = "in", target: str = "out") -> None:
        pass


class Decorated(BackgroundJob):
    @background(queue="copies")
    def handle(self, source: str = "in", target: str = "out") -> None:
        pass


@background
class Plain:
    def handle(self, source: str = "in", target: str = "out") -> None:
        pass


@background
def copy(source: str = "in", target: str = "out") -> None:
    pass


class Methods:
    @background
    def instance(self, source: str = "in", target: str = "out") -> None:
        pass

    @classmethod
    @background
    def of_class(cls, source: str = "in", target: str = "out") -> None:
        pass

    @staticmethod
    @background
    def static(source: str = "in", target: str = "out") -> None:
        pass


METHODS = [Methods.instance, Methods.of_class, Methods.static]


@pytest.mark.parametrize("job", [Static, OfClass, Decorated, Plain, copy, *METHODS])
def test_a_position_means_the_parameter_that_it_means_in_a_call(job):
    """Only a method that gets an instance has a `self` before its parameters."""
    assert job.call("/data/a").parameters == {"source": "/data/a"}
    assert job.call("/data/a", "/data/b").parameters == {"source": "/data/a", "target": "/data/b"}
    assert job.call("/data/a", target="/data/b").parameters == {"source": "/data/a", "target": "/data/b"}


@background
def fields_only(**fields: str) -> None:
    pass


@background
def by_name(a: int, *, b: int = 0) -> None:
    pass


@background
def others(a: int, *rest: int, **fields: int) -> None:
    pass


@background
def position_only(a: int = 0, /, b: int = 0) -> None:
    pass


@pytest.mark.parametrize(
    ("job", "args", "most"),
    [(fields_only, ("x",), 0), (by_name, (1, 2), 1), (others, (1, 2, 3), 1), (position_only, (1,), 0)],
)
def test_what_has_no_position_is_refused(job, args, most):
    """`*` and `**` are no parameters by name, nor is one that is given by name only to be given by position."""
    with pytest.raises(InvalidParameters, match=f"takes {most} parameters by position, {len(args)} were given"):
        job.call(*args)


def test_what_no_call_can_give_is_said_to_be_so():
    """A type checker lets it pass."""
    with pytest.raises(InvalidParameters, match=r"what stands before the / of its signature cannot be given"):
        position_only.call(1)


@pytest.mark.parametrize("job", [Plain, copy, Methods.instance])
def test_an_option_among_the_parameters_is_told_where_it_belongs(job):
    """It is asked for as Celery's `countdown` would be."""
    with pytest.raises(
        InvalidParameters, match=r"no parameter 'delay'.*write \.options\(delay=\.\.\.\)\.enqueue"
    ) as caught:
        job.call(source="/data/a", delay=60)
    assert caught.value.parameter == "delay"


@background
def deliver(delay: int, **others: int) -> None:
    pass


@background
def post(priority: int) -> None:
    pass


def test_a_parameter_may_be_called_as_an_option_is():
    """Then it is the parameter, also one that `**` takes."""
    assert deliver.call(1, timeout=3).parameters == {"delay": 1, "timeout": 3}
    assert post.call(priority=3).parameters == {"priority": 3}


@pytest.mark.parametrize("name", ["delay", "apply_async", "s"])
def test_what_celery_calls_otherwise_is_told(name):
    """The habit of another library meets a word for it; what is no habit is an ordinary AttributeError."""
    with pytest.raises(AttributeError, match=rf"copy has no '{name}': (use \.enqueue|there are no chains)"):
        getattr(copy, name)
    with pytest.raises(AttributeError, match="copy has no 'frobnicate'\\."):
        copy.frobnicate  # noqa: B018 - looking is what is tested
    assert not hasattr(copy, "delay")


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (staticmethod(print), "stands above @staticmethod: put it below"),
        (classmethod(print), "stands above @classmethod: put it below"),
        (copy, "stands twice above copy: leave one out"),
        (
            functools.cache(copy.function),
            r"an object of type functools\._lru_cache_wrapper: put it right above",
        ),
        (functools.partial(copy.function), r"this is an object of type functools\.partial"),
        (3, r"this is an object of type builtins\.int"),
    ],
)
def test_what_is_no_function_is_refused_where_it_is_decorated(job, expected):
    """Not only when somebody enqueues it, or at each attempt."""
    with pytest.raises(InvalidJob, match=expected):
        background(job)
    with pytest.raises(InvalidJob, match=expected):
        background(queue="copies")(job)


class Letter:
    def __init__(self, text: str = "hello") -> None:
        self.text = text

    @background
    def send(self, to: str) -> str:
        return f"{self.text} {to}"

    @classmethod
    @background
    def of(cls, text: str) -> str:
        return cls(text).send("you")

    @staticmethod
    @background
    def fold(times: int) -> int:
        return 2**times


def test_a_decorated_method_is_called_as_before():
    """On its instance, on its class, or on nothing."""
    assert (Letter("bye").send("Ann"), Letter("bye").send(to="Ann")) == ("bye Ann", "bye Ann")
    assert Letter.send(Letter(), "Ann") == "hello Ann"
    assert (Letter.of("good"), Letter().fold(3), Letter.fold(times=3)) == ("good you", 8, 8)
    assert Letter.send.call("Ann").parameters == {"to": "Ann"}


@background
async def fetch(n: int) -> int:
    return n + 1


def test_a_decorated_coroutine_is_known_as_one():
    """Frameworks ask asyncio, or on newer Pythons inspect, whether they have to await what they call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.14 wants inspect to be asked
        assert asyncio.iscoroutinefunction(fetch)
        assert not asyncio.iscoroutinefunction(copy)
    if sys.version_info >= (3, 12):
        assert inspect.iscoroutinefunction(fetch)
        assert not inspect.iscoroutinefunction(copy)
    assert asyncio.run(fetch(1)) == 2


def test_a_decorated_function_is_pickled_by_its_name():
    """As `multiprocessing` does with every function that it hands to a process."""
    for job in (copy, fetch, Letter.send):
        assert pickle.loads(pickle.dumps(job)) is job
        assert copying.deepcopy(job) is job


@background
def named_as_ours(self: int, cls: int, job: int, args: int, kwargs: int) -> int:
    return self + cls + job + args + kwargs


class AnyName(BackgroundJob):
    def handle(self, **names: int) -> None:
        pass


def test_parameters_may_have_any_name():
    """Also those that our own methods have."""
    names = {"self": 1, "cls": 2, "job": 3, "args": 4, "kwargs": 5}
    assert named_as_ours.call(**names).parameters == names
    assert AnyName.call(cls=2, job=3).parameters == {"cls": 2, "job": 3}
    assert named_as_ours.options(delay=1).call(**names).parameters == names
    assert named_as_ours(**names) == 15


class Base:
    def call(self, number: str) -> None:
        pass


@pytest.mark.parametrize("name", ["call", "options", "enqueue", "aenqueue"])
def test_a_class_with_such_a_method_of_its_own_is_refused(name):
    """It would lose the method; a class whose base has one as well."""
    with pytest.raises(InvalidOption, match=f"has a '{name}' of its own.*Call it something else"):
        background(type("Ring", (), {"handle": print, name: print}))
    with pytest.raises(InvalidOption, match="'call'"):
        background(queue="calls")(type("Ring", (Base,), {"handle": print}))


def test_a_class_that_has_them_from_us_may_be_decorated():
    """A BackgroundJob, and a class whose base is decorated."""
    assert background(Static).call("a").parameters == {"source": "a"}
    assert background(type("Child", (Plain,), {})).call("a").parameters == {"source": "a"}


class Compiled:
    """What Nuitka makes of a function is of another type, and has all that one has."""

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.__code__, self.__globals__ = function.__code__, function.__globals__

    def __call__(self, *args, **kwargs):
        return self.__wrapped__(*args, **kwargs)


@Compiled
def compiled(order_id: int) -> int:
    return order_id


def test_functions_that_are_compiled_as_ours_are(monkeypatch):
    """In a program of Nuitka, with Lateshift in it, no function was one, and so no job."""
    monkeypatch.setattr("lateshift.target_kinds.FUNCTIONS", (Compiled,))
    with isolated(allowed=[__name__]):
        background(compiled).enqueue(order_id=7)
        run_background_job(f"{__name__}.compiled", parameters={"order_id": 8})
        assert [job.result for job in drain()] == [7, 8]
