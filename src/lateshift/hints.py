"""Type hints as a signature has them, and in the form that msgspec can convert JSON by.

Most are the same. msgspec has no unions of types that look alike in JSON (`str | UUID`, `date | datetime`, two
dataclasses), nor of models with anything; those become an `Either`, which tries its members in turn. Of an Enum it can
check and convert members with text or, if they are ints themselves, numbers; any other becomes a `MemberOf`.
"""

from __future__ import annotations

import collections.abc
import contextlib
import sys
import types
import typing
from collections.abc import Callable, Iterable
from enum import Enum, Flag
from typing import Any, ClassVar, Final

import msgspec

from lateshift import codec

if typing.TYPE_CHECKING:
    import inspect


class _AnyMember(type):
    """msgspec asks whether what a hook made is of the type that it made it for; an Either's hook has seen to that."""

    def __instancecheck__(cls, instance: object) -> bool:
        return True


class Either(metaclass=_AnyMember):
    """Stands for one union of hints; `members` are in the order in which they are tried, plain text last.

    `with_none`: None is one more member, which msgspec sees to.
    """

    members: ClassVar[tuple[Any, ...]] = ()
    with_none: ClassVar[bool] = False


class MemberOf(metaclass=_AnyMember):
    """Stands for one Enum, whose members are stored as their values."""

    kind: ClassVar[type[Enum]]


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """As `inspect.signature`, also if a hint cannot be evaluated (a name only checkers see). Raises as that does."""
    import inspect  # 13 ms, though today dataclasses imports it as well

    if sys.version_info >= (3, 14):  # which evaluates hints when it is asked for them; before, they were text
        from annotationlib import Format

        return inspect.signature(function, annotation_format=Format.FORWARDREF)
    else:  # noqa: RET505 - mypy knows which branch is of which version
        return inspect.signature(function)


def resolve_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The hints of a function's parameters; one that cannot be evaluated (a name only checkers see) is left out."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # NameError mostly; a hint may be any expression
        return dict(_one_by_one(function))


def unpacked(hint: Any) -> dict[str, tuple[Any, bool]] | None:
    """The hint of each key of an `Unpack[...]`, and whether it is required; None for any other hint."""
    inner = typing.get_args(hint)[0] if _form(hint) == "Unpack" else None
    typed: Any = typing.get_origin(inner) or inner
    if not hasattr(typed, "__required_keys__"):
        return None
    hints = resolve_hints(typed)
    for_variables = dict(zip(getattr(typed, "__parameters__", ()), typing.get_args(inner), strict=False))
    keys = typed.__required_keys__ | typed.__optional_keys__
    return {
        name: _item(_filled_in(hints.get(name, Any), for_variables), required=name in typed.__required_keys__)
        for name in [*hints, *sorted(keys - hints.keys())]
    }


class Nothing:
    """Stands for a hint that nothing stored can be converted to."""


def supported(hint: Any) -> Any:
    """A hint in a form that msgspec takes. Raises TypeError, or what the hint itself raises, if there is none."""
    if hint is object:
        return Any
    if typing.get_origin(hint) is collections.abc.Iterable:
        return supported(list[typing.get_args(hint)])  # type: ignore[misc]
    if _is_other_enum(hint):
        return type("MemberOf", (MemberOf,), {"kind": hint})
    problem = _problem(hint)
    if problem is None and not _holds_other_enum(hint):
        return hint
    other = _rebuilt(hint)
    if other is not None:
        problem = _problem(other)
    if problem is not None:
        raise TypeError(problem)
    return other


def wire_hook(kind: Any, value: Any) -> Any:
    """Converts what comes from JSON to a type that msgspec does not know."""
    if isinstance(kind, type) and issubclass(kind, Either):
        return _read(kind, value)[1]
    if isinstance(kind, type) and issubclass(kind, MemberOf):
        return _member(kind.kind, value)
    return codec.decode_hook(kind, value)


