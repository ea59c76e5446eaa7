"""However hints are put together, a value of one arrives as what it was, or is refused: nothing changes on the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum, Flag
from operator import or_
from pathlib import Path
from typing import Annotated, Literal, NewType, TypeVar
from uuid import UUID

from hypothesis import event, given, settings
from hypothesis import strategies as st
from signatures import LIMIT, taking
from typing_extensions import TypeAliasType

from lateshift.errors import InvalidParameters


class Mixed(Enum):
    TEXT = "0"
    NUMBER = 0
    DAY = date(2026, 1, 2)


class Right(Flag):
    READ = 1
    WRITE = 2


@dataclass(frozen=True)
class Line:
    number: int
    text: str = ""


# Their values look alike in JSON on purpose.
SIMPLE = [
    (str, st.sampled_from(["", "0", "2026-01-02", str(UUID(int=0))])),
    (int, st.integers(0, 3)),
    (float, st.sampled_from([0.0, 0.5])),
    (bool, st.booleans()),
    (UUID, st.just(UUID(int=0))),
    (Path, st.sampled_from([Path("0"), Path("a/b")])),
    (date, st.just(date(2026, 1, 2))),
    (bytes, st.sampled_from([b"", b"0"])),
    (Literal["0", 0], st.sampled_from(["0", 0])),
    (Mixed, st.sampled_from(Mixed)),
    (Right, st.sampled_from([Right(0), *Right])),
    (Line, st.builds(Line, st.integers(0, 3))),
    (type(None), st.none()),
]


def can_be_hashed(value):
    """Whether it may be a key or be in a set."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


def around(pair):
    """A hint with another one around it or under another name, and values of it."""
    hint, values = pair
    hashable = values.filter(can_be_hashed)
    return st.sampled_from(
        [
            (list[hint], st.lists(values, max_size=2)),
            (tuple[hint, ...], st.lists(values, max_size=2).map(tuple)),
            (tuple[hint, int], st.tuples(values, st.integers(0, 3))),
            (Mapping[str, hint], st.dictionaries(st.sampled_from(["", "0"]), values)),
            (dict[hint, int], st.dictionaries(hashable, st.integers(0, 3), max_size=2)),
            (frozenset[hint], st.frozensets(hashable, max_size=2)),
            (Annotated[hint, "note"], values),
            (NewType("New", hint), values),
            (TypeVar("Bound", bound=hint), values),
            (TypeAliasType("Alias", hint), values),
        ]
    )


def union(pairs):
    """A union of two hints, and values of both."""
    (one, values), (other, others) = pairs
    return or_(one, other), values | others


typed_values = st.recursive(
    st.sampled_from(SIMPLE),
    lambda inner: inner.flatmap(around) | st.tuples(inner, inner).map(union),
    max_leaves=4,
).flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1]))


def same(given, arrived):
    """Whether nothing is another type, but for tuples that may be lists and numbers that are equal."""
    if isinstance(given, list | tuple):
        kinds = (type(given), list)
        return type(arrived) in kinds and len(given) == len(arrived) and all(map(same, given, arrived))
    if isinstance(given, dict | frozenset):
        pairs = given.items() if isinstance(given, dict) else given
        others = arrived.items() if isinstance(arrived, dict) else arrived
        return len(given) == len(arrived) and all(any(same(one, other) for other in others) for one in pairs)
    return given == arrived and (type(given) is type(arrived) or isinstance(given, int | float))


@settings(max_examples=150, deadline=None)
@given(typed_values)
def test_it_arrives_or_is_refused(typed):
    """Of every hint that is made of supported ones."""
    hint, value = typed
    signature = taking(hint)
    assert signature.parameters[0].problem is None
    try:
        text = signature.check({"value": value}, LIMIT)
    except InvalidParameters:
        event("refused")
        return
    assert same(value, signature.bind(text)["value"])
