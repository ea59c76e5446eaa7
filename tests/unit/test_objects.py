"""An object whose class would make another one of what is stored is refused, not changed in silence."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from threading import Lock
from typing import Any

import attrs
import msgspec
import pytest
from signatures import refusal, taking, there_and_back


@dataclass
class Price:
    cents: float

    def __post_init__(self):
        self.cents *= 100


@dataclass
class Tagged:
    tags: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self):
        self.tags.append("y")
        self.counts[str(len(self.counts))] = 1


@dataclass
class Shouting:
    words: list[str]

    def __post_init__(self):
        self.words = [f"{word}!" for word in self.words]


@dataclass
class Due:
    day: date
    price: Decimal = Decimal(1)

    def __post_init__(self):
        self.day += timedelta(days=1)


class Counted(msgspec.Struct):
    n: int

    def __post_init__(self):
        self.n += 1


@attrs.define
class Secretive:
    _key: str = "none"


@pytest.mark.parametrize(
    "value",
    [Price(1.5), Price(1), Tagged(), Shouting(["a"]), Due(date(2026, 1, 1)), Counted(1), Secretive("a")],
    ids=repr,
)
def test_what_would_become_another_is_refused(value):
    """Numbers, text, lists, dicts and days, by itself and within others."""
    assert "would come back as another one" in refusal(taking(type(value)), {"value": value})[0]
    assert "would come back as another one" in refusal(taking(list[type(value)] | None), {"value": [value]})[0]


@dataclass
class Steady:
    price: float = 1
    total: float = field(init=False, default=0)
    note: str | None = None
    at: datetime | None = None
    days: set[date] = field(default_factory=set)
    sizes: set[float] = field(default_factory=set)
    more: Any = None

    def __post_init__(self):
        self.total = self.price * 2
        self.note = self.note and self.note.strip()


@attrs.define
class Locked:
    n: int
    _lock: Any = attrs.field(factory=Lock, eq=False)


class Berlin(tzinfo):
    """As it is in the hour that is there twice in October."""

    def utcoffset(self, moment):
        return timedelta(hours=1 if moment.fold else 2)

    def dst(self, _):
        return None


TWICE = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=Berlin())


@pytest.mark.parametrize(
    "value",
    [
        Steady(3, " a "),
        Steady(at=datetime(2026, 1, 1, tzinfo=UTC), days={date(2026, 1, 1), date(2026, 1, 2)}),
        Steady(sizes={1, 2, 3}, more={"a": [1, 2.5, "b"]}),
        Locked(1),
    ],
)
def test_what_stays_what_it_is_is_taken(value):
    """Whatever else its class does when an object is made."""
    assert there_and_back(type(value), value) == value


def test_a_dict_is_made_into_an_object_once():
    """What its class does to it is meant."""
    assert there_and_back(Price, {"cents": 1.5}) == Price(1.5)


def test_an_hour_that_is_there_twice():
    """A time of it is equal to none of another zone, though it is the same moment."""
    assert there_and_back(Steady, Steady(at=TWICE)).at.astimezone(UTC) == TWICE.astimezone(UTC)