def value_hook(kind: Any, value: Any) -> Any:
    """Checks a value that is about to be stored against a type that msgspec does not know."""
    if isinstance(kind, type) and issubclass(kind, Either):
        return _checked_member(kind, value)
    if isinstance(kind, type) and issubclass(kind, MemberOf):
        return _checked_enum(kind.kind, value)
    if isinstance(kind, type) and isinstance(value, kind):
        return value  # of a subclass, what arrives is compared
    return codec.decode_hook(kind, value)


_UNIONS: Final = (typing.Union, types.UnionType)
_TEXT_LAST: Final[dict[Any, int]] = {str: 2, bytes: 1}
_ENDLESS: Final = (
    "an alias in it contains itself or a name in quotes, as only a class can; Any takes all that JSON itself knows"
)


def _one_by_one(function: Callable[..., Any]) -> typing.Iterator[tuple[str, Any]]:
    import inspect  # 13 ms, though today dataclasses imports it as well

    inner = inspect.unwrap(function)
    if sys.version_info >= (3, 14):
        from annotationlib import Format

        written = inspect.get_annotations(function, format=Format.FORWARDREF)
    else:
        written = inspect.get_annotations(function)
    for name, hint in written.items():
        holder = types.SimpleNamespace(__annotations__={name: hint})
        with contextlib.suppress(Exception):  # NameError mostly; this one hint is left out
            yield name, typing.get_type_hints(holder, getattr(inner, "__globals__", {}), include_extras=True)[name]


def _form(hint: Any) -> str | None:
    """The special form that a hint has around it, as "Unpack"; typing_extensions has some of its own."""
    return getattr(typing.get_origin(hint), "_name", None)


def _item(hint: Any, *, required: bool) -> tuple[Any, bool]:
    """What `__required_keys__` says of a key is overruled by its hint, which it cannot see where hints are text."""
    while (form := _form(hint)) in ("Required", "NotRequired", "ReadOnly"):
        required = required if form == "ReadOnly" else form == "Required"
        hint = typing.get_args(hint)[0]
    return hint, required


def _problem(hint: Any) -> str | None:
    try:
        msgspec.json.Decoder(hint, dec_hook=wire_hook)
    except (RecursionError, TypeError) as error:
        if isinstance(error, RecursionError) or "ForwardRef(" in str(error):
            raise TypeError(_ENDLESS) from None
        return str(error).partition(" - type ")[0]
    return None


def _meaning(hint: Any) -> Any:
    """What a hint says under a name of its own: an alias, a NewType, a TypeVar with bounds. Of any other, itself."""
    alias = typing.get_origin(hint) or hint
    if isinstance(hint, typing.NewType):
        meaning: Any = hint.__supertype__
    elif isinstance(hint, typing.TypeVar):
        constraints = hint.__constraints__
        meaning = typing.Union[constraints] if constraints else hint.__bound__ or hint  # noqa: UP007 - of any number
    elif type(alias).__name__ == "TypeAliasType":  # in `typing` since Python 3.12, before that in typing_extensions
        meaning = _filled_in(alias.__value__, dict(zip(alias.__type_params__, typing.get_args(hint), strict=False)))
    else:
        return hint
    return meaning if meaning is hint else _meaning(meaning)


def _filled_in(hint: Any, arguments: dict[Any, Any]) -> Any:
    """A hint with arguments in the place of its type variables."""
    variables = getattr(hint, "__parameters__", ())
    if not variables:
        return arguments.get(hint, hint) if isinstance(hint, typing.TypeVar) else hint
    return hint[tuple(arguments.get(variable, Any) for variable in variables)]


def _is_other_enum(hint: Any) -> bool:
    if not isinstance(hint, type) or not issubclass(hint, Enum) or issubclass(hint, str | int):
        return False
    return not all(isinstance(member.value, str) for member in hint)


def _holds_other_enum(hint: Any) -> bool:
    meaning = _meaning(hint)
    parts = typing.get_args(hint) if meaning is hint else (meaning,)
    return any(_is_other_enum(part) or _holds_other_enum(part) for part in parts)


