"""Where a hint leaves the type of a value open, what would arrive as something else is refused, and nothing more."""

import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from signatures import LIMIT, refusal, taking, there_and_back

from lateshift.errors import InvalidParameters
from lateshift.signature import Signature

DAY = date(2026, 1, 2)
Payload = NewType("Payload", dict)


@dataclass
class Order:
    day: date
    extra: dict = field(default_factory=dict)
    parts: "list[Order]" = field(default_factory=list)


@attrs.define
class Parcel:
    extra: Any


class Struct(msgspec.Struct):
    extra: Any


class Named(NamedTuple):
    name: str
    extra: Any = None


class Typed(TypedDict, total=False):
    extra: dict


@dataclass(frozen=True)
class Frozen:
    x: int
    y: int = 0


class Discounted(Order):
    pass


@dataclass(frozen=True)
class Special(Frozen):
    discount: int = 5


@attrs.define
class Letter(Parcel):
    stamp: str = ""


class Camel(msgspec.Struct, rename="camel", tag=True):
    first_line: Frozen


class Pair(NamedTuple):
    line: Frozen


@dataclass
class Holder:
    text: str = ""
    lines: list[Frozen] = field(default_factory=list)
    unique: frozenset[Frozen] = frozenset()
    camel: Camel | None = None
    pair: Pair | None = None
    when: datetime | None = None


CHANGED = [
    (tuple, (DAY, Decimal(1))),
    (tuple[Any, ...], (1, DAY)),
    (tuple[str, Any], ("a", DAY)),
    (set, {UUID(int=1)}),
    (set[Any], {1, UUID(int=1)}),
    (frozenset, frozenset({DAY})),
    (Payload, {"day": DAY}),
    (Order, Order(DAY, {"day": DAY})),
    (Order, {"day": DAY, "extra": {"day": DAY}}),
    (Order, Order(DAY, parts=[Order(DAY, {"a": [DAY]})])),
    (list[Parcel], [Parcel(1), Parcel(Decimal(1))]),
    (Struct, Struct({1: 2})),
    (Named, Named("a", DAY)),
    (Typed, {"extra": {"day": DAY}}),
    (Order | dict, {"extra": DAY}),
    (Annotated[dict[UUID, Any], "note"], {UUID(int=1): DAY}),
    (dict[Any, Any], {"1": 1, 1: 2}),
    (dict[int, dict], {7: {8: 1}}),
    (date | dict[str, Any], {"day": DAY}),
]


@pytest.mark.parametrize(("hint", "value"), CHANGED)
def test_what_would_change_is_refused(hint, value):
    """Wherever the open part is: in a container, behind another name, in a field of a class."""
    message, name = refusal(taking(hint), {"value": value})
    assert name == "value"
    assert "no type hint that brings it back" in message


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (
            Frozen,
            Special(1),
            "a Special that would not come back from JSON as it is: its type hint makes a Frozen of it",
        ),
        (list[Order], [Order(DAY), Discounted(DAY)], "a Discounted that would not come back"),
        (list[Frozen], {Frozen(1), Special(1)}, "a Special that would not come back"),
        (Frozen | int, Special(1), "a Special that would not come back"),
        (Holder, Holder(lines=[Special(1)]), "a Special that would not come back"),
        (Holder, Holder(unique=frozenset({Frozen(1), Special(1)})), "a Special that would not come back"),
        (Holder, Holder(camel=Camel(Special(1))), "a Special that would not come back"),
        (Holder, Holder(pair=Pair(Special(1))), "a Special that would not come back"),
        (Holder, Holder(pair=type("Two", (Pair,), {})(Frozen(1))), "a Two that would not come back"),
        (Holder, {"lines": [Special(1)]}, "a Special that would not come back"),
        (Holder, Holder(text=UUID(int=1)), "a value of type UUID"),
        (
            Holder,
            Holder(when=datetime(2026, 1, 2, tzinfo=timezone(timedelta(seconds=9)))),
            "offset from UTC has seconds",
        ),
        (Holder, {"txet": "a"}, "the key 'txet', for which its type hint has no place"),
        (Camel, {"firstLine": {"x": 1}, "first_line": 1}, "the key 'first_line'"),
        (dict[str, Typed], {"a": {"extra": {}, "more": 1}}, "the key 'more'"),
        (Parcel, Letter(1), "a Letter that would not come back"),
    ],
)
def test_what_fits_but_would_arrive_as_less_is_refused(hint, value, expected):
    """However deep: objects of subclasses, keys that are not known, what no hint of a field would bring back."""
    message, name = refusal(taking(hint), {"value": value})
    assert name == "value"
    assert expected in message


def test_a_refusal_of_less_does_not_tell_what_is_hidden():
    """A key may be a secret, and so may all under a name that is hidden."""
    with pytest.raises(InvalidParameters) as caught:
        taking(Typed).check({"value": {"geheim": 1}}, LIMIT, ["value"])
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Holder, Holder("a", [Frozen(1)], frozenset({Frozen(1), Frozen(2)}), Camel(Frozen(1)), Pair(Frozen(1)))),
        (Camel, Camel(Frozen(1))),
        (dict[int, dict], {7: {"n": 1}}),
        (date | dict[str, Any], DAY),
        (date | dict[str, Any], {"day": "today"}),
        (Order | dict, Order(DAY, {"n": [1, None]})),
        (Order | dict, {"n": 1}),
        (Order, Order(DAY, {"n": {"m": 1.5}}, [Order(DAY)])),
        (tuple[date, Any], (DAY, "a")),
        (tuple, (1, "a", None)),
        (set, {1, "a", None}),
        (dict[date, Any], {DAY: [1]}),
        (Named, Named("a", [True])),
        (Parcel, Parcel({"a": 1})),
        (Typed, {"extra": {"a": 1}}),
        (Payload, {"a": 1}),
        (Sequence[Order], [Order(DAY)]),
    ],
)
def test_what_stays_the_same_is_taken(hint, value):
    """An open part takes what JSON knows, and what is beside it what its own hint brings back."""
    assert there_and_back(hint, value) == value


