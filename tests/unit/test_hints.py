"""Hints under names of their own, and hints with something around them, mean what they mean written out."""

import sys
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Generic,
    Literal,
    NewType,
    NotRequired,
    ParamSpec,
    Required,
    TypedDict,
    TypeVar,
    Unpack,
)
from uuid import UUID

import msgspec
import pytest
import typing_extensions
from signatures import LIMIT, refusal, taking, there_and_back
from typing_extensions import TypeAliasType

from lateshift.signature import Signature

if TYPE_CHECKING:
    from somewhere import OnlyForCheckers


class Mixed(Enum):
    NUMBER = 1
    TEXT = "a"


class Number(Enum):
    ONE = 1


A = TypeVar("A")
B = TypeVar("B")
P = ParamSpec("P")
DAY = date(2026, 1, 2)
MOMENT = datetime(2026, 1, 2, tzinfo=UTC)
When = TypeAliasType("When", date | datetime)
Key = TypeAliasType("Key", str | UUID)
Swapped = TypeAliasType("Swapped", dict[B, A | None], type_params=(A, B))


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (NewType("New", date | datetime), MOMENT),
        (NewType("New", Mixed), Mixed.TEXT),
        (list[NewType("New", Number)], [Number.ONE]),
        (NewType("New", str) | UUID, UUID(int=1)),
        (Annotated[str, "note"] | UUID, UUID(int=1)),
        (TypeVar("Bound", bound=Mixed), Mixed.NUMBER),
        (TypeVar("Several", date, str), DAY),
        (When, MOMENT),
        (list[When], [DAY, MOMENT]),
        (When | None, None),
        (Key | date, DAY),
        (Swapped[Mixed, str], {"a": Mixed.NUMBER}),
        (Swapped[When, date], {DAY: MOMENT}),
        (TypeAliasType("Same", A, type_params=(A,))[Mixed], Mixed.TEXT),
        (Annotated[Mixed, msgspec.Meta(description="note")], Mixed.NUMBER),
    ],
)
def test_a_hint_by_another_name(hint, value):
    """An alias, a NewType or a TypeVar takes what it stands for, also in other hints and unions."""
    arrived = there_and_back(hint, value)
    assert (arrived, type(arrived)) == (value, type(value))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement came with Python 3.12")
def test_the_statement_of_an_alias():
    """As those of typing_extensions."""
    names = dict(globals())
    exec("type Pair[T] = tuple[T, T]\ntype Moments = Pair[When] | None\ntype Json = None | list[Json]", names)
    assert there_and_back(names["Pair"][Mixed], (Mixed.NUMBER, Mixed.TEXT)) == (Mixed.NUMBER, Mixed.TEXT)
    assert there_and_back(names["Moments"], (DAY, MOMENT)) == (DAY, MOMENT)
    assert "Any takes all that JSON itself knows" in refusal(taking(names["Json"]), {"value": None})[0]


Endless = int | list["Endless"] | None


def test_an_alias_that_contains_itself():
    """The refusal says what to write instead."""

    def job(value: Endless):
        pass

    message, name = refusal(Signature.of(job), {"value": [1]})
    assert name == "value"
    assert "an alias in it contains itself" in message
    assert "Any takes all that JSON itself knows" in message


def test_what_is_annotated_is_checked():
    """The limits of msgspec's Meta hold also where a hint had to be rebuilt, or it is refused."""
    hint = Annotated[list[Mixed], msgspec.Meta(max_length=1)]
    assert there_and_back(hint, [Mixed.TEXT]) == [Mixed.TEXT]
    assert "of length <= 1" in refusal(taking(hint), {"value": [Mixed.TEXT, Mixed.NUMBER]})[0]
    hint = Annotated[str | UUID, msgspec.Meta(max_length=1)]
    assert "can only set `max_length` on" in refusal(taking(hint), {"value": "a"})[0]


class Keys(TypedDict):
    day: date
    number: NotRequired[Number]


class Late(Keys, total=False):  # whose hints are text, as with `from __future__ import annotations`
    path: "Required[Path]"
    key: "str | UUID"
    unseen: "OnlyForCheckers"


class Loose(typing_extensions.TypedDict, Generic[A]):
    first: A
    second: typing_extensions.ReadOnly[typing_extensions.NotRequired[int]]


def of_keys(note: str = "", **others: Unpack[Keys]):
    pass


def of_late(**others: Unpack[Late]):
    pass


def of_loose(**others: typing_extensions.Unpack[Loose[date]]):
    pass


@pytest.mark.parametrize(
    ("job", "takes", "given"),
    [
        (
            of_keys,
            "note: str = ..., day: datetime.date, number: test_hints.Number = ...",
            {"day": DAY, "number": Number.ONE},
        ),
        (of_loose, "first: datetime.date, second: int = ...", {"first": DAY, "second": 1}),
        (of_loose, "first: datetime.date, second: int = ...", {"first": DAY}),
    ],
)
def test_unpacked_keys_are_parameters(job, takes, given):
    """`**others: Unpack[...]` of a TypedDict takes its keys and no others, each by its hint."""
    signature = Signature.of(job)
    assert signature.describe() == takes
    assert signature.bind(signature.check(given, LIMIT)) == given
    assert refusal(signature, given | {"more": 1})[1] == "more"
    assert "needs the parameter" in refusal(signature, {})[0]


def test_unpacked_keys_whose_hints_are_text():
    """What is required is seen in the hints, and one that only checkers see leaves its key open."""
    signature = Signature.of(of_late)
    given = {"day": DAY, "path": Path("a"), "key": UUID(int=1), "unseen": 1}
    assert signature.bind(signature.check(given, LIMIT)) == given
    assert refusal(signature, {"day": DAY})[1] == "path"
    assert refusal(signature, given | {"unseen": DAY})[1] == "unseen"


def test_keywords_of_a_wrapper():
    """`P.kwargs` says nothing of a single one, which may be any plain value."""

    def wrapper(*args: P.args, **kwargs: P.kwargs):
        pass

    signature = Signature.of(wrapper)
    assert signature.bind(signature.check({"a": 1}, LIMIT)) == {"a": 1}


def test_names_with_underscores():
    """Also those that a class would mangle, or that every object has."""

    def job(_a: int, __b: int = 2, *, __dict__: int = 3):
        pass

    signature = Signature.of(job)
    for given in ({"_a": 1}, {"_a": 1, "__b": 5, "__dict__": 6}):
        assert signature.bind(signature.check(given, LIMIT)) == given
    assert refusal(signature, {"_a": 1, "__b": "x"})[1] == "__b"


@pytest.mark.parametrize(
    ("hint", "value", "becomes"),
    [
        (Path | Literal["a"], "a", "a str like this would arrive as"),
        (list[UUID] | list[str], [str(UUID(int=1))], "a list like this would arrive as another one"),
        (list[Number] | tuple[int, int], (1, 1), "a tuple like this would arrive as another one"),
    ],
)
def test_what_another_member_of_a_union_would_take(hint, value, becomes):
    """It is refused also where only a part of it would be another, or a Literal a path."""
    message, name = refusal(taking(hint), {"value": value})
    assert name == "value"
    assert becomes in message