def _member(kind: type[Enum], value: Any) -> Enum:
    """The member that a value from JSON stands for."""
    if issubclass(kind, Flag) and type(value) is int:
        return kind(value)
    for member in kind:
        plain = _plain(member.value)
        if plain == value and type(plain) is type(value):
            return member
    raise ValueError(f"invalid enum value {value!r}")


def _checked_enum(kind: type[Enum], value: Any) -> Enum:
    """A member, or what stands for it, if it comes back from JSON as what it is."""
    if isinstance(value, Enum) and not isinstance(value, kind):
        raise TypeError(f"expected `{kind.__qualname__}`, got `{type(value).__qualname__}`")
    member = _member(kind, _plain(value))
    if isinstance(value, kind) and member != value:
        raise ValueError(f"{value} would arrive as {member}, as JSON cannot tell their values apart")
    return member


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    return codec.decode(codec.to_json(value).decode())


def _rebuilt(hint: Any) -> Any:
    """A hint with its parts made supported, or None if it has no parts that could be."""
    meaning = _meaning(hint)
    if meaning is not hint:
        return supported(meaning)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return typing.Annotated[(supported(arguments[0]), *arguments[1:])]
    if origin in _UNIONS:
        return _either(arguments)
    if origin is None or origin is typing.Literal or not arguments:
        return None
    parts = tuple(part if part is Ellipsis else supported(part) for part in arguments)
    return origin[parts] if parts != arguments else None


def _either(union: Iterable[Any]) -> Any:
    arguments = tuple(_flat(union))
    members = [supported(argument) for argument in arguments if argument is not type(None)]
    members.sort(key=lambda member: _TEXT_LAST.get(getattr(member, "__origin__", member), 0))  # of Annotated
    with_none = type(None) in arguments
    either = type("Either", (Either,), {"members": tuple(members), "with_none": with_none})
    return either | None if with_none else either


def _flat(union: Iterable[Any]) -> typing.Iterator[Any]:
    """The members of a union, of which some may be unions by another name."""
    for member in union:
        meaning = _meaning(member)
        if typing.get_origin(meaning) in _UNIONS:
            yield from _flat(typing.get_args(meaning))
        else:
            yield meaning


def _read(kind: type[Either], value: Any) -> tuple[Any, Any]:
    """The member that takes a value from JSON, and what it makes of it."""
    text = codec.to_json(value)  # as only `json.decode` asks the hook for the keys of a dict
    return _first_fit(kind.members, lambda member: msgspec.json.decode(text, type=member, dec_hook=wire_hook))


def _first_fit(members: Iterable[Any], convert: Callable[[Any], Any]) -> tuple[Any, Any]:
    problems = []
    for member in members:
        try:
            return member, convert(member)
        except Exception as error:  # a user's type may raise anything
            problems.append(str(error).partition("\n")[0])
    raise ValueError("; ".join(dict.fromkeys(problems)))


def _taken(kind: type[Either], value: Any) -> tuple[Any, Any]:
    """The member that takes a value that is to be stored, if possible as it is, and what it makes of it."""

    def convert(member: Any) -> Any:
        return msgspec.convert(value, member, dec_hook=value_hook)

    def keep(member: Any) -> Any:
        result = convert(member)
        if type(result) is type(value) and result == value:
            return result
        raise TypeError

    try:
        return _first_fit(kind.members, keep)
    except ValueError:
        return _first_fit(kind.members, convert)


def _checked_member(kind: type[Either], value: Any) -> Any:
    """The value, if it comes back from JSON as what it is: a union may not tell two members apart."""
    member, result = _taken(kind, value)
    plain = _plain(value)
    reader, back = (None, None) if plain is None and kind.with_none else _read(kind, plain)
    sent = list(result) if isinstance(result, tuple) and type(back) is list else result
    if type(back) is not type(sent):
        change = type(back).__name__
    elif reader is not member and back != sent:  # a class may know no equality, but then its member reads it
        change = "another one"
    else:
        return result
    advice = ": without `str` the hint takes text as well" if type(value) is str and str in kind.members else ""
    raise ValueError(
        f"a {type(value).__name__} like this would arrive as {change}, as JSON cannot tell the types of the hint apart"
        f"{advice}"
    )
