"""Parameters of every supported type arrive as they were given, and wrong ones are named."""

import collections.abc
import math
from array import array
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum, auto
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, NewType, NotRequired, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signatures import refusal, taking, there_and_back

from lateshift.errors import InvalidParameters

if TYPE_CHECKING:
    pass


SECONDS = timezone(timedelta(hours=1, seconds=9))


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Word(StrEnum):
    YES = "yes"


class Number(Enum):
    ONE = auto()
    TWO = auto()


class Mixed(Enum):
    NOTHING = None
    HALF = 0.5
    TEXT = "0.5"
    PAIR = (1, ("a", 2))
    DAY = date(2026, 1, 2)


class Permission(Flag):
    READ = auto()
    WRITE = auto()


class Mode(IntFlag):
    FAST = 1
    SAFE = 2


@dataclass
class Task:
    number: Number
    permission: Permission = Permission.READ


@dataclass
class Address:
    street: str
    zip_code: str = ""
    since: date | None = None


@dataclass(frozen=True)
class Line:
    product: UUID
    price: Decimal
    tags: list[str] = field(default_factory=list)


class Options(TypedDict):
    retries: int
    when: NotRequired[datetime]


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Struct(msgspec.Struct, frozen=True):
    name: str
    paths: tuple[Path, ...] = ()


class Model(pydantic.BaseModel):
    when: datetime
    price: Decimal = Decimal(0)


@attrs.frozen
class Size:
    width: int
    unit: Literal["cm", "in"] = "cm"


UserId = NewType("UserId", int)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
aware = st.datetimes(timezones=st.just(UTC))
decimals = st.decimals(allow_nan=False, allow_infinity=False, places=3)
floats = st.floats(allow_nan=False, allow_infinity=False)
spans = st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000))
addresses = st.builds(Address, texts, texts, st.none() | st.dates())
lines = st.builds(Line, st.uuids(), decimals, st.lists(texts, max_size=2))
paths = st.text("abc/._- ", min_size=1).map(Path)
naive_times = st.times()
scalars = [
    (int, st.integers(-(2**70), 2**70)),
    (float, floats),
    (bool, st.booleans()),
    (str, texts),
    (bytes, st.binary(max_size=20)),
    (datetime, aware | st.datetimes()),
    (date, st.dates()),
    (time, naive_times),
    (timedelta, spans),
    (UUID, st.uuids()),
    (Decimal, decimals),
    (Colour, st.sampled_from(Colour)),
    (Level, st.sampled_from(Level)),
    (Word, st.sampled_from(Word)),
    (Number, st.sampled_from(Number)),
    (Mixed, st.sampled_from(Mixed)),
    (Permission, st.sampled_from([Permission(0), *Permission, Permission.READ | Permission.WRITE])),
    (Mode, st.sampled_from([*Mode, Mode.FAST | Mode.SAFE])),
    (Task, st.builds(Task, st.sampled_from(Number), st.sampled_from(Permission))),
    (Path, paths),
    (PurePosixPath, paths.map(PurePosixPath)),
    (Address, addresses),
    (Line, lines),
    (Options, st.fixed_dictionaries({"retries": st.integers(0, 9)}, optional={"when": aware})),
    (Point, st.builds(Point, floats, floats)),
    (Struct, st.builds(Struct, texts, st.lists(paths, max_size=2).map(tuple))),
    (Model, st.builds(Model, when=aware, price=decimals)),
    (Size, st.builds(Size, st.integers(0, 9), st.sampled_from(["cm", "in"]))),
    (Literal["a", 3], st.sampled_from(["a", 3])),
    (UserId, st.integers(0, 99)),
    (Annotated[int, "note"], st.integers(0, 99)),
]
keys = [
    (str, texts),
    (int, st.integers(-99, 99)),
    (UUID, st.uuids()),
    (date, st.dates()),
    (Colour, st.sampled_from(Colour)),
]
hashable = [(hint, values) for hint, values in scalars if hint not in (Address, Options, Line, Model, Task, float)]


