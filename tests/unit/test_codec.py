"""JSON for results: what it carries, what it refuses, and that nothing changes silently."""

import subprocess
import sys
from array import array
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePosixPath, PureWindowsPath
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateshift.codec import NotJson, decode, encode, to_json
from lateshift.errors import ResultNotStorable

LIMIT = 1_048_576

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


def refusal(value, limit=LIMIT):
    """The message of the ResultNotStorable that encoding raises."""
    with pytest.raises(ResultNotStorable) as caught:
        encode(value, limit=limit)
    return str(caught.value)


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: float
    y: float


@attrs.define
class Size:
    width: int


class Struct(msgspec.Struct):
    name: str


class Model(pydantic.BaseModel):
    when: datetime
    tags: set[str] = set()


class Text(str):
    __slots__ = ()


class Number(int):
    pass


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - both kinds are in use


@given(plain)
def test_plain_values_survive(value):
    """What JSON knows comes back equal and of the same types, integers of any size included."""
    text = encode(value, limit=LIMIT)
    assert decode(text) == value
    assert repr(decode(text)) == repr(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ("ünïcode \x00 \n", '"ünïcode \\u0000 \\n"'),
        ((1, 2), "[1,2]"),
        ({"a": {3}}, '{"a":[3]}'),
        (OrderedDict(a=1), '{"a":1}'),
        ({1: 2}, '{"1":2}'),
        (datetime(2026, 1, 2, 3, 4, 5, 6, UTC), '"2026-01-02T03:04:05.000006Z"'),
        (date(2026, 1, 2), '"2026-01-02"'),
        (timedelta(seconds=1.5), '"PT1.5S"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Decimal("1.10"), '"1.10"'),
        (Colour.RED, '"red"'),
        (b"\xff", '"/w=="'),
        (PurePosixPath("a/b"), '"a/b"'),
        (PureWindowsPath("a/b"), '"a\\\\b"'),
        (Point(1, 2.5), '{"x":1,"y":2.5}'),
        (Size(3), '{"width":3}'),
        (Struct("n"), '{"name":"n"}'),
        (Pair(1, "b"), '[1,"b"]'),
        (Model(when=datetime(2026, 1, 2, tzinfo=UTC), tags={"a"}), '{"when":"2026-01-02T00:00:00Z","tags":["a"]}'),
        (Text("text"), '"text"'),
        (Number(7), "7"),
        ([Text("x"), {"k": Number(1)}], '["x",{"k":1}]'),
    ],
)
def test_values_have_a_known_text(value, text):
    """Each supported type has one JSON form."""
    assert encode(value, limit=LIMIT) == text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("wrap", [lambda n: n, lambda n: [n], lambda n: {"a": ({"b": n},)}, lambda n: Point(n, 1)])
def test_nan_and_infinity_are_refused(number, wrap):
    """They would be written as null: they are refused wherever they stand."""
    assert "which JSON does not know" in refusal(wrap(number))


def test_null_by_itself_is_no_reason():
    """A None beside finite numbers is fine."""
    assert encode([None, 1.5, {"a": None}, "null"], limit=LIMIT) == '[null,1.5,{"a":null},"null"]'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (object(), "type object, which JSON cannot hold; use its id or plain values instead"),
        (array("d"), "type array.array, which JSON cannot hold; use what its .tolist() gives instead"),
        ({(1, 2): 3}, "a dict with a tuple as a key: in JSON keys are text"),
        ([1, {"a": object()}], "type object"),
        (1j, "type complex"),
        (range(3), "type range"),
        (iter([1]), "type list_iterator"),
        (ValueError("x"), "type ValueError"),
        (Path.read_text, "type function"),
        (Point, "type type"),
        ("\ud800", "surrogate"),
    ],
)
def test_what_json_cannot_hold_is_refused(value, expected):
    """Anything else is refused, naming the type and what to do."""
    message = refusal(value)
    assert expected in message
    assert message.startswith("The job ran, but its result cannot be stored: ")


def test_a_value_that_contains_itself():
    """A cycle is refused and does not end the process."""
    cycle = []
    cycle.append(cycle)
    assert "contains itself" in refusal(cycle)


def test_a_type_that_breaks_while_it_is_read():
    """An error in the user's own type becomes a refusal with its message."""

    class Broken(pydantic.BaseModel):
        x: int

        @pydantic.model_serializer
        def dump(self):
            raise RuntimeError("bug in dump")

    with pytest.raises(NotJson):
        to_json(Broken(x=1))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({1: "a", "1": "b"}, "two keys that JSON writes as '1'"),
        ([{"a": ({Colour.RED: 1, "red": 2},)}], "two keys that JSON writes as 'red'"),
        (msgspec.Raw(b'{"a": 1, "a": 2}'), "two keys that JSON writes as 'a'"),
        (msgspec.Raw(b"{"), "a msgspec.Raw that is not JSON"),
        (msgspec.Raw(b'"\xff"'), "a msgspec.Raw that is not JSON"),
    ],
)
def test_a_result_that_would_be_read_as_another(value, expected):
    """Of two keys that are the same in JSON one would be gone; what is no JSON could not be read at all."""
    assert expected in refusal(value)


def test_space_in_a_result_is_no_reason():
    """A msgspec.Raw may have some, which shows as a difference."""
    assert encode(msgspec.Raw(b'{ "a": 1 }'), limit=LIMIT) == '{ "a": 1 }'


def test_limit_is_in_bytes():
    """The limit counts UTF-8 bytes, and the message tells both numbers and the setting."""
    assert encode("ä", limit=4) == '"ä"'
    message = refusal("ää", limit=5)
    assert "6 bytes" in message
    assert "LATESHIFT_MAX_RESULT is 5" in message


def test_a_model_with_a_secret_is_refused():
    """pydantic writes a SecretStr as stars; that is refused rather than stored."""

    class Login(pydantic.BaseModel):
        password: pydantic.SecretStr

    assert "would not come back" in refusal(Login(password="geheim"))


def test_a_model_with_nan_is_refused():
    """A NaN inside a pydantic model is found as well."""

    class Measure(pydantic.BaseModel):
        value: float

    assert "cannot be stored" in refusal(Measure(value=float("nan")))


def test_aliases_of_models():
    """A pydantic model is stored by its aliases, by which it can be read again."""

    class Aliased(pydantic.BaseModel):
        inner: int = pydantic.Field(alias="outer")

    assert encode(Aliased(outer=3), limit=LIMIT) == '{"outer":3}'


def test_strict_models():
    """A strict pydantic model survives: it is read back as JSON, where a date is text."""

    class Strict(pydantic.BaseModel, strict=True):
        when: date

    assert encode(Strict(when=date(2026, 1, 2)), limit=LIMIT) == '{"when":"2026-01-02"}'


@pytest.mark.parametrize("text", ["", "{", "nope", "[1,]", "\ud800", "[" * 100_000])
def test_decoding_rubbish(text):
    """A text that is no JSON raises ValueError."""
    with pytest.raises(ValueError, match="not a JSON text"):
        decode(text)


def test_pydantic_is_never_imported():
    """Programs without pydantic do not get it."""
    code = (
        "import sys; from lateshift import codec; from lateshift.signature import Signature\n"
        "Signature.of(lambda x: x).check({'x': 1}, 100)\n"
        "try: codec.encode(object(), limit=9)\n"
        "except Exception: pass\n"
        "assert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
