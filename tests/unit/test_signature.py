"""Parameters: checked when enqueuing, converted when running, and clear when they do not fit."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from signatures import LIMIT, refusal, taking, there_and_back

from lateshift.errors import InvalidJob, InvalidParameters
from lateshift.signature import Signature

if TYPE_CHECKING:
    from somewhere import OnlyForCheckers


NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int


def order(order_id: int, note: str | None = None, *, when: datetime = NEVER):
    pass


def test_missing_unknown_and_wrong_parameters():
    """Missing, unknown and wrongly named parameters are refused with what the job takes."""
    signature = Signature.of(order)
    takes = "It takes (order_id: int, note: str | None = ..., when: datetime"
    assert refusal(signature, {}) == (
        (
            "order needs the parameter 'order_id'. It takes (order_id: int, note: str | None = ..., "
            "when: datetime.datetime = ...)."
        ),
        "order_id",
    )
    message, name = refusal(signature, {"order_id": 1, "orderid": 2})
    assert (message.startswith("order has no parameter 'orderid'. " + takes), name) == (True, "orderid")
    assert "names are text" in refusal(signature, {"order_id": 1, 3: 2})[0]
    assert refusal(signature, {"order_id": 1, "note": 3})[1] == "note"


@pytest.mark.parametrize("parameters", [[1], "x", 3, {1, 2}])
def test_parameters_must_be_a_mapping(parameters):
    """Anything but a mapping is refused with an example."""
    assert "give a dict, such as {'order_id': 123}" in refusal(Signature.of(order), parameters)[0]


def test_any_mapping_will_do():
    """A mapping that is no dict is taken as one."""
    assert Signature.of(order).check(MappingProxyType({"order_id": 1}), LIMIT) == '{"order_id":1}'


def test_defaults_are_left_to_the_function():
    """Only what was given is stored and passed on, so a default that changes later counts."""
    signature = Signature.of(order)
    assert signature.check({"order_id": 1}, LIMIT) == '{"order_id":1}'
    assert signature.bind('{"order_id":1}') == {"order_id": 1}
    assert signature.bind('{"order_id":1,"note":null}') == {"order_id": 1, "note": None}


def test_too_large():
    """Two MiB of parameters are refused with the size, the culprit and the setting; the limit itself fits."""
    signature = Signature.of(order)
    message, name = refusal(signature, {"order_id": 1, "note": "x" * 2_097_152})
    assert name == "note"
    assert "2,097,1" in message
    assert "LATESHIFT_MAX_PARAMETERS is 1,048,576" in message
    assert len(signature.check({"order_id": 1}, 14)) == 14
    refusal(signature, {"order_id": 1}, 13)


def test_size_is_in_bytes():
    """The limit counts UTF-8 bytes, as that is what databases store."""
    refusal(taking(str), {"value": "ä" * 100}, 200)


def test_no_parameters():
    """A job without parameters takes none."""

    def job():
        pass

    signature = Signature.of(job)
    assert signature.check({}, LIMIT) == "{}"
    assert signature.bind("{}") == {}
    assert "has no parameter 'x'. It takes ()." in refusal(signature, {"x": 1})[0]


@pytest.mark.parametrize("hint", [Any, object, dict, list, dict[str, Any], list[Any], Mapping[str, Any], Any | None])
@pytest.mark.parametrize(
    "value",
    [{"when": datetime.now(UTC)}, [Decimal(1)], [b"x"], [{1: 2}], {"c": [Colour.RED]}, [Point(1)], [{1, 2}]],
)
def test_what_no_hint_would_bring_back_is_refused(hint, value):
    """Where the hint leaves the type open, what would arrive as text or a dict is refused, by name of its type."""
    if isinstance(value, list) != (hint in (list, list[Any])) and hint not in (Any, object, Any | None):
        value = {"v": value} if hint not in (list, list[Any]) else [value]
    message, name = refusal(taking(hint), {"value": value})
    assert name == "value"
    assert "no type hint that brings it back" in message


@pytest.mark.parametrize("value", [None, 1, 1.5, "x", True, [1, (2, "x")], {"a": [None, {"b": 2**70}]}])
def test_plain_values_need_no_hint(value):
    """What JSON itself knows needs no hint; a tuple arrives as a list."""

    def job(value):
        pass

    signature = Signature.of(job)
    arrived = signature.bind(signature.check({"value": value}, LIMIT))["value"]
    assert repr(arrived) == repr(value).replace("(", "[").replace(")", "]")


def unresolvable(when: "OnlyForCheckers", number: "int", broken: "1 +" = None):  # noqa: F722 - the test is about it
    pass


def test_hints_that_cannot_be_resolved():
    """A hint that only type checkers can see leaves its parameter open; the others keep theirs."""
    signature = Signature.of(unresolvable)
    assert signature.bind(signature.check({"when": "x", "number": 1}, LIMIT)) == {"when": "x", "number": 1}
    assert refusal(signature, {"when": datetime.now(UTC), "number": 1})[1] == "when"
    assert refusal(signature, {"when": "x", "number": "1"})[1] == "number"


@dataclass
class Unfinished:
    other: "Missing"  # noqa: F821 - the test is about it


def test_hints_that_json_cannot_be_converted_to():
    """Such a parameter takes no value, but a job that has a default for it can be enqueued."""
    signature = taking(Unfinished, None)
    assert signature.bind(signature.check({}, LIMIT)) == {}
    message, name = refusal(signature, {"value": {"other": 1}})
    assert name == "value"
    assert "not one that JSON can be converted to" in message


def test_keywords_take_any_name():
    """**kwargs takes unknown names, each converted by its hint."""

    def job(a: int, **others: datetime):
        pass

    signature = Signature.of(job)
    when = datetime(2026, 1, 2, tzinfo=UTC)
    assert signature.bind(signature.check({"a": 1, "b": when, "c": when}, LIMIT)) == {"a": 1, "b": when, "c": when}
    assert refusal(signature, {"a": 1, "b": "x"})[1] == "b"
    assert refusal(signature, {"b": when})[1] == "a"
    assert "names are text" in refusal(signature, {"a": 1, 3: when})[0]
    assert signature.describe() == "a: int, **others: datetime.datetime"


def test_keywords_of_a_method():
    """**kwargs takes every name but that of the instance, which a call could not tell apart from it."""

    def handle(self, **others: int):
        pass

    def apart(self, /, **others: int):
        pass

    given = {"cls": 1, "self": 2}
    assert refusal(Signature.of(handle, drop_self=True), given)[1] == "self"
    signature = Signature.of(apart, drop_self=True)
    assert signature.bind(signature.check(given, LIMIT)) == given


def test_keywords_without_a_hint():
    """**kwargs without a hint takes plain values."""

    def job(**others):
        pass

    signature = Signature.of(job)
    assert signature.bind(signature.check({"a": 1}, LIMIT)) == {"a": 1}
    assert refusal(signature, {"a": datetime.now(UTC)})[1] == "a"


def test_positional_only_parameters():
    """A parameter that cannot be given by name makes no job, unless it has a default."""

    def job(a, /, b):
        pass

    def fine(a=1, /, *args, b: int):
        pass

    with pytest.raises(InvalidJob, match="by position only"):
        Signature.of(job)
    assert Signature.of(fine).bind('{"b":2}') == {"b": 2}
    assert refusal(Signature.of(fine), {"a": 1, "b": 2})[1] == "a"


class Job:
    def handle(self, order_id: int):
        pass

    def without_self():
        pass

    def any_self(*args, x: int):
        pass


def test_methods():
    """For methods `self` is no parameter; one without it cannot be called."""
    assert Signature.of(Job.handle, drop_self=True).bind('{"order_id":1}') == {"order_id": 1}
    assert Signature.of(Job.any_self, drop_self=True).bind('{"x":1}') == {"x": 1}
    with pytest.raises(InvalidJob, match="without `self`"):
        Signature.of(Job.without_self, drop_self=True)


def test_wrapped_functions():
    """A decorator that uses functools.wraps keeps the signature, with hints from where the function was written."""

    def decorator(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            return function(*args, **kwargs)

        return inner

    assert refusal(Signature.of(decorator(order)), {"order_id": "x"})[1] == "order_id"


def test_callables_without_a_signature():
    """A callable that does not tell its parameters is refused."""
    with pytest.raises(InvalidJob, match="does not tell its parameters"):
        Signature.of(getattr)


def test_unicode_names():
    """Parameters may have any name that Python allows."""

    def job(
        größe: int,  # noqa: PLC2401 - the test is about it
        class_: str,
        _private: int = 0,
        name: str = "",
        self: int = 0,
    ):
        pass

    signature = Signature.of(job)
    given = {"größe": 1, "class_": "x", "_private": 2, "name": "n", "self": 3}
    assert signature.bind(signature.check(given, LIMIT)) == given


def test_signatures_are_remembered():
    """The same function has one signature."""
    assert Signature.of(order) is Signature.of(order)


@pytest.mark.parametrize(
    ("text", "expected", "name"),
    [
        ('{"order_id":"x"}', "is 'x': expected `int`, got `str`", "order_id"),
        ("{}", "needs the parameter 'order_id'", "order_id"),
        ('{"order_id":1,"gone":2}', "has no parameter 'gone'", "gone"),
        ("{", "not a JSON text", None),
        ("", "not a JSON text", None),
        ("[1]", "not [1]", None),
        ("[" * 100_000, "not a JSON text", None),
    ],
)
def test_stored_parameters_that_no_longer_fit(text, expected, name):
    """When the code has changed since the job was stored, the message says what does not fit."""
    with pytest.raises(InvalidParameters) as caught:
        Signature.of(order).bind(text)
    assert expected in str(caught.value)
    assert caught.value.parameter == name


def test_errors_of_the_users_types():
    """An exception from a type's own code is a refusal with its words, when storing and when running."""

    @dataclass
    class Positive:
        number: int

        def __post_init__(self):
            if self.number < 0:
                raise LookupError("must be positive")

    signature = taking(Positive)
    message, name = refusal(signature, {"value": {"number": -1}})
    assert (name, "must be positive" in message) == ("value", True)
    with pytest.raises(InvalidParameters, match="must be positive"):
        signature.bind('{"value":{"number":-1}}')


def test_a_broken_repr_does_not_hide_the_problem():
    """A value whose repr raises is still reported."""

    class Broken:
        def __repr__(self):
            raise RuntimeError

    assert "is a test_a_broken_repr" in refusal(taking(int), {"value": Broken()})[0]


def test_a_value_that_contains_itself_is_refused():
    """Also where its hidden parts are looked for."""
    cycle: list[Any] = []
    cycle += [{"password": cycle}, cycle]
    with pytest.raises(InvalidParameters, match="is a list: it is nested too deeply, or contains itself"):
        taking(Any).check({"value": cycle}, LIMIT, ("password",))


def test_long_values_are_shortened_in_messages():
    """A message does not repeat a megabyte of data."""
    assert len(refusal(taking(int), {"value": "x" * 1_000_000})[0]) < 300


def test_iterables_are_lists():
    """A hint Iterable takes and gives a list."""
    assert there_and_back(Iterable[UUID], [UUID(int=1)]) == [UUID(int=1)]
