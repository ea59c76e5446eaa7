"""`@background` and `BackgroundJob`: which parameters positions mean, and which classes cannot have `enqueue`."""

import functools

import pytest

from lateshift.background import BackgroundJob, background
from lateshift.errors import InvalidOption, InvalidParameters


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


@pytest.mark.parametrize("name", ["delay", "apply_async"])
def test_what_celery_calls_otherwise_is_told(name):
    """The habit of another library meets a word for it; what is no habit is an ordinary AttributeError."""
    with pytest.raises(AttributeError, match=rf"copy has no '{name}': use \.enqueue"):
        getattr(copy, name)
    with pytest.raises(AttributeError, match="copy has no 'frobnicate'\\."):
        copy.frobnicate  # noqa: B018 - looking is what is tested
    assert not hasattr(copy, "delay")


def test_what_has_no_name_is_refused_when_it_is_enqueued():
    """Until then a partial is a function like any other."""
    assert background(functools.partial(post.function)).call(3).parameters == {"priority": 3}


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
