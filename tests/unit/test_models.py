"""Parameters that are models of pydantic: they arrive with all that they hold, or are refused."""

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
        (list[Animal | None], [Animal(name="a"), None]),
    ],
)
def test_a_model_of_the_type_in_the_hint_arrives(hint, value):
    """As what it was."""
    assert there_and_back(hint, value) == value


def test_a_model_may_be_given_as_a_dict():
    """Its hint makes one of it."""
    assert there_and_back(Order, {"pet": {"name": "a"}, "note": "b"}) == Order(pet=Animal(name="a"), note="b")


def test_a_result_may_leave_out_what_it_excludes():
    """A result is not made a model again, so the model itself says what of it is to be seen."""
    result: Any = Order(pet=REX, note="b")
    assert codec.decode(codec.encode(result, limit=1000)) == {"pet": {"name": "rex"}}
