"""The keys of a dict come back as what they were, or are refused, wherever in a hint the dict is."""

from datetime import date
from enum import Enum, Flag, IntEnum
from pathlib import Path, PurePosixPath
from typing import Literal
from uuid import UUID

import pytest
from signatures import refusal, taking, there_and_back


class Level(Enum):
    LOW = 1


class Mixed(Enum):
    TEXT = "a"
    NUMBER = 2


class Day(Enum):
    FIRST = date(2026, 1, 1)


class Right(Flag):
    READ = 1
    WRITE = 2


class Number(IntEnum):
    ONE = 1


PLACES = {
    "alone": lambda key: (dict[key, int], lambda made: made),
    "optional": lambda key: (dict[key, int] | None, lambda made: made),
    "in a list": lambda key: (list[dict[key, int]] | None, lambda made: [made]),
    "or other keys": lambda key: (dict[key, int] | dict[str, int], lambda made: made),
    "of a union": lambda key: (dict[key, int] | Path, lambda made: made),
    "of lists": lambda key: (list[dict[key, int]] | list[dict[str, int]], lambda made: [made]),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "key", [Mixed.TEXT, Day.FIRST, Number.ONE, PurePosixPath("a"), date(2026, 1, 1), UUID(int=3), 5, "a"], ids=repr
)
def test_keys_that_come_back(key, place):
    """What JSON has as text becomes what the hint says."""
    hint, put = PLACES[place](type(key))
    arrived = there_and_back(hint, put({key: 1}))
    assert (arrived, repr(arrived)) == (put({key: 1}), repr(put({key: 1})))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", [Level.LOW, Mixed.NUMBER, Right.READ | Right.WRITE], ids=repr)
def test_keys_that_would_not_come_back(key, place):
    """A member with a number is text as a key, and would arrive as such."""
    hint, put = PLACES[place](type(key))
    assert refusal(taking(hint), {"value": put({key: 1})})[1] == "value"


class Alike(Enum):
    TEXT = "0.5"
    HALF = 0.5


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (dict[int | str, int], {1: 1}, "the key 1, which is no text"),
        (dict[int | str, int], {1: 1, "1": 2}, "the key 1, which is no text"),
        (dict[int | Path, int], {1: 1}, "the key 1, which would come back as another one"),
        (dict[UUID, int], {UUID(int=1): 1, str(UUID(int=1)): 2}, "which would come back as another one"),
        (dict[Path, int], {"a": 1, Path("a"): 2}, "which would come back as another one"),
        (dict[UUID | str, int], {str(UUID(int=1)): 1}, "which would come back as another one"),
        (dict[Path | Literal["a"], int], {"a": 1}, "which would come back as another one"),
        (dict[Literal["0", 0], int], {"0": 1}, "which would come back as another one"),
        (dict[Alike, int], {Alike.HALF: 1}, "which would come back as another one"),
    ],
)
def test_keys_that_are_the_same_in_json(hint, value, expected):
    """A key that would be read as another one is refused, alone and beside that one."""
    message, name = refusal(taking(hint), {"value": value})
    assert name == "value"
    assert expected in message
