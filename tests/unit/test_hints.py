"""Hints under names of their own, and hints with something around them, mean what they mean written out."""

import sys
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Literal,
    NewType,
    ParamSpec,
    TypeVar,
)
from uuid import UUID

import msgspec
import pytest
from signatures import refusal, taking, there_and_back
from typing_extensions import TypeAliasType

from lateshift.signature import Signature

if TYPE_CHECKING:
    pass


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
