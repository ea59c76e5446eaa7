"""What fits its hint and would not come back from JSON as it was: where the hint leaves the type open, or knows less.

msgspec takes an object of a hint's own class as it is and does not look inside. So what was given is compared with what
its hint makes of its JSON, where a hint has a part that may lose something.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from enum import Enum
from functools import lru_cache
from itertools import cycle
from typing import Any, Final, NamedTuple

from msgspec.inspect import (
    AnyType,
    CustomType,
    DataclassType,
    DateTimeType,
    DictType,
    Field,
    FloatType,
    IntType,
    LiteralType,
    NamedTupleType,
    StrType,
    StructType,
    TimeType,
    Type,
    TypedDictType,
    type_info,
)

from lateshift import codec
from lateshift.hints import Either


class Watch(NamedTuple):
    """What a hint, in the form that msgspec takes, asks to look for.

    `needed`: anything at all. `is_open`: what has no type in it. `text_keys`: keys that are text, and may be read as
    something else.
    """

    needed: bool
    is_open: bool
    text_keys: bool


def watch(hint: Any) -> Watch:
    """What to look for in the values of a hint, however deep."""
    try:
        parts = list(_parts(type_info(hint), set()))
    except Exception:  # msgspec before 0.22 cannot describe a Literal of several types; then the values are compared
        return Watch(needed=True, is_open=True, text_keys=False)
    is_open = any(isinstance(part, AnyType) for part in parts)
    return Watch(is_open or any(map(_may_lose, parts)), is_open, any(map(_has_text_keys, parts)))


def changed_by_json(given: object, arrived: object, watch: Watch) -> str | None:
    """What a value has that would be lost or become something else, or None. A tuple may become a list.

    `arrived` is the value as its hint brings it back. Of a value by a hint that is open, and of all within an object,
    nobody else has checked that it is of the type that it comes back as.
    """
    if isinstance(given, _SINGLE):
        return _lost(given, arrived, unchecked=False)
    waiting = [(given, arrived, watch.is_open)]
    while waiting:
        given, arrived, unchecked = waiting.pop()
        if watch.text_keys and isinstance(given, dict) and isinstance(arrived, dict):
            changed = next((key for key in given if isinstance(key, str) and key not in arrived), None)
            if changed is not None:
                return _another_key(changed)
        found = _compare(given, arrived, unchecked=unchecked)
        if isinstance(found, str):
            return found
        inside = unchecked or not isinstance(given, _CONTAINERS)
        for part, other in found:
            if not isinstance(part, _SINGLE):
                waiting.append((part, other, inside))
            elif (lost := _lost(part, other, unchecked=inside)) is not None:
                return lost
    return None


_SINGLE: Final = (str, int, float, type(None))
_CONTAINERS: Final = (dict, list, tuple, set, frozenset)
_LARGEST_EXACT: Final = 2**53  # all whole numbers to this one are floats as well
_PLAIN: Final = (*_SINGLE, dict, list, tuple)
_LOSSY: Final = (StructType, DataclassType, NamedTupleType, TypedDictType, DateTimeType, TimeType, FloatType)


def _parts(part: object, seen: set[int]) -> Iterator[object]:
    """All that a hint consists of, as msgspec describes it."""
    if isinstance(part, tuple):
        for inner in part:
            yield from _parts(inner, seen)
    elif isinstance(part, Type | Field) and id(part) not in seen:
        seen.add(id(part))  # classes may contain themselves
        yield part
        members = part.cls.members if isinstance(part, CustomType) and issubclass(part.cls, Either) else ()
        inner = [getattr(part, name) for name in part.__struct_fields__] + [type_info(hint) for hint in members]
        yield from _parts(tuple(inner), seen)


def _may_lose(part: object) -> bool:
    return isinstance(part, _LOSSY) or _is_custom(part) or _may_mix_keys(part)


def _is_custom(part: object) -> bool:
    """Whether a part is a model, or a union of which another member may take the JSON of what was given."""
    return isinstance(part, CustomType) and (codec.is_model(part.cls) or issubclass(part.cls, Either))


def _may_mix_keys(part: object) -> bool:
    """Whether a part is a dict of which JSON may write keys alike that differ, such as 1 and "1"."""
    return isinstance(part, DictType) and not isinstance(part.key_type, StrType | IntType)


def _has_text_keys(part: object) -> bool:
    """Whether a part is a dict with keys of text or something else: msgspec asks no hook about one that is text."""
    if not isinstance(part, DictType) or isinstance(part.key_type, StrType):
        return False
    return any(isinstance(each, StrType | LiteralType) for each in _parts(part.key_type, set()))


def _compare(given: object, arrived: object, *, unchecked: bool) -> str | Iterable[tuple[Any, Any]]:
    """What is lost of a value itself; if nothing is, its parts, as they were given and as they arrived."""
    if isinstance(given, dict) and isinstance(arrived, dict):
        return _compare_dicts(given, arrived)
    kind: Any = type(given)  # mypy does not know that types can be hashed, as lru_cache wants it
    became: Any = type(arrived)
    if kind is not became and _is_class(kind) and _is_class(became):
        return f"a {kind.__qualname__} that {_LESS}: its type hint makes a {became.__qualname__} of it"
    if isinstance(given, list | tuple) and isinstance(arrived, list | tuple):
        changed = len(given) != len(arrived) and not _is_class(became)  # a NamedTuple has defaults
        return _another(given) if changed else zip(given, arrived, strict=False)
    if isinstance(given, datetime | time) and (given.utcoffset() or timedelta()) % timedelta(minutes=1):
        return "a time whose offset from UTC has seconds, which would be lost: convert it with .astimezone(UTC)"
    if unchecked and isinstance(arrived, _PLAIN):
        return f"a value of type {kind.__qualname__}, {_NO_HINT}"
    if isinstance(arrived, _CONTAINERS) and isinstance(given, Iterable):
        return _members(given, arrived)
    names = _names(became)
    if isinstance(given, dict) and names is not None:
        return _compare_fields(given, arrived, names)
    if codec.is_model(kind) and not codec.are_alike(given, arrived):
        return f"a {kind.__qualname__} that {_LESS}: what it excludes is not stored, nor what a subclass in it adds"
    if names is None:
        return _another(given) if unchecked and kind is became and not _have_same_json(given, arrived) else ()
    return [(getattr(given, name), getattr(arrived, name)) for name in names.values() if hasattr(given, name)]


_LESS: Final = "would not come back from JSON as it is"
_NO_HINT: Final = (
    "and no type hint that brings it back from JSON as it was: give the parameter a hint that can be seen when the "
    "program runs, or pass plain values"
)


def _lost(given: object, arrived: object, *, unchecked: bool) -> str | None:
    """What of a text or number has become another one; a hint may have made a date of it, or a float that is equal."""
    if isinstance(given, int) and abs(given) > _LARGEST_EXACT and isinstance(arrived, float) and given != arrived:
        return f"the number {given}, which is rounded as a float"
    if not unchecked or given == arrived:
        return None
    differ = any(isinstance(given, kind) and isinstance(arrived, kind) for kind in (str, (int, float)))
    return _another(given) if differ else None


def _have_same_json(given: object, arrived: object) -> bool:
    """Of what has no fields; a time that is there twice, as clocks are put back, equals none of another zone."""
    try:
        return given == arrived or codec.to_json(given) == codec.to_json(arrived)
    except codec.NotJson:
        return True  # what attrs keeps private is not stored


def _another(given: object) -> str:
    return (
        f"a value of type {type(given).__qualname__} that would come back as another one: its class changes it when an "
        "object is made, or keeps it private"
    )


def hidden_items(given: dict[Any, Any]) -> str | None:
    """What a dict is, if it shows others than the values that it holds, which are stored: `request.POST` of Django."""
    kind = type(given)
    if kind.items is dict.items or dict(given.items()) == dict(dict.items(given)):
        return None
    return (
        f"a {kind.__qualname__}, which holds other values than its items() are: pass a plain dict, such as "
        "dict(data.items())"
    )


def _compare_dicts(given: dict[Any, Any], arrived: dict[Any, Any]) -> str | Iterable[tuple[Any, Any]]:
    if hidden := hidden_items(given):
        return hidden
    if given.keys() == arrived.keys():
        return [(inner, arrived[key]) for key, inner in given.items()]
    keys = dict(  # of which a hint may have made dates or numbers, in the same order
        zip(given, arrived if len(given) == len(arrived) else given, strict=True)
    )
    if len(given) < len(arrived):
        return _another(given)
    for key, other in keys.items():
        if not isinstance(key, str) and (other not in arrived or isinstance(other, str)):
            return f"a dict with the key {key!r}, which is no text, {_NO_HINT}"
        if other not in arrived and all(isinstance(each, str) for each in arrived):
            return _no_place(key)
        if other not in arrived or _is_another_key(key, other):
            return _another_key(key)
    return [*keys.items(), *((inner, arrived[keys[key]]) for key, inner in given.items())]


def _is_another_key(given: object, arrived: object) -> bool:
    """Whether a key is read as another one. Text may become what a hint makes of it, a value the member of an Enum."""
    if type(given) is type(arrived):
        return isinstance(given, Enum) and given is not arrived
    return given != arrived and not isinstance(given, str) and not isinstance(arrived, Enum | float)


def _compare_fields(
    given: Mapping[str, Any], arrived: object, names: Mapping[str, str]
) -> str | Iterable[tuple[Any, Any]]:
    """As `_compare`, for a dict of which a hint has made an object of a class with these fields."""
    tag = getattr(getattr(type(arrived), "__struct_config__", None), "tag_field", None)
    unknown = next((key for key in given if key not in names and key != tag), None)
    if unknown is not None:
        return _no_place(unknown)
    return [(given[key], getattr(arrived, name)) for key, name in names.items() if key in given]


def _another_key(key: object) -> str:
    return f"the key {key!r}, which would come back as another one"


def _no_place(key: object) -> str:
    return f"the key {key!r}, for which its type hint has no place"


def _members(given: Iterable[Any], arrived: Iterable[Any]) -> Sequence[tuple[Any, Any]]:
    """The members of a set that have the same JSON; then those without a match, each with some other that has none."""
    texts = [(codec.to_json(item), item) for item in given]
    theirs = {codec.to_json(item): item for item in arrived}
    same = [(item, theirs[text]) for text, item in texts if text in theirs]
    lost = [item for text, item in texts if text not in theirs and not isinstance(item, _SINGLE)]
    new = [theirs[text] for text in theirs.keys() - dict(texts).keys()]
    return [*same, *zip(lost, cycle(new or theirs.values()), strict=False)]


@lru_cache
def _names(kind: type) -> Mapping[str, str] | None:
    """The fields of a dataclass, Struct or attrs class by their names in JSON; None for any other type."""
    if (fields := getattr(kind, "__struct_fields__", None)) is not None:
        return dict(zip(kind.__struct_encode_fields__, fields, strict=True))  # type: ignore[attr-defined]
    names = getattr(kind, "__dataclass_fields__", None)
    if names is None and (attributes := getattr(kind, "__attrs_attrs__", None)) is not None:
        names = [item.name for item in attributes]
    return None if names is None else {name: name for name in names}


@lru_cache
def _is_class(kind: type) -> bool:
    """Whether an object of this type has fields of its own, which another type may not have."""
    return _names(kind) is not None or codec.is_model(kind) or (issubclass(kind, tuple) and hasattr(kind, "_fields"))