def containers(hint, values):
    """Containers and unions of one hint, with values for them."""
    lists = st.lists(values, max_size=3)
    choices = [
        (list[hint], lists),
        (tuple[hint, ...], lists.map(tuple)),
        (tuple[hint, int], st.tuples(values, st.integers(0, 9))),
        (dict[str, hint], st.dictionaries(texts, values, max_size=3)),
        (hint | None, st.none() | values.filter(lambda value: value is not Mixed.NOTHING)),
        (Sequence[hint], lists),
        (Mapping[str, list[hint]], st.dictionaries(texts, lists, max_size=2)),
    ]
    if any(hint is one for one, _ in hashable):
        choices += [(set[hint], st.sets(values, max_size=3)), (frozenset[hint], st.frozensets(values, max_size=3))]
    return st.sampled_from(choices)


typed_values = st.sampled_from(scalars).flatmap(
    lambda pair: st.one_of(st.just(pair), containers(*pair)).flatmap(lambda made: st.tuples(st.just(made[0]), made[1]))
)


@settings(max_examples=250, deadline=None)
@given(typed_values)
def test_every_type_and_containers_of_it_survive(typed):
    """What is enqueued arrives equal and of the same type, for every supported type and containers of them."""
    hint, value = typed
    arrived = there_and_back(hint, value)
    assert arrived == value
    assert type(arrived) is type(value)


@given(
    st.sampled_from(keys).flatmap(lambda pair: st.tuples(st.just(pair[0]), st.dictionaries(*[pair[1]] * 2, max_size=3)))
)
def test_dictionary_keys_survive(typed):
    """Dictionaries may have keys of the types that JSON writes as text."""
    key, value = typed
    assert there_and_back(dict[key, key], value) == value


@dataclass
class Cat:
    meows: int


@dataclass
class Dog:
    barks: int


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (str | UUID, "hello"),
        (str | UUID, UUID(int=7)),
        (UUID | None, None),
        (str | Path, "a/b"),
        (Path | None, Path("a")),
        (Path | int, 3),
        (datetime | date, date(2026, 1, 2)),
        (datetime | date, datetime(2026, 1, 2, tzinfo=UTC)),
        (datetime | timedelta | None, timedelta(seconds=3)),
        (Cat | Dog, Dog(2)),
        (Cat | Dog | None, None),
        (list[Cat | Dog], [Dog(2), Cat(1)]),
        (dict[str, list[UUID | str]], {"a": [UUID(int=7), "b"]}),
        (Model | int, 3),
        (Model | int, Model(when=datetime(2026, 1, 2, tzinfo=UTC))),
        (Annotated[str | UUID, "note"], UUID(int=7)),
        (int | str | float | None, 1.5),
        (Colour | str, Colour.RED),
        (Number | str, Number.TWO),
        (list[Permission | None], [Permission.READ | Permission.WRITE, None]),
        (Mixed | None, Mixed.PAIR),
    ],
)
def test_unions(hint, value):
    """Unions work also where their members look alike in JSON, as long as the value tells them apart."""
    if (hint, value) == (str | Path, "a/b"):
        with pytest.raises(InvalidParameters, match="cannot tell the types"):
            there_and_back(hint, value)
        return
    arrived = there_and_back(hint, value)
    assert arrived == value
    assert type(arrived) is type(value)


class Things(Enum):
    THIS = object()


class Alike(Enum):
    TUPLE = (1,)
    LIST = [1]  # noqa: RUF012 - a member, not shared state


def test_a_member_can_be_given_by_its_value():
    """As JSON has it, so that the command line can enqueue it."""
    assert there_and_back(Number, 2) is Number.TWO
    assert there_and_back(Mixed, [1, ["a", 2]]) is Mixed.PAIR
    assert there_and_back(list[Permission], [3]) == [Permission.READ | Permission.WRITE]


@dataclass
class Remark:
    of: Mixed


class Dial(TypedDict):
    number: Number


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (Remark, Remark(Mixed.HALF), "enums must contain either all str or all int values"),
        (Dial, {"number": Number.ONE}, "expected `int`, got `Number`"),
    ],
)
def test_where_an_enum_has_to_be_a_simple_one(hint, value, expected):
    """In fields of classes msgspec alone decides; what it cannot do is refused when enqueuing, as documented."""
    message, name = refusal(taking(hint), {"value": value})
    assert name == "value"
    assert expected in message


