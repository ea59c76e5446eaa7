"""What no hint brings back from JSON as it was: where hints leave the type of a value open, and what changes there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec.inspect import AnyType, CustomType, Field, Type, type_info

from lateshift.hints import Either


def is_open(hint: Any) -> bool:
    """Whether a hint, in the form that msgspec takes, leaves the type of anything in a value open, however deep."""
    try:
        return _holds_any(type_info(hint), set())
    except Exception:  # msgspec before 0.22 cannot describe a Literal of several types; then the values are compared
        return True


def changed_by_json(given: object, arrived: object) -> str | None:
    """What in a value has come back from JSON as something else because no hint said what it was, or None. Tuples may.

    `arrived` is the value as its hint brings it back: what that does not convert is a value that JSON itself knows.
    """
    waiting = [(given, arrived)]
    while waiting:
        given, arrived = waiting.pop()
        if isinstance(given, _SINGLE):
            continue  # text may have become a date, but by a hint
        if isinstance(arrived, dict) and isinstance(given, dict):
            keys = dict(zip(given, arrived, strict=True)) if len(given) == len(arrived) else {}
            for key, inner in given.items():
                other = keys.get(key, key)
                if not isinstance(key, str) and (other not in arrived or isinstance(other, str)):
                    return f"a dict with the key {key!r}, which is no text"
                if other in arrived:  # a TypedDict drops what it does not know
                    waiting.append((inner, arrived[other]))
        elif isinstance(arrived, list | tuple) and isinstance(given, list | tuple):
            waiting.extend(zip(given, arrived, strict=False))
        elif isinstance(arrived, set | frozenset) and isinstance(given, Iterable):
            waiting.extend(_lost(given, arrived))
        elif isinstance(arrived, _PLAIN):
            return f"a value of type {type(given).__qualname__}"
        else:
            waiting.extend(_fields(given, arrived))
    return None


_SINGLE: Final = (str, int, float, type(None))
_PLAIN: Final = (*_SINGLE, dict, list, tuple)


def _holds_any(part: object, seen: set[int]) -> bool:
    if isinstance(part, AnyType):
        return True
    if isinstance(part, tuple):
        return any(_holds_any(inner, seen) for inner in part)
    if isinstance(part, CustomType):
        return issubclass(part.cls, Either) and any(is_open(member) for member in part.cls.members)
    if not isinstance(part, Type | Field) or id(part) in seen:
        return False
    seen.add(id(part))  # classes may contain themselves
    return any(_holds_any(getattr(part, name), seen) for name in part.__struct_fields__)


def _lost(given: Iterable[Any], arrived: set[Any] | frozenset[Any]) -> Iterable[tuple[Any, Any]]:
    """Members of a set that were given, each with one that arrived as a plain value and was not given."""
    new = [item for item in arrived if item not in given and isinstance(item, _SINGLE)]
    return zip((item for item in given if item not in arrived), new, strict=False)


def _fields(given: Any, arrived: Any) -> list[tuple[Any, Any]]:
    """The parts of a dataclass, Struct or attrs class, as they were given and as they arrived."""
    kind = type(arrived)
    names = getattr(kind, "__struct_fields__", None) or getattr(kind, "__dataclass_fields__", None)
    names = names or [item.name for item in getattr(kind, "__attrs_attrs__", ())]
    parts = given if isinstance(given, dict) else {name: getattr(given, name) for name in names if hasattr(given, name)}
    return [(parts[name], getattr(arrived, name)) for name in names if name in parts and hasattr(arrived, name)]