@pytest.mark.parametrize(
    ("hint", "value", "arrived"),
    [
        (Order, {"day": "2026-01-02"}, Order(DAY)),
        (dict[date, Any], {"2026-01-02": (1,)}, {DAY: [1]}),
        (Order, Order(DAY, {"a": (1, 2)}), Order(DAY, {"a": [1, 2]})),
        (list[int], {1}, [1]),
        (list[Frozen], {Frozen(1)}, [Frozen(1)]),
        (list[int] | tuple[int, ...], (1,), [1]),
        (set[Frozen], [{"x": 1}, Frozen(1)], {Frozen(1)}),
        (set[date | Any], ["2026-01-02"], {"2026-01-02"}),
        (Camel, {"type": "Camel", "firstLine": {"x": 1}}, Camel(Frozen(1))),
        (Holder, {"pair": [{"x": 1}]}, Holder(pair=Pair(Frozen(1)))),
        (Holder, Holder(lines=(Frozen(1),)), Holder(lines=[Frozen(1)])),
    ],
)
def test_what_a_hint_converts_on_purpose_is_taken(hint, value, arrived):
    """A date may be given as text, a tuple where JSON has lists."""
    assert there_and_back(hint, value) == arrived


def test_an_open_hint_of_keywords():
    """The same for what `**` takes, beside parameters with hints."""

    def job(day: date, **others: Order | Any):
        pass

    signature = Signature.of(job)
    given = {"day": DAY, "order": "a", "n": [1]}
    assert signature.bind(signature.check(given, LIMIT)) == given
    assert refusal(signature, given | {"late": (1, DAY)})[1] == "late"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement came with Python 3.12")
def test_an_alias_of_an_open_type():
    """`type Payload = dict[str, Any]` is as open as what it stands for."""
    names: dict[str, Any] = {"Any": Any}
    exec("type Payload = dict[str, Any]", names)  # which Python 3.11 cannot read
    assert refusal(taking(names["Payload"]), {"value": {"day": DAY}})[1] == "value"
    assert there_and_back(names["Payload"], {"day": 1}) == {"day": 1}


def test_what_msgspec_cannot_describe_is_compared(monkeypatch):
    """Its releases before 0.22 raise TypeError for a Literal of several types, which their decoders know."""

    def fails(_):
        raise TypeError("'<' not supported between instances of 'int' and 'str'")

    monkeypatch.setattr("lateshift.openness.type_info", fails)
    mode = Literal["a", 3]
    for value in ("a", 3):
        assert there_and_back(mode, value) == value


class Locked(pydantic.BaseModel):
    name: str
    _lock: object = pydantic.PrivateAttr(default_factory=threading.Lock)


def test_what_a_model_keeps_private_is_made_anew():
    """It is no part of what is stored, and none of what is compared."""
    arrived = there_and_back(Locked, Locked(name="a"))
    assert (arrived.name, type(arrived._lock)) == ("a", type(threading.Lock()))


BIG = 2**53 + 1


@dataclass
class Measure:
    size: float


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (float, BIG),
        (float | None, -BIG),
        (list[float], [1, 2.5, BIG]),
        (dict[float, int], {BIG: 1}),
        (tuple[int, float], (BIG, BIG)),
        (Measure, Measure(BIG)),
        (Measure, {"size": BIG}),
        (float | date, BIG),
    ],
)
def test_a_number_that_a_float_would_round(hint, value):
    """It is refused; a smaller whole number is taken."""
    message, name = refusal(taking(hint), {"value": value})
    assert name == "value"
    assert "which is rounded as a float" in message


def test_a_number_that_is_a_float_as_well():
    """All whole numbers to 2**53, and some beyond."""
    for number in (1, 2**53, 2**60):
        assert there_and_back(float, number) == number


class ManyValues(dict):
    """Holds a list for each key and shows the last member: Django's `request.POST`, `MultiDict` of werkzeug."""

    def items(self):
        return [(key, values[-1]) for key, values in super().items()]


FORM = ManyValues({"email": ["a@b.c"]})


@pytest.mark.parametrize(
    ("hint", "value"),
    [(dict, FORM), (Any, FORM), (dict[str, Any], {"form": FORM}), (Order, Order(DAY, FORM)), (list, [FORM])],
)
def test_a_dict_that_holds_other_values_than_it_shows(hint, value):
    """The job was given the lists, of which the caller sees nothing. A subclass that shows what it holds is taken."""
    message, name = refusal(taking(hint), {"value": value})
    assert name == "value"
    assert "it has a ManyValues, which holds other values than its items() are: pass a plain dict" in message
    assert there_and_back(dict, OrderedDict(a=[1])) == {"a": [1]}


def test_such_a_dict_is_no_dict_of_parameters():
    """Nor are its values refused one by one, for they look right."""
    for parameters in (ManyValues(value=["a"]), ManyValues(value=["a"], no=["b"])):
        message, name = refusal(taking(list), parameters)
        assert name is None
        assert "a ManyValues, which holds other values" in message