def test_ambiguous_unions_are_refused():
    """A text that would arrive as a UUID is refused rather than changed."""
    message, name = refusal(taking(str | UUID), {"value": str(UUID(int=7))})
    assert name == "value"
    assert "would arrive as UUID" in message
    assert "the types of the hint apart: without `str` the hint takes text as well" in message
    assert there_and_back(UUID, str(UUID(int=7))) == UUID(int=7)
    message, _ = refusal(taking(Cat | Dog), {"value": "x"})
    assert "expected `object`, got `str`" in message.lower()


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int, "5", "expected `int`, got `str`"),
        (int, True, "expected `int`, got `bool`"),
        (int, 1.5, "expected `int`, got `float`"),
        (int, None, "expected `int`, got `null`"),
        (str, 5, "expected `str`, got `int`"),
        (str, b"abc", "expected `str`, got `bytes`"),
        (str, UUID(int=1), "expected `str`, got `uuid`"),
        (str, date(2026, 1, 2), "expected `str`, got `date`"),
        (float, Decimal("1.5"), "expected `float`"),
        (date, datetime(2026, 1, 2, tzinfo=UTC), "expected `date`, got `datetime`"),
        (datetime, "yesterday", "invalid RFC3339"),
        (datetime, datetime(2026, 1, 2, tzinfo=SECONDS), "offset from UTC has seconds"),
        (list[time], [time(8, tzinfo=SECONDS)], "offset from UTC has seconds"),
        (UUID, "nope", "invalid UUID"),
        (Colour, "green", "invalid enum value 'green'"),
        (Number, 3, "invalid enum value 3"),
        (Number, "ONE", "invalid enum value 'ONE'"),
        (Number, True, "invalid enum value True"),
        (Number, Colour.RED, "expected `Number`, got `Colour`"),
        (Number, Level.LOW, "expected `Number`, got `Level`"),
        (Mixed, [1, ["a", 3]], "invalid enum value [1, ['a', 3]]"),
        (Permission, 8, "invalid"),
        (Permission, "1", "invalid enum value '1'"),
        (Things, Things.THIS, "which JSON cannot hold"),
        (Alike, Alike.LIST, "Alike.TUPLE"),
        (dict[Number, int], {Number.ONE: 1}, "invalid enum value '1'"),
        (Literal["a"], "b", "invalid enum value 'b'"),
        (list[int], [1, "2"], "expected `int`, got `str` - at `$[1]`"),
        (list[int], array("i"), "got `array.array`; the signature has value: list[int]: pass what its .tolist() gives"),
        (list[int], range(3), "expected `list`, got `range`"),
        (datetime, "2026-01-01", "invalid RFC3339 encoded datetime (2026-01-31T08:30:00)"),
        (timedelta, "3", "invalid ISO8601 duration (PT90S)"),
        (Address, {"zip_code": "1"}, "missing required field `street`"),
        (Address, Address(street=5), "expected `str`, got `int` - at `$.street`"),
        (Options, {}, "missing required field `retries`"),
        (Struct, Struct(name=5), "expected `str`, got `int` - at `$.name`"),
        (Model, {"when": "never"}, "when; input should be a valid datetime"),
        (Path, 3, "expected a path, got int"),
        (OrderedDict, OrderedDict(a=1), "`OrderedDict` cannot be made from JSON"),
        (list[int] | set[int], {1}, "a set like this would arrive as list"),
        (Mixed | None, Mixed.NOTHING, "a Mixed like this would arrive as NoneType"),
        (float, math.nan, "the number nan, which JSON does not know"),
        (float | None, math.inf, "the number inf, which JSON does not know"),
        (list[float], [1.0, math.nan], "the number nan"),
        (str, "\ud800", "surrogate"),
        (object, object(), "type object, which JSON cannot hold"),
        (dict[str, object], {"a": 1}, "for a value of any kind the hint is any - at `$[...]`"),
        (Exception, ValueError("x"), "which JSON cannot hold"),
        (Exception, "x", "`Exception` cannot be made from JSON"),
        (collections.abc.Callable, print, "cannot"),
        (dict[str, int], {1: 2}, "expected `str`, got `int`"),
    ],
)
def test_wrong_values_are_named(hint, value, expected):
    """A value that does not fit is refused with the parameter, the value, and what was expected."""
    message, name = refusal(taking(hint), {"value": value})
    assert name == "value"
    assert expected.lower() in message.lower()
    assert "The parameter 'value' of " in message
