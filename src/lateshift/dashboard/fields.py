"""The inputs of a form for a callable's parameters, made from its type hints, and what is typed there read as JSON.

An input that is left empty leaves its parameter out; one without a default that may be None becomes null.
"""

from __future__ import annotations

import re
import types
import typing
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum, Flag
from pathlib import PurePath
from typing import Any, Final, Literal

import msgspec

from lateshift import codec
from lateshift.dashboard.typed import read_json
from lateshift.hints import Either, MemberOf
from lateshift.parameters import Parameter
from lateshift.texts import shown

Kind = Literal["text", "int", "float", "date", "datetime", "choice", "json"]

_TEXTS: Final = (str, Decimal, uuid.UUID, time, PurePath)
"""Types that stand in JSON as a text, and are typed as one."""


@dataclass(frozen=True, slots=True)
class Field:
    """One input. `written` is the hint as the code has it, `default` what an empty input means.

    `choices` are (value, label), a value being JSON. `nullable` says that None is what an empty input means.
    """

    key: str
    label: str
    kind: Kind
    written: str = ""
    required: bool = False
    default: str = ""
    nullable: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    help: str = ""
    least: int | None = None
    most: int | None = None

    @property
    def input_type(self) -> str:
        """The type of its HTML input."""
        return {"int": "number", "float": "number", "date": "date", "datetime": "datetime-local"}.get(self.kind, "text")

    def read(self, text: str) -> Any:
        """The JSON value of what was typed, which is not empty. Raises ValueError."""
        return _READERS[self.kind](self, text)


def field_of(parameter: Parameter) -> Field:
    """The input for a parameter."""
    hint, nullable = _bare(parameter.hint)
    try:
        kind, choices = _kind(hint)
    except codec.NotJson:  # of a member: an Enum may have anything
        kind, choices = "json", ()
    if kind == "datetime" and _needs_zone(parameter.hint):
        kind = "text"
    help_ = parameter.problem or {
        "json": "As JSON: a text in quotes, a list in brackets.",
        "datetime": "Without a time zone.",
    }.get(kind, "")
    return Field(
        key=f"p.{parameter.name}",
        label=parameter.name,
        kind=kind,
        written=parameter.written.partition(": ")[2],
        required=parameter.required and not nullable,
        default=_default(parameter, choices, nullable=nullable),
        nullable=parameter.required and nullable,
        choices=choices,
        help=help_,
    )


def _bare(hint: Any) -> tuple[Any, bool]:
    """A hint without what an input does not care for, and whether it may be None."""
    nullable = False
    while True:
        arguments = typing.get_args(hint)
        if typing.get_origin(hint) is typing.Annotated:
            hint = arguments[0]
        elif typing.get_origin(hint) in (typing.Union, types.UnionType) and len(arguments) == 2:
            others = [each for each in arguments if each is not types.NoneType]
            if len(others) != 1:
                return hint, nullable
            hint, nullable = others[0], True
        elif isinstance(hint, type) and issubclass(hint, Either) and len(hint.members) == 1:
            hint = hint.members[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        else:
            return hint, nullable


def _kind(hint: Any) -> tuple[Kind, tuple[tuple[str, str], ...]]:
    if hint is bool:
        return "choice", (("true", "True"), ("false", "False"))
    if typing.get_origin(hint) is typing.Literal:
        return "choice", tuple((_json(value), str(value)) for value in typing.get_args(hint))
    if not isinstance(hint, type):
        return "json", ()
    if issubclass(hint, MemberOf):
        hint = hint.kind
    if issubclass(hint, Enum):
        return ("json", ()) if issubclass(hint, Flag) else ("choice", _members(hint))
    if hint in (int, float):
        return ("int" if hint is int else "float"), ()
    if issubclass(hint, date):
        return ("datetime" if issubclass(hint, datetime) else "date"), ()
    return ("text" if issubclass(hint, _TEXTS) else "json"), ()


def _members(kind: type[Enum]) -> tuple[tuple[str, str], ...]:
    return tuple((_json(member.value), member.name) for member in kind)


def _json(value: object) -> str:
    return codec.to_json(value).decode()


def _needs_zone(hint: Any) -> bool:
    extras = typing.get_args(hint)[1:] if typing.get_origin(hint) is typing.Annotated else ()
    return any(isinstance(extra, msgspec.Meta) and extra.tz for extra in extras)


def _default(parameter: Parameter, choices: tuple[tuple[str, str], ...], *, nullable: bool) -> str:
    """What an empty input means, in words."""
    if parameter.required:
        return "None" if nullable else ""
    if parameter.default is msgspec.UNSET:
        return "left out"
    try:
        label = dict(choices).get(_json(parameter.default))
    except codec.NotJson:  # a default may be anything
        label = None
    return label or shown(parameter.default)


def _whole(_: Field, text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,400}", text.strip(), re.ASCII):
        raise ValueError("give a whole number")
    return int(text)


def _number(_: Field, text: str) -> float:
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,4})?", text.strip(), re.ASCII | re.IGNORECASE):
        raise ValueError("give a number")
    return float(text)


def _chosen(field: Field, text: str) -> Any:
    if text not in dict(field.choices):
        raise ValueError(f"choose one of {', '.join(label for _, label in field.choices)}")
    return read_json(text)


def _moment(_: Field, text: str) -> str:
    """What a browser gives has no seconds when they are zero."""
    return f"{text}:00" if re.fullmatch(r"\d{4,6}-\d\d-\d\dT\d\d:\d\d", text, re.ASCII) else text


_READERS: Final[dict[Kind, Callable[[Field, str], Any]]] = {
    "text": lambda _, text: text,
    "date": lambda _, text: text,
    "datetime": _moment,
    "int": _whole,
    "float": _number,
    "choice": _chosen,
    "json": lambda _, text: read_json(text),
}
