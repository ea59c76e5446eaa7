"""Parameters that are models of pydantic: they arrive with all that they hold, or are refused."""

import threading
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest
from signatures import refusal, taking, there_and_back

from lateshift import codec


class Animal(pydantic.BaseModel):
    name: str


class Dog(Animal):
    barks: int


class Cat(Animal):
    pass


class Order(pydantic.BaseModel):
    pet: Animal
    note: str = pydantic.Field("", exclude=True)


@dataclass
class Shipment:
    order: Order


class Keeper(pydantic.BaseModel):
    name: str
    _lock: object = pydantic.PrivateAttr(default_factory=threading.Lock)


class Zoo(pydantic.BaseModel):
    keepers: list[Keeper]
    by_name: dict[str, Keeper]


REX = Dog(name="rex", barks=3)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Animal, REX),
        (Animal, Cat(name="tom")),
        (Animal | int, REX),
        (list[Animal], [Animal(name="a"), REX]),
        (Order, Order(pet=REX)),
        (Order | int, Order(pet=REX)),
        (Order, Order(pet=Animal(name="a"), note="b")),
        (dict[str, Order | None], {"a": Order(pet=Cat(name="tom"))}),
        (Shipment, Shipment(Order(pet=REX))),
        (Shipment, Shipment(Order(pet=Animal(name="a"), note="b"))),
        (Shipment, Shipment(type("Express", (Order,), {})(pet=Animal(name="a")))),
        (list[Shipment | None], [Shipment(Order(pet=REX))]),
    ],
)
def test_a_model_that_would_arrive_as_less_is_refused(hint, value):
    """A subclass would lose its own fields and its type, and an excluded field its value."""
    message, name = refusal(taking(hint), {"value": value})
    assert name == "value"
    assert "would not come back from JSON as it is" in message


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Dog, REX),
        (Dog | Cat, REX),
        (Order, Order(pet=Animal(name="a"))),
        (Shipment, Shipment(Order(pet=Animal(name="a")))),
        (list[Animal | None], [Animal(name="a"), None]),
    ],
)
def test_a_model_of_the_type_in_the_hint_arrives(hint, value):
    """As what it was."""
    assert there_and_back(hint, value) == value


def test_a_model_may_be_given_as_a_dict():
    """Its hint makes one of it."""
    assert there_and_back(Order, {"pet": {"name": "a"}, "note": "b"}) == Order(pet=Animal(name="a"), note="b")


def test_what_a_model_within_keeps_private_is_made_anew():
    """As of the model itself; it is neither stored nor compared."""
    keeper = Keeper(name="a")
    arrived = there_and_back(Zoo, Zoo(keepers=[keeper], by_name={"a": keeper}))
    assert [found.name for found in (*arrived.keepers, *arrived.by_name.values())] == ["a", "a"]


def test_a_model_is_dumped_and_read_no_more_than_needed():
    """Once to see that it comes back at all, once as its hint reads it."""
    reads = []

    class Counted(pydantic.BaseModel):
        name: str

        @pydantic.model_validator(mode="after")
        def count(self):
            reads.append(self)
            return self

    given = Counted(name="a")
    reads.clear()
    taking(Counted).check({"value": given}, 1000)
    assert len(reads) == 2


def test_a_result_may_leave_out_what_it_excludes():
    """A result is not made a model again, so the model itself says what of it is to be seen."""
    result: Any = Order(pet=REX, note="b")
    assert codec.decode(codec.encode(result, limit=1000)) == {"pet": {"name": "rex"}}
