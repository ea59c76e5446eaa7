"""`@background` and `BackgroundJob`: which parameters positions mean, and which classes cannot have `enqueue`."""

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


@pytest.mark.parametrize("job", [Static, OfClass, Decorated, Plain, copy])
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
